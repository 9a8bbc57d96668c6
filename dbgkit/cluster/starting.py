"""Nannies of this process: workers that they start, or failed to start."""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from dbgkit.remote.common.texts import safe_repr, type_and_message

LATELY = 300.0  # seconds in which worker processes ended that count
_ENDED = re.compile(r"^Worker process \d+ (exited with status \d+|was killed by .*)")
_NO_REASON = "Nanny failed to start"  # what it says where its process just ended


@dataclass(frozen=True)
class Starting:
    """A nanny whose worker is not there.

    Attributes
    ----------
    name : str
        Of the worker.
    state : str
        ``"starting"``; ``"failed"`` if it has given up, and has closed.
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

    ``ended`` is how their worker processes ended lately, the newest first; nannies do
    not say which of them started which.
    """

    nannies: tuple[Starting, ...] = ()
    ended: tuple[str, ...] = ()

    def of(self, state: str) -> list[Starting]:
        return [nanny for nanny in self.nannies if nanny.state == state]


def starts_here(client: Any) -> Starts:
    """Nannies of this process whose workers have not come to a client's scheduler.

    Only those of a cluster that was started here (`LocalCluster`, for example) are.
    """
    nannies = _nannies_of(client)
    found = (each for nanny in nannies if (each := _starting(nanny)) is not None)
    return Starts(tuple(found), _ended(nannies))


def _nannies_of(client: Any) -> list[Any]:
    """``Nanny._instances`` is a weak set of all nannies of a process."""
    module = sys.modules.get("distributed.nanny")
    address = getattr(client.scheduler, "address", None)
    for _ in range(3 if module is not None else 0):
        with suppress(RuntimeError):  # one has come meanwhile
            nannies = list(getattr(module, "Nanny")._instances)  # noqa: B009
            return [each for each in nannies if each.scheduler_addr == address]
    return []


def _starting(nanny: Any) -> Starting | None:
    """``Server.status``, and ``WorkerProcess.status`` of its worker's process."""
    name, status = str(nanny.name), nanny.status.name
    if status == "failed":
        return Starting(name, "failed", error=_why_failed(nanny))
    process = nanny.process
    waits = process is not None and process.status.name == "starting"
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


def _why_failed(nanny: Any) -> str:
    """The error that a nanny failed with: ``Server.__startup_exc``.

    It is its worker's own, if that could still send it.
    """
    error = getattr(nanny, "_Server__startup_exc", None)
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    if error is None or str(error).startswith(_NO_REASON):
        return ""
    kind, message = type_and_message(safe_repr(error))
    return f"{kind}: {(message.strip().splitlines() or [''])[0]}"


def _ended(nannies: list[Any]) -> tuple[str, ...]:
    """How worker processes ended, from the log that all nannies of a process share."""
    handlers = [getattr(nanny, "_deque_handler", None) for nanny in nannies[:1]]
    since = time.time() - LATELY
    return tuple(
        match[1]
        for handler in filter(None, handlers)
        for record in reversed(list(handler.deque))
        if record.created > since and (match := _ENDED.match(record.getMessage()))
    )
