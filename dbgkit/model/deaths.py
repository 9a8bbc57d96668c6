"""Deaths: how workers went away, and what they were doing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dbgkit.model.base import FoundIn, Jsonable, Span
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class RunningTask(FoundIn, Jsonable):
    """A task that a worker ran when it went away, or just before.

    Attributes
    ----------
    key : Key
        A target for the verbs; of a very long key, the beginning of its text.
    prefix : str
    since : datetime or None
        When it started (timezone-aware, UTC), by the worker's clock.
    seconds : float or None
        How long it had run; None if it had ended.
    first_lines : tuple of str
        The first line of its function: ``file.py:10 in work``; of a fused task, of each
        function of the user's own. Empty if it is not known, or not Python code.
    line : str
        The innermost line of the user's own code that it was seen at:
        ``file.py:12 in work``; empty where it was not seen.
    line_age : float or None
        Seconds between then and the end; 0.0 if it is where the crash was.
    raised : str
        What it raised that ended the worker: ``SystemExit: 3``. Dask lets
        ``SystemExit`` and ``KeyboardInterrupt`` through; any other exception of a task
        is a failure.
    inputs : int or None
        Bytes of its inputs.
    crashed : bool
        Whether Python reports that the crash was in the thread that ran it.
    ended : bool
        Whether it had ended by then, but the scheduler had not heard of it.
    found_in : str
        ``"worker"``: the worker recorded it as the task started; ``"heartbeat"``: it
        was running at the last heartbeat, and may have ended since.
    """

    key: Key
    prefix: str = ""
    since: datetime | None = None
    seconds: float | None = None
    first_lines: tuple[str, ...] = ()
    line: str = ""
    line_age: float | None = None
    raised: str = ""
    inputs: int | None = None
    crashed: bool = False
    ended: bool = False
    found_in: str = "worker"
    _json = (
        "key prefix since seconds first_lines line line_age raised inputs crashed ended"
        " source=found_in"
    )


@dataclass(frozen=True)
class LoggedLine(Jsonable):
    """A warning or an error that was logged in a worker's process.

    Attributes
    ----------
    level : str
        ``"WARNING"``, ``"ERROR"`` or ``"CRITICAL"``; of other levels, ``"level 35"``.
    text : str
        The logger's name, and its message; secrets are hidden.
    age : float
        Seconds between then and the end.
    times : int
        How often it was logged, with other numbers in it; ``age`` is of the last time.
    """

    level: str
    text: str
    age: float
    times: int = 1


@dataclass(frozen=True)
class Death(Displayed):
    """How one worker went away.

    Attributes
    ----------
    worker : str
        Its address.
    name : str or int
    host : str
    pid : int or None
        Of its process.
    nanny : str
        Address of its nanny; empty without one, or where it is not known.
    when : datetime
        When the scheduler noticed (timezone-aware, UTC).
    verdict : str
        ``"out-of-memory"``, ``"signal"``, ``"exit"``, ``"lost-connection"``,
        ``"closed-on-purpose"`` or ``"unknown"``.
    summary : str
        One sentence.
    evidence : tuple of str
        The facts that the verdict rests on.
    exit_code : int or None
        Status that its process ended with; None for a signal, or if nobody knows.
    signal : str
        The signal that ended it: ``"SIGKILL"``; empty if none, or if nobody knows.
    said : tuple of str
        What its nanny logged of it.
    ran : tuple of RunningTask
        Tasks that ran there, the longest first.
    queued : tuple of Key
        A sample of tasks that were there, but were not running.
    queued_count : int
        How many they were.
    ran_known : bool
        Whether it is known which tasks ran; if not, all are in `queued`.
    memory : int or None
        Of its process, in bytes, when last seen.
    memory_age : float or None
        Seconds between then and the end.
    memory_limit : int or None
    memory_history : tuple of (float, int)
        Its memory in its last minute, as far as the recorder ran: seconds before the
        end, and the most bytes in that second; the oldest first.
    logged : tuple of LoggedLine
        The last warnings and errors that its process logged, the oldest first.
    logged_known : bool
        Whether they were recorded; if not, `logged` is empty whatever it logged.
    stderr : tuple of str
        The last lines of its standard error, if that goes to a file, from its last
        moments; secrets are hidden. Other processes may write to the same file.
    lost : int
        How many results the cluster lost with it.
    stack : str
        What Python wrote about a crash.
    notes : tuple of str
        What is not known, and why.
    """

    worker: str
    name: Key
    host: str
    pid: int | None
    nanny: str
    when: datetime
    verdict: str
    summary: str
    evidence: tuple[str, ...] = ()
    exit_code: int | None = None
    signal: str = ""
    said: tuple[str, ...] = ()
    ran: tuple[RunningTask, ...] = ()
    queued: tuple[Key, ...] = ()
    queued_count: int = 0
    ran_known: bool = False
    memory: int | None = None
    memory_age: float | None = None
    memory_limit: int | None = None
    memory_history: tuple[tuple[float, int], ...] = ()
    logged: tuple[LoggedLine, ...] = ()
    logged_known: bool = False
    stderr: tuple[str, ...] = ()
    lost: int = 0
    stack: str = ""
    notes: tuple[str, ...] = ()

    @property
    def expected(self) -> bool:
        """Whether it was meant to go."""
        return self.verdict == "closed-on-purpose"

    @property
    def keys(self) -> tuple[Key, ...]:
        """Keys of the tasks that ran."""
        return tuple(task.key for task in self.ran)


@dataclass(frozen=True)
class Deaths(Displayed):
    """How workers of a cluster went away, the newest first.

    Attributes
    ----------
    deaths : tuple of Death
    total : int
        How many are known, including those left out.
    omitted : int
    recorded : bool
        Whether the recorder is on: without it, only what Dask itself logs is known.
    since : datetime or None
        When the recorder was turned on.
    span : Span or None
    notes : tuple of str
        What is missing, and why.
    """

    deaths: tuple[Death, ...]
    total: int = 0
    omitted: int = 0
    recorded: bool = False
    since: datetime | None = None
    span: Span | None = None
    notes: tuple[str, ...] = ()
    _json = "total omitted recorded since span notes deaths"

    @property
    def healthy(self) -> bool:
        """Whether no worker went away unexpectedly."""
        return all(death.expected for death in self.deaths)

    def __len__(self) -> int:
        return len(self.deaths)

    def __iter__(self) -> Iterator[Death]:
        return iter(self.deaths)

    def __getitem__(self, index: int) -> Death:
        return self.deaths[index]
