"""``dbgkit.break_at``: tasks stop where they are told to, without editing code."""

from __future__ import annotations

from typing import Any, overload

from dbgkit import render
from dbgkit.api.asking import Asking, Async, Sync, Unpack, own_client
from dbgkit.api.live import AsyncLive, Live, turned_on
from dbgkit.cluster.break_at import at_form
from dbgkit.cluster.live_notices import REPORTED, Event
from dbgkit.model.live import WentOn
from dbgkit.remote.common.sentences import counted
from dbgkit.source.stopped import Stopped

MOST_TOLD = 100  # values that are told of as they are reported
_ENDED = {"memory", "erred"}


class BreakAt(Live):
    """Tasks stop at a place, as `break_at` armed it.

    A context manager that takes it off again: what waits for it alone then goes on.

    Attributes
    ----------
    without : mapping of str to str
        Addresses of workers where tasks do not stop (yet), and why.
    note : str
        Why it may be that nothing stops: as it was armed, the scheduler knew no task
        of that key or prefix, or all of them had run. Empty otherwise.
    """

    note = ""
    _call = "dbgkit.break_at()"
    _reported = 0  # values

    def _is_on(self, started: WentOn) -> None:
        super()._is_on(started)
        states = started.tasks
        if states is not None and not states:
            self.note = (
                "no task of that key or prefix is known yet; one that is fused into "
                "another goes by that one's key"
            )
        elif states and states.keys() <= _ENDED:
            number = counted(sum(states.values()), "task")
            self.note = f"all that is known of it has run already ({number})"

    def _tell(self, event: Event) -> bool:
        """Say what has stopped, or what it reports."""
        if event["what"] != REPORTED or self._token not in event.get("tokens", ()):
            return super()._tell(event)
        self._reported += 1
        if self._reported <= MOST_TOLD:
            line, _ = Stopped().line(event["place"])
            told = f"{event['key']!r} at {line}: {event['asked']}: {event['value']}"
            if self._reported == MOST_TOLD:
                told += " (what else is reported, the events of 'dbgkit-live' have)"
            render.say(told)
        return True

    def __repr__(self) -> str:
        if not self.is_on:
            return "<BreakAt: off; dbgkit.break_at() stops tasks again>"
        but = f", except on {', '.join(self.without)}" if self.without else ""
        text = "a place" if self._at is None else self._at["text"]
        note = f" ({self.note})" if self.note else ""
        return (
            f"<BreakAt: {text} stops tasks{but}{note}; .off() takes it off, "
            "dbgkit.attach() lists what waits>"
        )


class AsyncBreakAt(BreakAt, AsyncLive):
    """The same with an asynchronous client: to be awaited, or with ``async with``."""


class _Options(Asking, total=False):
    when: str | int
    condition: str | None
    hits: int
    once: bool
    log: str | None
    most: int | None
    limit: Any
    everyone: bool | None


@overload
def break_at(
    place: Any, *, asynchronous: Sync = None, **options: Unpack[_Options]
) -> BreakAt: ...


@overload
def break_at(
    place: Any, *, asynchronous: Async, **options: Unpack[_Options]
) -> AsyncBreakAt: ...


def break_at(
    place: Any,
    *,
    when: str | int = "start",
    condition: str | None = None,
    hits: int = 1,
    once: bool = False,
    log: str | None = None,
    client: Any = None,
    most: int | None = None,
    limit: Any = None,
    everyone: bool | None = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> BreakAt:
    """Have tasks that are yet to run stop at a place, without editing their code.

    They stop as at a ``breakpoint()`` with `live`: `attach` lists and enters them, with
    the same limits.

    Parameters
    ----------
    place : key, str, function or Future
        A task's key, or the prefix of some (``"load"``, of ``"load-2f1c"``); a
        function, by itself or by its name's variable; or a line, ``"file.py:12"``,
        whose path may be just the end of the file's path on the workers.
    when : str or int
        ``"start"``: at the first line of a task's own code, or of the function.
        ``"error"``: where it raises, before the failure is reported: the frames are
        those of the failure, as after it; the task cannot go on from there. Or the
        number of a line: of the function's file, or, with a key or prefix, of whatever
        file of the user's own that the task runs.
    condition : str, optional
        An expression, for the names at that place: tasks stop where it is true. One
        that raises stops them.
    hits : int
        Stop from this arrival on, of those for which the condition is true; counted on
        each worker.
    once : bool
        Stop one task, once, on the whole cluster.
    log : str, optional
        An expression whose value is reported, with secrets hidden, and nothing stops:
        it is printed here, and logged as an event of the topic ``dbgkit-live``.
    client : Client or str, optional
        By default that of the future, else the current one.
    most : int, optional
        How many tasks stop in all, for each prefix and worker; 1 by default. Others
        run through, and are counted. One that has stopped stops again.
    limit : str or float, optional
        How long a task waits without a command until it goes on by itself;
        ``"10 min"`` by default.
    everyone : bool, optional
        Whether tasks of every client stop. By default only those of this client, with
        an address those of all.
    timeout : str or float
        Limit of all waits on the cluster together.
    asynchronous : bool, optional
        As for `live`.

    Returns
    -------
    BreakAt
        With ``off()``; also a context manager. With an asynchronous client it is to be
        awaited, or entered with ``async with``.

    Raises
    ------
    WrongTarget
        The place is nothing that a task can stop at.
    ValueError
        An option is not what it has to be, or there is no code at that line.
    NotHere
        The cluster refuses to run code that is sent to it, or it is for a line and
        Python is older than 3.12 on every worker.
    NoFailure, SchedulerGone, WaitTimedOut
        There is no cluster, or its scheduler does not answer.
    RecorderBroken
        It failed on a worker as it started, and is off again.

    Notes
    -----
    Lines cost the code around them nothing: workers use ``sys.monitoring``, which
    Python has since version 3.12. On older Pythons a function stops the tasks that
    are to call it, as their graph says, once each, but not where other code calls it.
    Fused tasks go by the key that is left of them. It ends with this client, and with
    `BreakAt.off`.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> def ratio(x):
    ...     return 1 / x
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     with dbgkit.break_at("ratio", when="error"):
    ...         future = client.submit(ratio, 0, key="ratio-0")
    ...         while not (waiting := dbgkit.attach()):
    ...             pass
    ...     print(waiting[0].key, type(future.exception()).__name__)
    ratio-0 ZeroDivisionError
    """
    form = at_form(place, when, condition, hits, once, log)
    mine = own_client(place) if client is None else client
    found = BreakAt(mine, timeout, asynchronous)
    found._at = form
    armed: Any = turned_on(found, AsyncBreakAt, most, limit, everyone, 3)
    return armed  # type: ignore[no-any-return]
