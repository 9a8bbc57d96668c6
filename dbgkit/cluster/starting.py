"""Nannies of this process: workers that they start, or failed to start."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from dbgkit.cluster.connection import scheduler_started
from dbgkit.remote.common.log_records import records_of
from dbgkit.remote.common.texts import safe_repr, type_and_message

AGAIN = 2  # restarts of processes that ended as they started
LATELY = 300.0  # seconds in which worker processes ended that count
_ENDED = re.compile(r"^Worker process \d+ (exited with status \d+|was killed by .*)")
# ``Nanny.close_gracefully``, and the reason of ``Worker.handle_scheduler``.
_CLOSES = "Closing Nanny gracefully"
_BROKEN = "worker-handle-scheduler-connection-broken"
_RESTARTS = "Restarting worker"  # ``Nanny._on_worker_exit``
_NO_REASON = "Nanny failed to start"  # what it says where its process just ended


@dataclass(frozen=True)
class Starting:
    """A nanny whose worker is not there.

    Attributes
    ----------
    name : str
        Of the worker.
    state : str
        ``"starting"``; ``"failed"`` if its processes have ended as they started: it has
        closed, or tries again and again.
    pid : int or None
        Of the worker's process, while there is one.
    seconds : float or None
        Since that process has started.
    error : str
        Why it failed to start, if the process said so.
    """

    name: str
    state: Literal["starting", "failed"]
    pid: int | None = None
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Starts:
    """What nannies of this process have to do with one scheduler's workers to come.

    ``ended`` is how their worker processes ended lately that did not end well, the
    newest first; nannies do not say which of them started which. ``left`` of them
    closed in good order, as the stream of messages from the scheduler broke off.
    """

    nannies: tuple[Starting, ...] = ()
    ended: tuple[str, ...] = ()
    left: int = 0

    def of(self, state: str) -> list[Starting]:
        return [nanny for nanny in self.nannies if nanny.state == state]


def starts_here(client: Any) -> Starts:
    """Nannies of this process whose workers have not come to a client's scheduler.

    Only those of a cluster that was started here (`LocalCluster`, for example) are.
    """
    nannies = _nannies_of(client)
    lines = _lines_of(nannies, since=scheduler_started(client))
    # Until 2025, one whose first process ended as it started tried without end.
    again = sum(line.startswith(_RESTARTS) for line in lines) >= AGAIN
    found = (each for nanny in nannies if (each := _starting(nanny, again)) is not None)
    ended = (match[1] for line in lines if (match := _ENDED.match(line)))
    left = sum(line.startswith(_CLOSES) and line.endswith(_BROKEN) for line in lines)
    return Starts(tuple(found), tuple(ended), left)


def _nannies_of(client: Any) -> list[Any]:
    """``Nanny._instances`` is a weak set of all nannies of a process."""
    module = sys.modules.get("distributed.nanny")
    address = getattr(client.scheduler, "address", None)
    for _ in range(3 if module is not None else 0):
        with suppress(RuntimeError):  # one has come meanwhile
            nannies = list(getattr(module, "Nanny")._instances)  # noqa: B009
            return [each for each in nannies if each.scheduler_addr == address]
    return []


def _starting(nanny: Any, again: bool) -> Starting | None:
    """``WorkerProcess.status`` of its worker's process; ``Server.__startup_exc``.

    ``again``: nannies have started more than one process in place of one that ended.
    """
    name, status = str(nanny.name), nanny.status.name
    error = getattr(nanny, "_Server__startup_exc", None)
    if error is not None:
        return Starting(name, "failed", error=_why_failed(error))
    process = nanny.process
    waits = process is not None and process.status.name == "starting"
    if status == "init" and waits and again:
        return Starting(name, "failed")
    if status in ("init", "starting", "running") and waits:
        pid = process.pid
        return Starting(name, "starting", pid, _age_of(pid))
    return None


def _age_of(pid: int | None) -> float | None:
    import psutil

    try:
        return (
            max(0.0, time.time() - psutil.Process(pid).create_time()) if pid else None
        )
    except psutil.Error:
        return None


def _why_failed(error: BaseException) -> str:
    """The error that a nanny failed with: its worker's own, if that could send it."""
    while error.__cause__ is not None:
        error = error.__cause__
    if str(error).startswith(_NO_REASON):
        return ""
    kind, message = type_and_message(safe_repr(error))
    return f"{kind}: {(message.strip().splitlines() or [''])[0]}"


def _lines_of(nannies: list[Any], since: float) -> list[str]:
    """What nannies of a process logged lately, the newest first.

    They share one log with those of clusters that were closed before ``since``.
    """
    since = max(since, time.time() - LATELY)
    return [
        record.getMessage()
        for nanny in nannies[:1]
        for record in records_of(nanny)
        if record.created > since
    ]
