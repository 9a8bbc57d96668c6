"""What a replay is about to do, and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dbgkit.model.base import Jsonable
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key

Scope = Literal["task", "ancestors"]
Where = Literal["here", "process", "worker"]


@dataclass(frozen=True)
class InputInfo(Jsonable):
    """One input of the replay.

    Attributes
    ----------
    key : Key
    name : str
        In human words.
    nbytes : int or None
        Size in bytes where the scheduler knows it.
    type : str
        Name of its type, as far as the scheduler knows it.
    how : str
        ``"pull"`` (in memory on a worker), ``"recompute"`` (released: computed
        again on the cluster), ``"run"`` (computed where the task runs,
        ``scope="ancestors"`` or ``where="worker"``), ``"have"`` (already in that
        process).
    """

    key: Key
    name: str
    nbytes: int | None
    type: str
    how: Literal["pull", "recompute", "run", "have"]


@dataclass(frozen=True)
class Plan(Displayed):
    """What a replay will do; ``dry_run=True`` gives this alone.

    Attributes
    ----------
    key, name
        The task.
    scope, where : str
        As resolved: never None.
    inputs : tuple of InputInfo
        Direct inputs of the task (``scope="task"``), or everything that is taken from
        the cluster or run here (``scope="ancestors"``).
    pull_bytes : int
        Bytes to be pulled, as far as the scheduler knows the sizes; between workers
        where it runs on one.
    recompute : tuple of Key
        Keys to be computed again on the cluster, the user's own names.
    own_keys : tuple of Key
        Those of ``recompute`` that run under their own keys (P2P shuffles), so
        that their states change while they do.
    run_here : tuple of Key
        Keys that run in this process, its child or on that worker, the failed one
        last.
    times : int
        How often the task itself will run.
    warnings : tuple of str
        Side effects, and what else to know beforehand.
    call : str
        The call in a bounded text, inputs by their keys: ``ratio(25, <load-3>)``;
        filled by a dry run only.
    worker : str
        Address of the worker that it runs on; empty but for ``where="worker"``.
    """

    key: Key
    name: str
    scope: Scope
    where: Where
    inputs: tuple[InputInfo, ...] = ()
    pull_bytes: int = 0
    recompute: tuple[Key, ...] = ()
    own_keys: tuple[Key, ...] = ()
    run_here: tuple[Key, ...] = ()
    times: int = 1
    warnings: tuple[str, ...] = ()
    call: str = ""
    worker: str = ""


@dataclass(frozen=True)
class Progress:
    """The progress of a stage, passed to ``notify``.

    ``stage`` is ``"pull"`` (``unit="bytes"``), ``"recompute"``, ``"run"`` or
    ``"times"`` (``unit="tasks"``), or ``"shrink"`` (``unit="parts"``: those that were
    left out so far).
    """

    stage: str
    done: int
    total: int
    unit: Literal["bytes", "tasks", "parts"] = "tasks"


@dataclass(frozen=True)
class Notice:
    """A remark on what is happening, passed to ``notify``."""

    text: str
