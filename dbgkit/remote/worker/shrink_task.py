"""Shrinks the input of a failed task, wherever that is: on a worker, here, in a child.

How a task is run there is given; what is left of its inputs, what that means, and where
it came from is found here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, cast

from dask.sizeof import sizeof

from ..common.shrink_call import Slots, slots_of, with_values, words_of
from ..common.shrink_copies import Copies
from ..common.shrink_cuts import Budget, Spent
from ..common.shrink_engine import OTHER, Engine
from ..common.shrink_lines import lines_of, source_of
from ..common.shrink_parts import axes_of, children_of, is_option
from ..recording.shrink_same import Whole
from .shrink_verdict import (
    MOST_LINES,
    as_they_were,
    count_left,
    cut_form,
    left_forms,
    rows_left,
    verdict_of,
    with_names,
)

if TYPE_CHECKING:
    from ..common.wire_replays import RaisedForm
    from ..common.wire_shrink import (
        Described,
        LineForm,
        LineSource,
        ShrinkLimits,
        ShrunkForm,
        Verdict,
    )

_REPEATS = 2  # of a whole that passed

Tell = Callable[[int, int, int], None]


@dataclass
class Ways:
    """How tasks run in a place.

    Attributes
    ----------
    run : callable
        ``(key, node, data)``: what it raises, described; None if it passes.
    compute : callable
        ``(key, node, data)``: its value; raises what it raises.
    copied : callable
        A copy of any value that shares nothing with it.
    dumps : callable
        Pickles values for the way home.
    stop : callable
        Why no further run is to begin; empty if one may.
    apart : bool
        Whether each run has a process of its own: then nothing has to be copied.
    """

    run: Callable[[Any, Any, dict[Any, Any]], Described | None]
    compute: Callable[[Any, Any, dict[Any, Any]], Any]
    copied: Callable[[Any], Any]
    dumps: Callable[[Any], bytes]
    stop: Callable[[], str] = lambda: ""
    apart: bool = False


def shrink(
    order: Sequence[Any],
    nodes: Mapping[Any, Any],
    data: dict[Any, Any],
    limits: ShrinkLimits,
    sources: Callable[[Any], Mapping[Any, LineSource]],
    ways: Ways,
    tell: Tell,
    begun: Callable[[Shrinking], None] = lambda shrinking: None,
) -> ShrunkForm:
    """Shrink the inputs of the last task of ``order``; the others run before it.

    If one of these raises, it is the one that is shrunk. ``data`` are inputs that the
    place has, of which tasks get copies only; ``sources`` gives what the values that
    lead to a task were read from, by the keys that have it.
    """
    deadline = monotonic() + limits["seconds"]
    key, node = _up_to(order, nodes, data, ways)
    inputs = {name: data[name] for name in node.dependencies}
    data.clear()
    found = slots_of(key, node, inputs, lambda key, node: ways.compute(key, node, {}))
    shrinking = Shrinking(found, limits, ways, tell, deadline)
    begun(shrinking)
    form = shrinking.run()
    if form["status"] == "done":
        form["lines"] = shrinking.lines(sources(key))
        form["notes"] = shrinking.told()
    return form


def _up_to(
    order: Sequence[Any], nodes: Mapping[Any, Any], data: dict[Any, Any], ways: Ways
) -> tuple[Any, Any]:
    """Run what comes before; the task that is shrunk is the first that raises."""
    *ahead, target = order
    for key in ahead:
        node = nodes[key]
        values = {name: ways.copied(data[name]) for name in node.dependencies}
        try:
            data[key] = ways.compute(key, node, values)
        except KeyboardInterrupt:
            raise
        except BaseException:  # the task's own, SystemExit too
            return key, node
    return target, nodes[target]


@dataclass
class Shrinking:
    """One `shrink`, from the first run of the whole input on."""

    slots: Slots
    limits: ShrinkLimits
    ways: Ways
    tell: Tell
    deadline: float
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.copies = Copies(self.ways.copied)
        for name, value in self.slots.values.items():
            if not self.ways.apart:
                self.copies.know(name, value)
        # Its literals are copied with it for each run, but for those that are shrunk.
        own = {name: None for name in self.slots.values if name[0] != "input"}
        self.bare = with_values(self.slots.node, own)
        self.last: RaisedForm | None = None  # of the last run that failed alike
        self.smallest: RaisedForm | None = None  # of the smallest that did
        self.in_text = ""
        self.began = perf_counter()
        budget = Budget(self.deadline, self.limits["runs"], self.ways.stop)
        self.engine = Engine(
            dict(self.slots.values), lambda values: OTHER, budget, self._less
        )

    def _less(self, runs: int, left: int, count: int) -> None:
        self.smallest = self.last
        self.tell(runs, left, count)

    def run(self) -> ShrunkForm:
        engine = self.engine
        values = [each for each in engine.values.values() if not is_option(each)]
        if not any(axes_of(each) or children_of(each) for each in values):
            return {"status": "whole", "text": ""}
        try:
            first = self._whole()
        except Spent as spent:
            return {"status": "spent", "text": spent.why}
        except KeyboardInterrupt:
            return {"status": "spent", "text": "ctrl-c"}
        if first is None:
            return self._passed()
        if _lacks(first["form"]):
            return {"status": "lack", "text": first["form"]["message"]}
        self.whole = Whole(first)
        self.last = self.smallest = first["form"]
        engine.attempt = self._attempt
        engine.hints, engine.text = tuple(first["hints"]), not first["in_text"]
        self.in_text = first["in_text"]
        engine.run(all=self.limits["all"])
        form = self._form(self._verdict())
        return {**form, **self._complete(form["verdict"])}

    def _complete(self, verdict: Verdict) -> ShrunkForm:
        """The smallest input with what it is asked by, if that fails alike, too."""
        engine, nothing = self.engine, cast("ShrunkForm", {})
        if engine.stopped or verdict == "flaky":
            return nothing
        values = with_names(engine)
        if all(values[name] is value for name, value in engine.values.items()):
            return nothing
        try:
            if not engine.fails(values) or self.last is None:
                return nothing
        except (Spent, KeyboardInterrupt):
            return nothing
        packed = self._packed(values)
        if not packed:
            return nothing
        form: Any = {"complete": self.last, "complete_values": packed}
        counts = {"runs": engine.runs, "tested": engine.tested}
        return cast("ShrunkForm", {**form, **counts})

    def _whole(self) -> Described | None:
        """A run of the whole input; again, if it passes."""
        for _ in range(_REPEATS + 1):
            self.engine.budget.check(self.engine.runs)
            self.engine.runs += 1
            self.engine.tested += self.engine.total
            found = self._once(self.engine.values)
            if found is not None:
                return found
        return None

    def _once(self, values: Mapping[Any, Any]) -> Described | None:
        copies = {name: self.copies.fresh(name, each) for name, each in values.items()}
        bare = self.ways.copied(self.bare)
        node, inputs = Slots(self.slots.key, bare, {}).on(copies)
        del copies
        return self.ways.run(self.slots.key, node, inputs)

    def _attempt(self, values: Mapping[Any, Any]) -> int:
        found = self._once(values)
        if found is None or _lacks(found["form"]):
            return OTHER
        level = self.whole.likeness(found)
        if level != OTHER:
            self.last = found["form"]
        return level

    # -- what it means ------------------------------------------------------------

    def _verdict(self) -> Verdict:
        engine = self.engine
        if engine.worded:
            self.notes.append(
                "no smaller part fails with the message of the whole, so only class, "
                "line and causes are compared"
            )
        if not engine.stopped:
            try:
                if self._is_flaky():
                    return "flaky"
            except Spent as spent:
                engine.stopped = spent.why
            except KeyboardInterrupt:
                engine.stopped = "ctrl-c"
        if self._text() is not None:
            return "one"
        return verdict_of(engine)

    def _text(self) -> tuple[Any, int] | None:
        """The one text that is left and the line that it failed at, from 0."""
        found = re.search(r"line ([\d,]+)", self.in_text)
        texts = [
            (name, text)
            for name, value in self.engine.values.items()
            if type(text := _only(value)) in (str, bytes)
        ]
        if found is None or len(texts) != 1:
            return None
        name, text = texts[0]
        lines, number = text.splitlines(), int(found[1].replace(",", "")) - 1
        return (name, number) if 1 < len(lines) > number else None

    def _is_flaky(self) -> bool:
        """Whether what failed passes on a repeat."""
        engine = self.engine
        failed = engine.confirm()
        self.smallest = self.last
        if not failed:
            self.notes.append("the smallest input passed when it was run again")
            return True
        return False

    def _passed(self) -> ShrunkForm:
        self.notes.append(f"the whole input passed on each of {self.engine.runs} runs")
        return self._form("flaky")

    # -- what is brought home -------------------------------------------------------

    def so_far(self, stopped: str, *, values: bool = False) -> ShrunkForm | None:
        """What is known while a run goes on; None before the whole has failed."""
        if self.last is None:
            return None
        verdict: Verdict = "one" if count_left(self.engine) == 1 else "some"
        form = self._form(verdict, values=values)
        return {**form, "stopped": stopped, "minimal": False}

    def _form(self, verdict: Verdict, *, values: bool = True) -> ShrunkForm:
        engine = self.engine
        packed, nbytes = self._values() if values else (b"", 0)
        every, told = engine.every_values(MOST_LINES), as_they_were(engine)
        form: ShrunkForm = {
            "status": "done",
            "text": "",
            "key": self.slots.key,
            "verdict": verdict,
            "stopped": engine.stopped,
            "minimal": engine.settled and not engine.stopped and verdict != "flaky",
            "runs": engine.runs,
            "tested": engine.tested,
            "total": engine.total,
            "cuts": [cut_form(each) for each in engine.all_cuts()],
            "left": left_forms(engine),
            "every": engine.every,
            "every_of": [list(name) for name in every],
            "every_values": self._packed(every) if values and every else b"",
            "told_values": self._packed(told) if values and told else b"",
            "lines": [],
            "notes": self.told(),
            "text_line": self._text(),
            "slots": [
                (name, words_of(name, self.slots.node), type(value).__name__)
                for name, value in self.slots.values.items()
            ],
            "values": packed,
            "nbytes": nbytes,
            "seconds": perf_counter() - self.began,
        }
        if self.smallest is not None:
            form["whole"], form["smallest"] = self.whole.form, self.smallest
        return form

    def told(self) -> list[str]:
        if not self.in_text:
            return list(self.notes)
        return [*self.notes, f"it failed at {self.in_text} of a text"]

    def _values(self) -> tuple[bytes, int]:
        """The smallest input, pickled; not if it has too many bytes."""
        values = self.engine.best()
        packed = self._packed(values)
        return packed, len(packed) or sizeof(list(values.values()))

    def _packed(self, values: Any) -> bytes:
        """Values, pickled; empty if they have too many bytes."""
        most = self.limits["most"]
        if sizeof(list(values.values())) > most:
            return b""  # to pickle them would take as many again
        packed = self.ways.dumps(values)
        return packed if len(packed) <= most else b""

    def lines(self, sources: Mapping[Any, LineSource]) -> list[LineForm]:
        """Where the rows that are left came from."""
        found: list[LineForm] = []
        read = [
            name
            for name, value in self.slots.values.items()
            if name[0] == "input" or name in self.slots.origins or name in sources
            if axes_of(value)
        ]
        for name, rows in rows_left(self.engine).items():
            if not rows or name not in read:
                continue
            alone = read == [name]
            source = source_of(name, sources, alone=alone)
            if source is None:
                continue
            lines, note = lines_of(source, self.engine.first[name], rows)
            self.notes += [note] if note else []
            for line in lines:
                found.append({"name": list(name), **line})
        return found


def _lacks(form: RaisedForm) -> bool:
    """Whether a task asked for what only a worker's own task has."""
    kinds = [form["type"], *(row[0] for row in form["chain"])]
    return "StandInLacks" in kinds


def _only(value: Any) -> Any:
    """What a container with one element holds; anything else as it is."""
    return value[0] if type(value) in (list, tuple) and len(value) == 1 else value
