"""Stops: tasks that wait at a ``breakpoint()``, and failures that are held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dbgkit.model.base import Jsonable, Span
from dbgkit.model.display import Displayed

if TYPE_CHECKING:
    from dask.typing import Key


@dataclass(frozen=True)
class Stop(Displayed):
    """A task that has stopped at a ``breakpoint()``, or a failure that is held.

    Attributes
    ----------
    key : Key
        A target for `attach` and all other verbs.
    prefix : str
    worker : str
        Address of the worker.
    line : str
        ``file.py:12 in work``; its text, where it is known, is ``source``.
    source : str
    since : datetime
        When it stopped, or failed (timezone-aware, UTC).
    until : datetime
        When it goes on by itself, or is let go, if nobody types anything until then.
    state : str
        ``"waiting"`` at the prompt; ``"running"``, as when a step takes long;
        ``"held"``: it has failed, and its frames are there.
    who : str
        Who is in it; empty: nobody.
    entered : datetime or None
        Since when.
    commands : int
        How many have been typed so far.
    resources : mapping of str to float
        Resources of the worker that it holds, as it would while it runs.
    cancelled : bool
        Nobody wants its result any more: it will be dropped.
    how : str
        How a session has left it: ``"detached"``, ``"continued"``, ``"aborted"``,
        ``"finished"``, ``"limit"``, ``"off"``, ``"cancelled"``, ``"closing"``,
        ``"lost"``, or of a failure ``"dropped"``, ``"memory"`` or ``"number"``; empty
        in a list.
    id : str
        Of this stop, where a task stops more than once.
    exception : str
        Of a failure: ``"ZeroDivisionError: division by zero"``, secrets hidden.
    """

    key: Key
    prefix: str
    worker: str
    line: str
    source: str
    since: datetime
    until: datetime
    state: str = "waiting"
    who: str = ""
    entered: datetime | None = None
    commands: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    cancelled: bool = False
    how: str = ""
    id: str = ""
    exception: str = ""


@dataclass(frozen=True)
class Passed(Jsonable):
    """Tasks of one prefix that came to a ``breakpoint()`` and went on.

    Attributes
    ----------
    prefix : str
    why : str
    line : str
        ``file.py:12 in work``
    count : int
        How many times.
    example : Key
        One of the tasks; None where it is not known.
    """

    prefix: str
    why: str
    line: str
    count: int
    example: Key


@dataclass(frozen=True)
class Armed(Jsonable):
    """One use of `live` or `break_at`, or of `record` to hold failures, that is on.

    Attributes
    ----------
    who : str
    everyone : bool
        Whether tasks of every client stop, or only those of that one.
    most : int
        How many tasks stop, for each prefix and worker; or how many failures of each
        kind are held on a worker.
    limit : float
        Seconds without a command after which a task goes on, or a failure is let go.
    since : datetime
    at : str
        ``break_at('load')``, say; empty: at every ``breakpoint()``.
    holds : bool
        Failures are held, and nothing stops.
    """

    who: str
    everyone: bool
    most: int
    limit: float
    since: datetime
    at: str = ""
    holds: bool = False


@dataclass(frozen=True)
class Stops(Displayed):
    """What waits at a ``breakpoint()`` on a cluster, and failures that are held.

    Iterates over `stops`, then over `held`, and has their number.

    Attributes
    ----------
    stops : tuple of Stop
        The oldest first.
    passed : tuple of Passed
        What came to a ``breakpoint()`` and did not stop.
    held : tuple of Stop
        Failures that are held with their live frames, the oldest first.
    omitted : int
        How many kinds of those that passed were left out.
    armed : tuple of Armed
        For whom `live` is on, and `record` holds failures.
    span : Span
        When the scheduler was asked.
    """

    stops: tuple[Stop, ...]
    passed: tuple[Passed, ...] = ()
    held: tuple[Stop, ...] = ()
    omitted: int = 0
    armed: tuple[Armed, ...] = ()
    span: Span | None = None

    def __iter__(self) -> Iterator[Stop]:
        return iter((*self.stops, *self.held))

    def __len__(self) -> int:
        return len(self.stops) + len(self.held)

    def __getitem__(self, index: int) -> Stop:
        return (*self.stops, *self.held)[index]

    def __repr__(self) -> str:
        held = f", {len(self.held)} held" if self.held else ""
        return f"<Stops: {len(self.stops)} waiting{held}>"
