"""From what a place has found to the smallest input, which is a target itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dbgkit.errors import RunSpecUnreadable
from dbgkit.model import (
    Culprit,
    Evidence,
    Failure,
    Provenance,
    Shrinkage,
    Shrunk,
)
from dbgkit.model.secret_names import secret_names
from dbgkit.remote.common.calls import steps_of
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.shrink_call import with_values
from dbgkit.remote.common.shrink_parts import at, axes_of, take
from dbgkit.remote.common.shrink_spans import Spans, positions, size_of
from dbgkit.remote.common.texts import in_line, safe_repr
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.remote.values.summarize import Budget, summarize
from dbgkit.replays.material import Material
from dbgkit.replays.outcome import difference
from dbgkit.targets.naming import name_of

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import RaisedForm
    from dbgkit.remote.common.wire_shrink import LineForm, ShrunkForm

MOST_CULPRITS = 100
_TEXT = 200  # characters of a label

Name = tuple[str, Any]


def shrunk_of(
    failure: Failure,
    material: Material,
    form: ShrunkForm,
    values: Mapping[Name, Any],
    told: Mapping[Name, Any],
    complete: Mapping[Name, Any],
    *,
    where: str,
    worker: str = "",
) -> Shrunk:
    """The result; ``values`` are the smallest input, empty if they are not here.

    ``told`` are parts as they are told: those that fail by themselves, if all of them
    were looked for, and culprits as they were before parts of them were left out.
    ``complete`` are the smallest input with all that it is asked by; empty: that is it.
    """
    words = {_name(name): text for name, text, _ in form["slots"]}
    culprits, omitted = _culprits(form, {**values, **told}, words)
    if form["text_line"] is not None:
        culprits.append(_line_of_text(form["text_line"], values, words))
    key = as_key(form["key"])
    smallest = _smallest(failure, material, form, key, values, form.get("smallest"))
    inputs = {
        name[1] if name[0] == "input" else words[name]: value
        for name, value in values.items()
    }
    return Shrunk(
        verdict=form["verdict"],
        failure=smallest,
        original=failure,
        complete=_complete(failure, material, form, key, complete),
        culprits=tuple(culprits),
        inputs=inputs,
        runs=form["runs"],
        rows_tested=form["tested"],
        rows=form["total"],
        provenance=tuple(e.provenance for e in culprits if e.provenance is not None),
        shrinkage=tuple(_shrinkage(form, words)),
        minimal=form["minimal"],
        stopped=form["stopped"],
        where=where,
        worker=worker,
        seconds=form["seconds"],
        omitted=omitted,
        notes=tuple(
            dict.fromkeys(
                [
                    *_another(failure, material, key),
                    *_otherwise(failure, form, key),
                    *form["notes"],
                ]
            )
        ),
    )


def _another(failure: Failure, material: Material, key: Any) -> Iterable[str]:
    """A note if a task that leads to the failed one fails by now, and was shrunk."""
    if failure.key is not None and key != material.key and key in material.rows:
        yield f"{key!r}, which leads to it, failed as it was run again: it was shrunk"


def _otherwise(failure: Failure, form: ShrunkForm, key: Any) -> Iterable[str]:
    """A note if the whole input fails by now, or in this place, in another way."""
    whole = form.get("whole")
    if whole is None or key != failure.key or failure.killed:
        return
    differs = difference(failure, whole)
    if differs is not None:
        how = differs or f"{whole['type']}: {whole['message']}"
        yield (
            "the whole input failed in another way when it was run again, and that is "
            f"what was shrunk: {redact_text(in_line(how))}"
        )


def _name(name: Any) -> Name:
    kind, what = name
    return kind, as_key(what)


# --- the smallest input as a failure ------------------------------------------------


def _smallest(
    failure: Failure,
    material: Material,
    form: ShrunkForm,
    key: Any,
    values: Mapping[Name, Any],
    raised: RaisedForm | None,
) -> Failure:
    """The task on the smallest input: a graph of it alone, and no cluster."""
    if not values:
        return failure
    try:
        node = _node(material, key)
    except RunSpecUnreadable as error:
        form["notes"].append(f"it cannot be run here on its smallest input: {error}")
        return failure
    literals = {name: value for name, value in values.items() if name[0] != "input"}
    inputs = {name[1]: value for name, value in values.items() if name[0] == "input"}
    node = with_values(node, literals)
    changed: dict[str, Any] = {}
    if raised is not None and not failure.killed:
        changed = {
            "exception_type": raised["type"],
            "message": raised["message"],
        }
    return replace(
        failure,
        key=key,
        name=failure.name if key == failure.key else name_of(key),
        # Where it runs, and which text is its own, is as it was.
        found_in=failure.found_in if failure.found_in in ("local", "file") else "graph",
        exception=None,
        asked=None,
        others=(),
        notes=("it runs on the smallest input, as shrink has found it",),
        evidence=Evidence(
            graph={key: node},
            cache=inputs,
            scheduler=failure.evidence.scheduler,
            codes=failure.evidence.codes,
            index=failure.evidence.index,
            raised=None if failure.killed else raised,
        ),
        **changed,
    )


def _complete(
    failure: Failure,
    material: Material,
    form: ShrunkForm,
    key: Any,
    values: Mapping[Name, Any],
) -> Failure | None:
    """The task on the smallest input with all that it is asked by; None: that is it."""
    if not values:
        return None
    found = _smallest(failure, material, form, key, values, form.get("complete"))
    note = "it runs on the rows of the smallest input, with all columns and keys"
    return replace(found, notes=(note,))


def _node(material: Material, key: Any) -> Any:
    """The run spec of a task, or of the step of one that has failed."""
    row = material.rows.get(key)
    if row is not None:
        return row.read() if row.node is None or row.spec is not None else row.node
    node = material.rows[material.key].read()
    steps: list[Mapping[Any, Any]] = [steps_of(node)]
    while steps:
        inner = steps.pop()
        if key in inner:
            return inner[key]
        steps += [steps_of(each) for each in inner.values() if steps_of(each)]
    return node


# --- what is left ---------------------------------------------------------------------


def _shrinkage(form: ShrunkForm, words: Mapping[Name, str]) -> Iterable[Shrinkage]:
    for cut in form["cuts"]:
        names = [words.get(_name(name), "") for name in cut["names"]]
        path = "".join(f"[{step!r}]" for step in cut["path"])
        text = " and ".join(redact_text(f"{name}{path}") for name in names)
        yield Shrinkage(text or "inputs", cut["what"], cut["count"], cut["left"])


def _culprits(
    form: ShrunkForm, values: Mapping[Name, Any], words: Mapping[Name, str]
) -> tuple[list[Culprit], int]:
    """The parts that are left of what was shrunk; how many more there are."""
    lines = {(_name(each["name"]), each["position"]): each for each in form["lines"]}
    found: list[Culprit] = []
    omitted = 0
    if form["verdict"] in ("size", "none"):  # which they are does not matter
        return found, omitted
    for name, path, what, spans in _left(form):
        if name in map(_name, form["every_of"]):
            places = form["every"] or []
        else:
            places = list(_first(spans))
            omitted += size_of(spans) - len(places)
        value = _within(values.get(name), path)
        text_of = words[name] + "".join(f"[{step!r}]" for step in path)
        for index, position in enumerate(places):
            if len(found) >= MOST_CULPRITS:
                omitted += 1
                continue
            label, text = _shown(value, index, _called(value, name, path, words))
            line = None if path else lines.get((name, position))
            found.append(
                Culprit(
                    input=redact_text(text_of),
                    what=what,
                    position=position,
                    label=label,
                    value=text,
                    partition=_partition(name),
                    provenance=None if line is None else _provenance(line, text_of),
                )
            )
    return found, omitted


def _line_of_text(
    found: tuple[Any, int], values: Mapping[Name, Any], words: Mapping[Name, str]
) -> Culprit:
    """The line of a text at which it failed, according to the exception."""
    name, number = _name(found[0]), found[1]
    text = values.get(name)
    if isinstance(text, (list, tuple)) and text:
        text = text[0]
    lines = text.splitlines() if isinstance(text, (str, bytes)) else []
    line = lines[number : number + 1]
    shown = summarize(line[0], budget=_budget())["text"] if line else ""
    return Culprit(words.get(name, ""), "line", number, value=shown)


def _budget() -> Budget:
    return Budget(secret_names=secret_names())


def _first(spans: Spans) -> Iterable[int]:
    for index, position in enumerate(positions(spans)):
        if index >= MOST_CULPRITS:
            return
        yield position


def _left(form: ShrunkForm) -> Iterable[tuple[Name, tuple[Any, ...], str, Spans]]:
    """What is left of each input's first axis, if some of it was left out."""
    for each in form["left"]:
        spans = tuple((int(start), int(stop)) for start, stop in each["kept"])
        if size_of(spans) < each["count"] or each["count"] == 1:
            yield _name(each["name"]), tuple(each["path"]), each["what"], spans


