"""Words on workers that do not answer: their hosts are cut off, or they are blocked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbgkit.remote.common.wire_why_workers import Reach

_PORTS = {
    "open": "its port takes connections",
    "closed": "its port is closed",
    "silent": "nothing comes back from its port",
    "unreachable": "its host cannot be reached",
}


def of_reach(reach: Reach | None) -> list[str]:
    """What the scheduler got to hear from a worker's port, its nanny and its host."""
    if reach is None:
        return []
    found = [_PORTS[reach["port"]]] if reach["port"] in _PORTS else []
    if reach["nanny"] is not None:
        found.append(f"its nanny {'answers' if reach['nanny'] else 'does not answer'}")
    if reach["mate"] is not None:
        does = "answers" if reach["mate"] else "does not answer either"
        found.append(f"another worker of its host {does}")
    process = f" (process {reach['pid']} on {reach['host']})" if reach["pid"] else ""
    return [f"as the scheduler sees it: {'; '.join(found)}{process}"] if found else []


def reach_advice(workers: Iterable[str], reached: Mapping[str, Reach]) -> list[str]:
    """What to do about workers, by how far the scheduler gets to them."""
    known = [reached[each] for each in workers if each in reached]
    advice = []
    blocked = [each for each in known if _is_blocked(each)]
    if blocked or not known:
        advice.append(
            "its process is stopped, swaps, or runs code that never releases the "
            "GIL: inspect it with top and py-spy dump"
        )
    if any(each["port"] == "closed" for each in known):
        advice.append(
            "its process has ended, or listens elsewhere: the scheduler drops it once "
            "their connection breaks"
        )
    hosts = sorted({each["host"] for each in known if is_cut_off(each)})
    if hosts:
        advice.append(
            f"waiting helps only if the network to {', '.join(hosts)} comes back: see "
            "whether that host is up and reachable from the scheduler's; Dask drops "
            "its workers after distributed.scheduler.worker-ttl (5 minutes by "
            "default), and runs their tasks elsewhere"
        )
    return advice


def is_cut_off(reach: Reach) -> bool:
    """Whether nothing of a worker's host can be reached."""
    away = reach["port"] in ("silent", "unreachable")
    return away and not (reach["nanny"] or reach["mate"])


def _is_blocked(reach: Reach) -> bool:
    return reach["port"] != "closed" and not is_cut_off(reach)
