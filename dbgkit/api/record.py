"""``dbgkit.record``: turn the recorder on."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, overload

from dbgkit.api.asking import Asking, Async, Sync, Unpack, look, own_client
from dbgkit.api.by_name import by_name
from dbgkit.api.record_settings import configured, holding, parsed
from dbgkit.api.recorder import AsyncRecorder, Recorder, hold_too, link_of, warn_of
from dbgkit.api.recorder import record_off as record_off
from dbgkit.cluster.recordings import switch_on
from dbgkit.cluster.view import View
from dbgkit.model import SwitchedOn


class _Options(Asking, total=False):
    hold: Any
    keep_inputs: Any
    nbytes: Any
    kept: Any
    time: Any
    secret_names: Iterable[str] | None
    dashboard: bool | None
    keep_frames: Any
    most: int | None


@overload
def record(*, asynchronous: Sync = None, **options: Unpack[_Options]) -> Recorder: ...


@overload
def record(*, asynchronous: Async, **options: Unpack[_Options]) -> AsyncRecorder: ...


@by_name
def record(
    *,
    client: Any = None,
    hold: Any = None,
    keep_inputs: Any = None,
    nbytes: Any = None,
    kept: Any = None,
    time: Any = None,
    secret_names: Iterable[str] | None = None,
    dashboard: bool | None = None,
    keep_frames: Any = None,
    most: int | None = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Recorder:
    """Turn the recorder on: what fails from now on is recorded on its worker.

    Frames with their source and locals, each within a budget, are taken at the moment a
    task fails and held by the scheduler; they outlive the futures and the worker.
    Workers that join later record too. Nothing is installed on the cluster. If it is on
    already, it takes the settings that are given here.

    Parameters
    ----------
    client : Client or str, optional
        By default the current one.
    hold : str or int, optional
        The most bytes that the scheduler holds; ``"64 MB"`` by default. Beyond that,
        the oldest recordings of the most frequent kind of failure are dropped first,
        and counted.
    keep_inputs : str or int, optional
        The most bytes of inputs of failed tasks that are kept in the workers' memory,
        so that a replay need not compute them again; none by default.
    nbytes : str or int, optional
        The most bytes of one recording as it is sent; ``"256 kB"`` by default.
    kept : str or int, optional
        Values of up to this many bytes are recorded whole; ``"4 kB"`` by default.
        Larger ones are recorded as text.
    time : str or float, optional
        Time that one recording may take, in seconds or as ``"100 ms"``.
    secret_names : iterable of str, optional
        Names of variables, attributes and keys to hide in addition to the usual ones
        and to those that a running recorder already hides.
    dashboard : bool, optional
        Show failures by root cause, and what blocks, on a page of the scheduler's own
        HTTP server: ``/dbgkit``, next to Dask's dashboard and for whoever can open
        that. The page stays until the recorder is off. By default there is none.
    keep_frames : str or float, optional
        Hold failures themselves for so long, such as ``"10 min"``: the exception with
        its live frames stays in the memory of its worker, with all values whole, for
        `attach` to enter; by default none. The time counts from the failure, or from
        the last command that somebody typed there. Nothing waits for it. One is let
        go earlier if its worker's memory is about to be spilled, the oldest first.
    most : int, optional
        How many failures of each kind (class, file and line) a worker holds at once;
        3 by default. Later ones are recorded, but not held.
    timeout : str or float
        Limit of all waits on the cluster together. Workers have at most twenty seconds
        of it; those that do not answer get the recorder as soon as they do.
    asynchronous : bool, optional
        As for `locate`; `Recorder.off` follows it too, unless given its own.

    Returns
    -------
    Recorder
        With ``off()``, and ``without``: who did not answer; also a context manager
        that turns it off, unless it was on before or another client wants it. With an
        asynchronous client it is to be awaited, or entered with ``async with``.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut
        There is no cluster, or its scheduler does not answer.
    RecorderBroken
        It failed on a worker as it started, and is off again.
    NotHere
        Failures are to be held, and the cluster refuses to run code that it is sent.
    ValueError
        A setting is not a size, a time or a name.

    Warns
    -----
    RuntimeWarning
        A worker or nanny did not answer in time.

    Notes
    -----
    It stays on for whoever turned it on until they turn it off, or until their client
    has gone and somebody else turns it off. The defaults are those of Dask's
    configuration, ``dbgkit.record.hold`` and so on. Costs a healthy task some
    microseconds, a failing one at most `time` or so.

    Examples
    --------
    >>> from distributed import Client, wait
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     with dbgkit.record():
    ...         future = client.submit(lambda x: 1 / x, 0, key="ratio-1")
    ...         _ = wait(future)
    ...         held = dbgkit.recordings()
    >>> [(each.key, each.exception_type) for each in held.recordings]
    [('ratio-1', 'ZeroDivisionError')]
    """
    given = parsed(
        {
            "hold": hold,
            "keep-inputs": keep_inputs,
            "nbytes": nbytes,
            "kept": kept,
            "time": time,
            "secret-names": secret_names,
            "dashboard": dashboard,
        }
    )

    held = holding(keep_frames, most)

    # The current client may have changed by the time that it is turned off.
    client = own_client(None) if client is None else client
    token = uuid.uuid4().hex
    # It is there before the scheduler hears of its token: another thread whose block
    # ends meanwhile names those that go on.
    recorder = Recorder(client, timeout, token, asynchronous)

    def run(found: View) -> SwitchedOn:
        link = link_of(found)
        with link.altogether():
            on = switch_on(link, given, configured(), token)
            return on if held is None else hold_too(link, recorder, on, held)

    started = look(None, client, None, timeout, run, asynchronous)
    if not isinstance(started, SwitchedOn):
        return AsyncRecorder(started, client, timeout, token, asynchronous)
    recorder._take(started)
    warn_of(recorder.without, "the recorder is on", 4)  # `by_name` is above
    return recorder
