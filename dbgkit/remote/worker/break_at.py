"""Runs inside a worker: stops tasks at their start, where they fail, and at lines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Protocol

from distributed.utils import key_split

from ..common.aborting import Aborted
from ..common.codes import file_of_frame, functions_of
from ..common.frames import (
    is_compiled,
    is_machinery,
    is_own,
    is_stdlib,
    own_index,
    walk,
)
from ..common.texts import sendable
from ..secrets.redact import redact_text
from ..values.summarize import summarize
from .break_at_lines import IS_THERE, LINES
from .break_at_place import ERROR, LINE, START, At
from .break_at_spec import Breaking, FirstLine, bare, put_in, taken_off
from .live_hook import task_here
from .live_source import place_in, place_of

if TYPE_CHECKING:
    from ..common.wire_live import Arming, PlaceForm, ValueForm
    from .live_claims import Claims

MOST_VALUES = 1_000  # that one use of ``log`` reports from a worker
MOST_FUNCTIONS = 500  # values of a run spec that are looked at for its functions
NO_CODE = "it ran no Python code that it could be stopped in"
IN_POOL = "it runs in a process pool, where nothing stops"
COROUTINE = "it is a coroutine: to stop there would stop the worker's event loop"
MOST = "as many tasks as wanted have stopped"


class Prompt(Protocol):
    """The debugger of a task that has stopped."""

    def set_trace(self, frame: Any = None) -> None:
        """Open it at a frame's next line."""

    def enter_at(self, frame: FrameType) -> None:
        """Open it before a frame's line runs."""

    def enter_failed(self, error: BaseException) -> None:
        """Open it where an exception was raised."""


class Stopping(Protocol):
    """What is needed of the worker's part."""

    worker: Any
    claims: Claims
    theirs: dict[Any, set[str]]

    def reached(
        self,
        key: Any,
        frame: FrameType,
        header: str,
        armings: dict[str, Arming] | None = None,
        enter: Callable[[Prompt, bool], None] | None = None,
        place: PlaceForm | None = None,
    ) -> bool:
        """A task has come to where it may stop; stop it there, if it is wanted."""

    def ask(
        self, key: Any, tokens: Collection[str], *, stops: bool = True
    ) -> tuple[set[str], str]:
        """For which armings the scheduler says that a task is wanted."""

    def passed(self, key: Any, place: PlaceForm, why: str) -> None:
        """Note that a task came to where it might stop, and did not."""

    def log_soon(self, msg: Any) -> None:
        """Report something to the scheduler's part."""


