"""The client's side of a shrink on a worker: begin it, ask how far it is, stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed.protocol.pickle import dumps

from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import CompressedFunction

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_shrink import ShrinkJob

AT_ONCE = 1.0  # seconds that a worker may keep a question until there is news
AROUND = 10.0  # seconds that it may take to pickle the smallest input


def begin_on(link: Link, address: str, job: ShrinkJob, limit: float) -> Any:
    """What ``remote.worker.shrink.begin`` answers, or the exception that came."""
    job = {
        **job,
        "ask": f"{extension_name()}-ask",
        "find": dumps(CompressedFunction("common.leases", "find_leases")),
        "code": dumps(CompressedFunction("worker.shrink_thread", "run")),
    }
    function = CompressedFunction("worker.shrink", "begin")
    return _run_on(link, address, limit, function, job)


def look_at(link: Link, address: str, name: str, stop: str = "") -> Any:
    """What ``remote.worker.shrink_look.look`` answers, or the exception that came.

    With a reason to ``stop``, no further run of the task begins.
    """
    function = CompressedFunction("worker.shrink_look", "look")
    limit = link.timeout + AT_ONCE + AROUND
    return _run_on(link, address, limit, function, name, AT_ONCE, stop)


def _run_on(link: Link, address: str, limit: float, function: Any, *args: Any) -> Any:
    answers = link.call(
        link.client.run,
        function,
        *args,
        workers=[address],
        on_error="return",
        what=f"the answer of {address}",
        limit=limit,
    )
    return answers.get(address)