def _within(value: Any, path: tuple[Any, ...]) -> Any:
    """A value within containers; None if it is not there."""
    try:
        return at(value, path)
    except (TypeError, LookupError):
        return None


def _partition(name: Name) -> int | None:
    """The number in a key such as ``("read-csv-1", 3)``."""
    kind, key = name
    if kind == "literal" or not isinstance(key, tuple) or len(key) != 2:
        return None
    return key[1] if isinstance(key[1], int) else None


def _called(
    value: Any, name: Name, path: tuple[Any, ...], words: Mapping[Name, str]
) -> str:
    """What a value is called, by which it may be a secret; empty if it has no name."""
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "iloc"):
        return str(value.name)
    if path:
        return path[-1] if isinstance(path[-1], str) else ""
    # "argument tokens of f"
    return words[name].split()[1] if name[0] == "literal" else ""


def _shown(value: Any, index: int, called: str) -> tuple[str, str]:
    """Label and text of a part of the smallest input; secrets hidden."""
    axes = axes_of(value)
    if not axes or index >= axes[0].size:
        return "", ""
    part, label = take(value, 0, ((index, index + 1),)), ""
    if type(value) is dict:
        key = next(iter(part))
        label, part = safe_repr(key, _TEXT), part
    elif hasattr(value, "iloc"):
        label = safe_repr(_plain(value.index[index]), _TEXT)
        part = _row(part)
    elif type(value) in (list, tuple, set, frozenset):
        part = next(iter(part))
    elif getattr(part, "ndim", None) == 1:
        part = part[0]
    text = summarize(part, name=called, budget=_budget())["text"]
    return in_line(redact_text(label)), text


def _plain(label: Any) -> Any:
    """A label of numpy's as Python's own, whose text is shorter."""
    return label.item() if type(label).__module__ == "numpy" else label


def _row(part: Any) -> Any:
    """A frame's row as a dict, a series' as its value."""
    if part.ndim == 1:
        return part.iloc[0]
    return {column: part.iloc[0, index] for index, column in enumerate(part.columns)}


def _provenance(line: LineForm, input_name: str) -> Provenance:
    path = redact_text(line["path"])
    text = f"{line['what']} {path!r}, {line['place']}" if path else line["what"]
    if not path:
        text = f"{line['what']}{line['place']}"
    return Provenance(
        text=text,
        what=line["what"],
        path=path,
        place=line["place"],
        line=line["line"],
        position=line["position"],
        input=input_name,
    )