class Places:
    """Where tasks of one worker are to stop without a ``breakpoint()``."""

    def __init__(self, live: Stopping) -> None:
        self.live = live
        self.any = False
        self._ats: dict[str, At] = {}
        self._by_task: list[At] = []  # start or error of tasks by their keys
        self._of_all: list[At] = []  # code, which any task may come to
        self._in_code: list[At] = []  # for `LINES`
        self._wrapped: set[Any] = set()
        # By key, of tasks that run: what they need not be stopped for any more.
        self._through: dict[Any, set[str]] = {}
        self._wanted_by: dict[Any, dict[str, bool]] = {}
        self._first: dict[str, PlaceForm] = {}  # where tasks of a prefix begin

    # -- in the worker's event loop --------------------------------------------

    def follow(self, armings: Mapping[str, Arming]) -> None:
        """Stop where these say, and nowhere else."""
        wanted = {
            token: arming
            for token, arming in armings.items()
            if "at" in arming and not arming["at"]["spent"]
        }
        new = {t: self._ats.get(t) or At(t, a) for t, a in wanted.items()}
        in_code = [at for at in new.values() if IS_THERE and _is_in_code(at)]
        rest = [at for at in new.values() if at not in in_code and at.when != LINE]
        moved, self._ats = in_code != self._in_code, new
        self._by_task = [at for at in rest if at.is_by_task]
        self._of_all = [at for at in rest if not at.is_by_task]
        self._in_code = in_code
        self.any = bool(new)
        why = LINES.use(self, bool(in_code)) if moved else ""
        for at in in_code if why else ():
            self.live.passed(None, _nowhere(at.form["text"]), why)
        if not self.any:
            self._let_all_go()

    def _let_all_go(self) -> None:
        for key in list(self._wrapped):
            self._take_off(key)
        for known in (self._through, self._wanted_by, self._first):
            known.clear()

    def moved(self, key: Any, finish: str, *, is_over: bool) -> None:
        """The state of a task has changed."""
        if finish == "executing":
            self._put_in(key)
        elif is_over:
            self._through.pop(key, None)
            self._wanted_by.pop(key, None)
            if key in self._wrapped:
                self._take_off(key)

    def _put_in(self, key: Any) -> None:
        ats = self._of_all
        if self._by_task:
            prefix = key_split(key)
            ats = [*ats, *(at for at in self._by_task if at.is_of(key, prefix))]
        ts = self.live.worker.state.tasks.get(key)
        if not ats or ts is None or ts.run_spec is None:
            return
        if ts.run_spec.is_coro:
            if any(at.is_by_task for at in ats):
                self._pass(key, ts.run_spec, COROUTINE)
            return
        ts.run_spec = put_in(ts.run_spec, key, self, ats)
        self._wrapped.add(key)

    def _take_off(self, key: Any) -> None:
        self._wrapped.discard(key)
        ts = self.live.worker.state.tasks.get(key)
        if ts is not None:
            ts.run_spec = taken_off(ts.run_spec, self)

    # -- in a task's thread: its run spec ----------------------------------------

    def start(self, spec: Breaking) -> FirstLine | None:
        """A task begins, in its thread: look for its first line, if it may stop."""
        wanted = [at for at in self._of(spec) if at.when == START]
        wanted = self._open(spec.key, wanted, lambda: self._first_of(spec))
        if not wanted:
            return None
        functions = functions_of(bare(spec), MOST_FUNCTIONS)
        has_own = any(is_own(each.__code__.co_filename) for each in functions)

        def choose(at: At, frame: FrameType) -> bool:
            if not at.is_by_task:
                return at.is_function(frame.f_code, frame.f_globals)
            file = frame.f_code.co_filename
            return is_own(file) if has_own else not _is_foreign(file)

        def arrive(frame: FrameType, found: list[At]) -> bool:
            prefix = key_split(spec.key)
            too = [at for at in LINES.take(self, frame) if at.is_of(spec.key, prefix)]
            return self._arrived(spec.key, frame, [*found, *too])

        def miss(missed: list[At]) -> None:
            if any(at.is_by_task for at in missed):
                self._pass(spec.key, spec, NO_CODE)

        return FirstLine(wanted, choose, arrive, miss)

    def failed(self, spec: Breaking, error: BaseException) -> None:
        """A task has failed: stop there, if it is wanted. May raise what aborts it."""
        wanted = [at for at in self._of(spec) if at.when == ERROR]
        if not wanted or isinstance(error, Aborted):
            return
        frames = list(walk(error.__traceback__))
        wanted = [at for at in wanted if at.passes(frames)]
        index = own_index([file_of_frame(frame) for frame, _ in frames])
        frame, line = frames[-1 if index is None else index]

        def enter(debugger: Prompt, again: bool) -> None:
            debugger.enter_failed(error)

        self._arrived(spec.key, frame, wanted, enter, _said(error), line)

    def left(self, spec: Breaking) -> None:
        """A task is sent to another process."""
        if any(at.is_by_task for at in spec.ats):
            self._pass(spec.key, spec, IN_POOL)

    def _of(self, spec: Breaking) -> list[At]:
        """Of what was armed as a task began, what still is."""
        return [at for at in spec.ats if self._ats.get(at.token) is at]

    def _pass(self, key: Any, spec: Any, why: str) -> None:
        self.live.passed(key, self._first_of(spec, key), why)

    def _first_of(self, spec: Any, key: Any = None) -> PlaceForm:
        """Where a task's own code begins, as far as its run spec says."""
        key = spec.key if key is None else key
        prefix = key_split(key)
        if prefix not in self._first:
            functions = list(functions_of(bare(spec), MOST_FUNCTIONS))
            own = [f for f in functions if is_own(f.__code__.co_filename)]
            function = next(iter(own or functions), None)
            self._first[prefix] = (
                _nowhere(prefix)
                if function is None
                else place_in(function.__code__, function.__globals__, None)
            )
        return self._first[prefix]

    # -- in a task's thread: lines -----------------------------------------------

    def wanted_in(self, code: CodeType, frame: FrameType) -> list[tuple[At, int]]:
        """Places in some code, which a frame is about to run; line 0 is its start."""
        return [(at, at.line) for at in self._in_code if at.is_in(code, frame)]

    def at_line(self, frame: FrameType, ats: list[At]) -> None:
        """A frame is about to run a line that somebody wants."""
        found = task_here(frame)
        if found is None or found[0] is not self.live.worker or found[1] is None:
            return
        _, key, why = found
        prefix = key_split(key)
        ats = [at for at in ats if at.is_of(key, prefix)]
        if why and ats:
            through = self._through.setdefault(key, set())
            if not through.issuperset(at.token for at in ats):
                through.update(at.token for at in ats)
                self.live.passed(key, place_of(frame), why)
        elif ats:
            first = FirstLine.here()
            self._arrived(key, frame, [*ats, *(first.take(frame) if first else ())])

    # -- where a task is to stop -------------------------------------------------

    def _open(
        self, key: Any, ats: list[At], where: Callable[[], PlaceForm]
    ) -> list[At]:
        """Those for which a task may still stop; says so if there are none left."""
        done = self._through.get(key, set()) | self.live.theirs.get(key, set())
        ats = [at for at in ats if at.token not in done]
        counted = {at.token: at.arming for at in ats if not at.log}
        full = counted.keys() - self.live.claims.room(key, key_split(key), counted)
        if full:
            self._through.setdefault(key, set()).update(full)
            self.live.passed(key, where(), MOST)
        return [at for at in ats if at.token not in full]

    def _arrived(
        self,
        key: Any,
        frame: FrameType,
        ats: list[At],
        enter: Callable[[Prompt, bool], None] | None = None,
        said: str = "",
        line: int | None = None,
    ) -> bool:
        """A task has come to a place: report what is asked for, and stop it."""
        ats = self._open(key, ats, lambda: place_of(frame, line))
        # Conditions are for the tasks of those who have set them.
        careful = [at for at in ats if at.is_choosy]
        if careful:
            wanted = self._wanted(key, careful)
            ats = [at for at in ats if at not in careful or at.token in wanted]
        held = {at: at.holds(frame) for at in ats}
        ats = [at for at in ats if held[at][0]]
        for at in ats:
            if at.log:
                self._report(at, key, frame, line)
        stopping = {at.token: at.arming for at in ats if not at.log}
        if not stopping:
            return False

        def enter_line(debugger: Prompt, again: bool) -> None:
            if again:
                debugger.set_trace(frame)  # it comes to this line too
            else:
                debugger.enter_at(frame)

        texts = [at.form["text"] for at in ats if not at.log]
        raised = dict.fromkeys(held[at][1] for at in ats if not at.log)
        header = ": ".join(filter(None, [", ".join(texts), said, *raised]))
        place = place_of(frame, line)
        first = FirstLine.here()
        stopped = self.live.reached(
            key, frame, header, stopping, enter or enter_line, place
        )
        if first is not None:
            first.look_on()
        if not stopped:
            self._through.setdefault(key, set()).update(stopping)
        return stopped

    def _wanted(self, key: Any, ats: list[At]) -> set[str]:
        """For which of these a task is wanted: asked once for each run."""
        known = self._wanted_by.setdefault(key, {})
        unknown = [at.token for at in ats if at.token not in known]
        if unknown:
            found, _ = self.live.ask(key, unknown, stops=False)
            known.update({token: token in found for token in unknown})
        return {at.token for at in ats if known[at.token]}

    def _report(self, at: At, key: Any, frame: FrameType, line: int | None) -> None:
        """Report what an expression comes to."""
        number, worker = next(at.reports), self.live.worker
        if number > MOST_VALUES or worker is None:
            return
        value = at.value_in(frame, lambda found: summarize(found, name=at.log)["text"])
        if number == MOST_VALUES:
            value += " (this worker reports no more)"
        form: ValueForm = {
            "tokens": [at.token],
            "key": key,
            "worker": worker.address,
            "place": place_of(frame, line),
            "asked": sendable(redact_text(at.log)),
            "value": sendable(value),
        }
        self.live.log_soon({"value": form})


def _is_in_code(at: At) -> bool:
    """Whether it is found by the code that runs, rather than by the task."""
    return at.when == LINE or (at.when == START and not at.is_by_task)


def _is_foreign(file: str) -> bool:
    return is_machinery(file) or is_stdlib(file) or is_compiled(file)


def _said(error: BaseException) -> str:
    """Class and message of an exception."""
    return sendable(summarize(error)["text"])


def _nowhere(name: str) -> PlaceForm:
    """A place without a line: of what has none."""
    return {
        "name": sendable(name),
        "line": 0,
        "mark": "",
        "module": "",
        "file": "",
        "text": "",
    }
