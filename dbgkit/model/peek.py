"""What running tasks do now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dbgkit.model.base import Jsonable, Span
from dbgkit.model.display import Displayed
from dbgkit.model.frames import FrameSummary
from dbgkit.remote.common.texts import in_line

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class PeekedLine(Jsonable):
    """A line at which a task was seen.

    Attributes
    ----------
    filename, lineno, function : str, int, str
        The innermost line of your own code; where there is none, of a library.
    text : str
        The line itself; empty where no source is found.
    samples : int
        How many samples saw it there.
    share : float
        Of all samples that saw the task, from 0 to 1.
    """

    filename: str
    lineno: int
    function: str
    text: str
    samples: int
    share: float


@dataclass(frozen=True)
class PeekedTask(Jsonable):
    """What one running task does.

    Attributes
    ----------
    key : Key
        Of an actor's method: its name.
    name : str
        The task in human words.
    worker : str
        Address of its worker.
    pid : int
        Of the worker's process.
    state : str
        The worker's state of it: ``"executing"``, ``"long-running"`` once it has
        seceded, ``"cancelled"`` if the scheduler has released it; empty for an actor's
        method.
    how : str
        ``"thread"``, ``"coroutine"`` (an async function), ``"actor"`` (a method), or
        ``"elsewhere"`` (a pool of processes) and ``"unseen"`` (it has just begun or
        ended), of which there are no frames.
    running : float or None
        For how many seconds it had run.
    frames : tuple of FrameSummary
        Its call stack, outermost first, without Dask's own.
    lines : tuple of PeekedLine
        Where the samples saw it, most of them first.
    samples : int
        How many samples saw its call stack.
    notes : tuple of str
        What is missing, and why.
    """

    key: Key
    name: str
    worker: str
    pid: int
    state: str
    how: str
    running: float | None
    frames: tuple[FrameSummary, ...] = field(default=(), repr=False)
    lines: tuple[PeekedLine, ...] = field(default=(), repr=False)
    samples: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Peek(Displayed):
    """What running tasks do now.

    Attributes
    ----------
    tasks : tuple of PeekedTask
        Those that have run longest first.
    omitted : int
        How many more run on the workers that were asked.
    samples : int
        How many samples were taken.
    seconds : float
        How long that took.
    when : datetime
        When they had been taken (timezone-aware, UTC).
    silent : tuple of str
        Addresses of workers that did not answer, or could not.
    span : Span or None
        When the scheduler was asked.
    notes : tuple of str
        What else was left out.
    """

    tasks: tuple[PeekedTask, ...]
    omitted: int = 0
    samples: int = 1
    seconds: float = 0.0
    when: datetime | None = None
    silent: tuple[str, ...] = ()
    span: Span | None = None
    notes: tuple[str, ...] = ()
    _json = "when samples seconds omitted silent notes span tasks"

    def __repr__(self) -> str:
        from dbgkit.remote.secrets.redact import redact_text

        keys = ", ".join(repr(task.key) for task in self.tasks[:3])
        more = ", …" if len(self.tasks) > 3 else ""
        return in_line(f"<Peek at {redact_text(keys) or 'no task'}{more}>")

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> PeekedTask:
        return self.tasks[index]
