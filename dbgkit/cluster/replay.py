"""The client's side of a replay on a worker: who could run it, and the call itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.protocol.pickle import dumps

from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.cluster.workers import PROBE_LIMIT, ask_workers, logs_of
from dbgkit.errors import WaitTimedOut

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_replays import Job, Look

GONE_WITHIN = 10.0  # seconds until the scheduler notices that a worker has ended
NANNY_WITHIN = 5.0  # seconds until a nanny has logged how, and restarted the worker
_LOOK = 0.2  # seconds between two checks

# What Nanny.on_exit (distributed/nanny.py, WorkerProcess._death_message) logs.
_ENDINGS = ("exited with status", "was killed by")


def look_at_workers(
    link: Link, addresses: Iterable[str], keys: Iterable[Any]
) -> dict[str, Look]:
    """What ``remote.worker.replay.look`` reports of some workers, all asked at once.

    Those that do not answer within a few seconds are left out.
    """
    function = ShippedFunction("worker.replay", "look")
    arguments = dict.fromkeys(addresses, (list(keys),))
    found: dict[str, Any] = ask_workers(link, function, arguments, dict)
    return found


def replay_on(link: Link, address: str, job: Job, limit: float) -> Any:
    """What ``remote.worker.replay.replay`` answers, or the exception that came."""
    function = ShippedFunction("worker.replay", "replay")
    job = {
        **job,
        "ask": f"{extension_name()}-ask",
        "find": dumps(ShippedFunction("common.leases", "find_leases")),
        "code": dumps(ShippedFunction("worker.replay_thread", "run")),
    }
    answers = link.call(
        link.client.run,
        *(function, job),
        workers=[address],
        on_error="return",
        what=f"the end of the task on {address}",
        limit=limit,
    )
    return answers.get(address)


def has_ended(link: Link, address: str, pid: int) -> bool:
    """Whether a worker's process has ended, as the scheduler sees it.

    It is asked again for some seconds, as it may not have noticed yet. A worker of
    another process may have the same address by then.
    """
    client, there = link.client, [address]
    end = time.monotonic() + GONE_WITHIN
    while True:
        what = "the scheduler's answer"
        if address not in link.call(client.nthreads, workers=there, what=what):
            return True
        with suppress(WaitTimedOut):
            found = link.call(
                client.run,
                os.getpid,
                workers=there,
                on_error="return",
                what=f"{address}'s answer",
                limit=PROBE_LIMIT,
            )
            if isinstance(found.get(address), int) and found[address] != pid:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK)


def closed_on_purpose(link: Link, address: str) -> bool:
    """Whether the scheduler saw a worker leave on request."""
    events = link.call(link.client.get_events, "all", what="the scheduler's events")
    return any(
        event.get("action") == "remove-worker"
        and event.get("worker") == address
        and event.get("expected")
        for _, event in events
        if isinstance(event, Mapping)
    )


def how_it_ended(link: Link, pid: int) -> str:
    """What a nanny has logged of the end of its worker's process; empty without one.

    Nannies of one host share their log, so the line is found by the process's id.
    """
    end = time.monotonic() + NANNY_WITHIN
    while True:
        for lines in logs_of(link, nannies=True).values():
            for line in lines:
                if f"process {pid} " in line and any(e in line for e in _ENDINGS):
                    return line.partition(" - ")[2] or line
        if time.monotonic() > end:
            return ""
        time.sleep(_LOOK)
