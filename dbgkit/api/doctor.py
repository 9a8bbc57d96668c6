"""``dbgkit.doctor``: is the cluster fit for debugging."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, overload

from dbgkit.api.asking import Async, Looking, Sync, Unpack, look
from dbgkit.api.by_name import by_name
from dbgkit.diagnose.doctor.examine import examine_cluster
from dbgkit.model import Checkup


@overload
def doctor(*, asynchronous: Sync = None, **options: Unpack[Looking]) -> Checkup: ...


@overload
def doctor(
    *, asynchronous: Async, **options: Unpack[Looking]
) -> Coroutine[Any, Any, Checkup]: ...


@by_name
def doctor(
    *,
    client: Any = None,
    view: Any = None,
    source: Any = None,
    timeout: Any = "30s",
    asynchronous: bool | None = None,
) -> Checkup | Coroutine[Any, Any, Checkup]:
    """Check whether a cluster is fit for debugging, and say what to change.

    Checks versions, workers that do not answer, leave as they start, are paused or have
    no nanny, plugins that fail, your own modules that workers lack or have otherwise
    than this process, the lengths of logs, memory that frames of failed tasks hold, and
    settings that hide failures.

    Parameters
    ----------
    client, view, source, timeout, asynchronous
        As for `failures`. Workers that do not answer within half of `timeout`, at
        most 10 s, are a finding.

    Returns
    -------
    Checkup
        Its `findings`, problems first; `healthy` if all of them are ``"ok"``. With
        an asynchronous client, an awaitable.

    Raises
    ------
    NoFailure, SchedulerGone, WaitTimedOut, DumpUnreadable
        As for `failures`.

    Notes
    -----
    Costs one call to the scheduler, which asks the nannies (at most 50) for their logs,
    and one to each worker (at most 64), which passes once over the objects that
    Python's garbage collector tracks: about 0.1 s per million. Nothing is collected.
    Of at most 500 modules that this process has imported, and that are not installed
    packages, the source files are read here and on the workers, at most 10 MB; nothing
    is imported. Of functions alone is it known whether they changed after an import.

    Examples
    --------
    >>> from distributed import Client
    >>> import dbgkit
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     checkup = dbgkit.doctor()
    >>> [each.level for each in checkup.findings if each.check == "versions"]
    ['ok']
    """
    return look(None, client, view, timeout, examine_cluster, asynchronous, source)
