"""One task that raised by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbgkit.model.base import FoundIn
from dbgkit.model.display import Displayed, traceback_shown
from dbgkit.model.origin import Origin
from dbgkit.model.recordings import Recording
from dbgkit.remote.common.frame_codes import FrameCode
from dbgkit.remote.common.texts import in_line

if TYPE_CHECKING:
    from dask.typing import Key
    from distributed import Client

    from dbgkit.remote.common.wire_failures import Needs, Visit
    from dbgkit.remote.common.wire_replays import RaisedForm
    from dbgkit.remote.common.wire_shrink import LineSource


@dataclass(frozen=True)
class Evidence:
    """How a failure was located, and what a replay starts from."""

    client: Client | None = None  # None without a cluster
    visit: Visit | None = None  # the scheduler's answer (remote.scheduler.extension)
    # ``{key: GraphNode}``, if it is known from a graph that the client still has.
    graph: Mapping[Key, Any] | None = None
    cache: Mapping[Key, Any] | None = None  # inputs that are still in this process
    # What the graph was computed for, where the failed key is not known.
    outputs: tuple[Key, ...] = ()
    # ``"distributed"``, ``"local"`` (Dask's threads, processes or synchronous
    # scheduler), or ``""`` where nothing of Dask ran.
    scheduler: str = ""
    # What ran in frames of the traceback whose file, or source, it does not give.
    codes: tuple[FrameCode, ...] = ()
    # Run specs as pickles, of a task that a file holds: see `bundles`.
    specs: Mapping[Key, bytes] | None = field(default=None, repr=False)
    # Where the first rows of the call's arguments came from, by their place or name.
    read: Mapping[Any, LineSource] = field(default_factory=dict, repr=False)
    refusal: Exception | None = None  # why it cannot be run again
    needs: Needs | None = None  # of a task that killed its workers
    index: Any = None  # `source.Index`; None: uses only what this process knows
    # The exception as the scheduler has it; empty if not known, or not wanted.
    pickled: bytes = field(default=b"", repr=False)
    # Options of the call that found it which the next one needs too (`advice`).
    again: Mapping[str, Any] = field(default_factory=dict)
    # What it raised as it was run here, by which a replay is compared with that run.
    raised: RaisedForm | None = field(default=None, repr=False)
    # What the recorder saw of it, if nothing else shows what caused it.
    recording: Recording | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Failure(FoundIn, Displayed):
    """One task that raised by itself; what failed because of it is *cascaded*.

    Attributes
    ----------
    key : Key or None
        The key of the task that failed; None if no task did.
    name : str
        The task in human words: ``step "boom" on partition 6 (of 10, counted from 0)``.
    exception_type : str
        Name of the exception's class, as on the worker, without its module.
    message : str
        The exception's message, as on the worker.
    traceback_text : str
        The frames as text, as on the worker; may be empty (builtin functions, a
        task that killed its worker).
    worker : str or None
        Address of the worker that it failed on.
    when : datetime or None
        When it failed (timezone-aware, UTC); None if Dask does not say.
    attempts : int
        How many times it was tried.
    found_in : str
        Where it was found: ``"scheduler"`` (the task is still there), ``"graph"``
        (the scheduler has forgotten it, the graph is in the traceback),
        ``"history"`` (it has, and only its history of failures, the recorder or a log
        is left: it cannot be run again),
        ``"local"`` (a scheduler in this process), ``"meta"`` (Dask called the
        function on made-up data, on the client), ``"exception"`` (no task raised
        it: see ``kind``), ``"file"`` (a `Bundle`).
    exception : BaseException or None
        The exception as it reached the client, if it did.
    asked : Key or None
        The key that was asked for, if the failure is upstream of it, or if it failed
        because of this one in a collective (`notes` says so).
    killed : bool
        Whether it killed the worker that it ran on, or may have (see `role`).
    role : str
        ``"suspect"``: it is one of several tasks that may have killed their worker;
        ``"bystander"``: it was only there. Empty for all else.
    came_from : tuple of Origin
        The literals that lead to it, the nearest first: which file and bytes, which
        call.
    others : tuple of Key
        Keys of further failures among the same target, earliest first.
    through : tuple of Key
        Tasks that led to it, each submitting the next one, and failed because of it.
    forgotten : Key or None
        The task that it had submitted and failed because of, if the scheduler has
        forgotten that one; a recording of it may remain.
    shuffle : str
        ``"transfer"``, ``"barrier"`` or ``"unpack"``: in which phase of a P2P shuffle
        it failed; empty for all else.
    notes : tuple of str
        Further remarks: that it may be another client's, that several tasks match, that
        text was corrected; if no task raised it, first what it is and then what to do.
    kind : str
        What raised it: ``"task"``; ``"carried"``: a task, whose exception a library
        returned as the task's result; ``"meta"``: Dask, on made-up data; or no
        task at all: ``"unsent"`` (the client could not pickle what it was to send),
        ``"result"`` (what a task returned cannot be sent here), ``"run"``
        (``client.run`` and ``run_on_scheduler``), ``"plugin"`` (a plugin as it was
        registered), ``"start"`` (a worker that did not start), ``"callback"`` (one
        of a future's), ``"actor"`` (a method of an actor), ``"dask"`` (Dask itself,
        on the client), ``"remote"`` (another process; the task is not known any
        more), ``"none"`` (nothing to do with Dask).
    """

    key: Key | None
    name: str
    exception_type: str
    message: str
    traceback_text: str = ""
    worker: str | None = None
    when: datetime | None = None
    attempts: int = 1
    found_in: str = "scheduler"
    exception: BaseException | None = field(default=None, repr=False)
    asked: Key | None = None
    killed: bool = False
    came_from: tuple[Origin, ...] = field(default=(), repr=False)
    others: tuple[Key, ...] = field(default=(), repr=False)
    through: tuple[Key, ...] = field(default=(), repr=False)
    forgotten: Key | None = field(default=None, repr=False)
    shuffle: str = ""
    notes: tuple[str, ...] = field(default=(), repr=False)
    kind: str = "task"
    role: str = ""
    evidence: Evidence = field(default=Evidence(), repr=False, compare=False)
    _json = (
        "key name exception_type message traceback_text=_shown_traceback worker when "
        "attempts found_in asked killed role came_from others through forgotten "
        "shuffle notes"
    )

    @property
    def _shown_traceback(self) -> str:
        """`traceback_text`, with the files and source of its code."""
        return traceback_shown(self)

    def __repr__(self) -> str:
        from dbgkit.remote.secrets.redact import redact_text

        where = f" on {self.worker}" if self.worker else ""
        return in_line(
            f"<Failure {redact_text(repr(self.key))}{where}: {self.exception_type}: "
            f"{redact_text(self.message[:400])[:80]!r}>"
        )
