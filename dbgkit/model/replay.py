"""The outcome of a replay, with the values that it ran on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dbgkit.model.base import Jsonable
from dbgkit.model.display import Displayed
from dbgkit.model.failure import Failure
from dbgkit.model.frames import FrameSummary, ValueSummary
from dbgkit.model.plan import Plan
from dbgkit.model.recordings import Recording
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from dask.typing import Key

Outcome = Literal["same", "different", "passed", "died", "timeout"]


@dataclass(frozen=True)
class Run(Jsonable):
    """One run of the task.

    Attributes
    ----------
    outcome : {"same", "different", "passed", "died", "timeout"}
    exception_type, message : str
        Of what it raised; empty where it raised nothing.
    detail : str
        For ``"died"`` and ``"timeout"``: exit code or signal, and the last line. For
        ``"different"`` with the same class and message: what differs.
    seconds : float
        Wall time of the call.
    """

    outcome: Outcome
    exception_type: str = ""
    message: str = ""
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """One step of a fused task that had begun when the task failed.

    Attributes
    ----------
    key : Key
        The step's own key, which is not known to the scheduler.
    name : str
        In human words.
    function : str
        Name of the function.
    inputs : mapping of Key to object
        The live values it was called with.
    failed : bool
        Whether it is the one that raised.
    arguments : tuple of (str, object)
        The same values under the names that the user's function gives them, with its
        literals; empty where the function is Dask's own. What ran in another process,
        or on a worker, has a `ValueSummary` in place of each value.
    label : str
        The function's name, or what Dask calls the step where the function is
        Dask's own.
    """

    key: Key
    name: str
    function: str
    inputs: Mapping[Key, Any] = field(repr=False)
    failed: bool = False
    label: str = ""
    arguments: tuple[tuple[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Difference(Jsonable):
    """One thing in which this process differs from the worker.

    ``kind`` is ``"environment"``, ``"configuration"``, ``"directory"``,
    ``"package"`` or ``"python"``; ``here`` and ``there`` are None where unset.
    """

    kind: str
    name: str
    here: str | None
    there: str | None


class Submitted(Protocol):
    """The work that the runs of a replay have submitted to the cluster."""

    def let_go(self, exception: BaseException | None) -> None:
        """Release the futures in an exception's frames, except the user's own."""


@dataclass(kw_only=True, eq=False)
class Replay(Displayed):
    """The outcome of a replay, and what it was reached with.

    It holds the inputs and the live frames until `close`, or until its ``with``
    block ends.

    Attributes
    ----------
    outcome : {"same", "different", "passed", "died", "timeout"}
        Of all runs: ``"same"`` if any failed in the same way, else the first that
        is not ``"passed"``, else ``"passed"``.
    failure : Failure
        What was replayed.
    exception : BaseException or None
        What the run that gave the outcome raised, with live frames; None if it
        passed, or ran in another process.
    result : object
        What the last run returned, if it passed in this process.
    returned : ValueSummary or None
        The same in a bounded text, if it passed on a worker.
    recording : Recording or None
        What a worker saw as it raised there, under ``where="worker"``: frames to
        enter, in place of `exception`.
    function, args, kwargs
        The call: ``function(*args, **kwargs)``. After the call, so a task that
        changes its arguments in place has done so.
    inputs : dict of Key to object
        Values of the task's inputs, by key.
    steps : tuple of Step
        Steps of a fused task up to the one that failed; empty if it is not fused.
        Under ``scope="ancestors"`` the last tasks that were run, with their inputs.
    runs : tuple of Run
        One for each time.
    plan : Plan
        What was done.
    frames : tuple of FrameSummary
        The failed run's frames in bounded form, outermost first, without Dask's.
    notes : tuple of str
        Further remarks: that inputs were changed in place, that work was submitted to
        the cluster.
    differences : tuple of Difference
        How this process differs from the worker; collected if the outcome is not
        ``"same"`` and the worker still answers.
    compared : mapping of Key to str
        Whether inputs are those that the task failed on, if the recorder was on:
        ``"same"``, ``"different"``, or ``"unknown"`` if only a part of a value, or
        nothing of it, could be compared.
    crash : str
        For ``"died"``: exit code or signal, and faulthandler's last lines.
    """

    outcome: Outcome
    failure: Failure
    plan: Plan
    runs: tuple[Run, ...]
    exception: BaseException | None = None
    result: Any = None
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: dict[Key, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    frames: tuple[FrameSummary, ...] = ()
    notes: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    crash: str = ""
    compared: dict[Key, str] = field(default_factory=dict)
    returned: ValueSummary | None = None
    recording: Recording | None = None
    submissions: InitVar[Submitted | None] = None
    _json = (
        "outcome failure where scope runs frames=_shown_frames crash notes differences"
    )

    def __post_init__(self, submissions: Submitted | None) -> None:
        self._submissions = submissions
        # Whoever changes them changes nothing of what the call was made with.
        self.kwargs, self.inputs = dict(self.kwargs), dict(self.inputs)
        self.compared = dict(self.compared)

    @property
    def where(self) -> str:
        """Where it ran: ``"here"``, ``"process"`` or ``"worker"``."""
        return self.plan.where

    @property
    def scope(self) -> str:
        """What it ran: ``"task"`` or ``"ancestors"``."""
        return self.plan.scope

    @property
    def tally(self) -> dict[str, int]:
        """How many runs had which outcome."""
        return dict(Counter(run.outcome for run in self.runs))

    @property
    def _shown_frames(self) -> tuple[FrameSummary, ...]:
        if self.exception is None:
            return self.frames
        # Late: it is a large part of what importing this would cost.
        from dbgkit.remote.values.summarize import summarize_frames

        wires = summarize_frames(self.exception.__traceback__)
        return tuple(map(FrameSummary.from_wire, wires))

    def close(self) -> None:
        """Release inputs, result and live frames; the outcome stays.

        What the task has submitted is released too.
        """
        if self._submissions is not None:
            self._submissions.let_go(self.exception)
        self.exception = None
        self.result = None
        self.function = None
        self.args = ()
        self.kwargs = {}
        self.inputs = {}
        self.steps = ()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        times = f", {len(self.runs)} runs" if len(self.runs) > 1 else ""
        key = redact_text(repr(self.failure.key))
        return f"<Replay of {key}: {self.outcome}{times}>"
