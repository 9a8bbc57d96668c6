"""What the scheduler knows of places where tasks are to stop without a breakpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..common.keys import as_key

if TYPE_CHECKING:
    from ..common.wire_live import Arming, AtForm

LINES_SINCE = (3, 12)  # sys.monitoring
TOO_OLD = "stopping at a line needs 3.12 or newer (sys.monitoring)"
MOST_VALUES = 10_000  # of one use of ``log``, from all workers
REPORTED = "a task has reported a value"


def as_sent(arming: Arming) -> Arming:
    """An arming as it came, with keys as they are."""
    if "at" not in arming:
        return arming
    keys = [as_key(each) for each in arming["at"]["keys"]]
    return {**arming, "at": {**arming["at"], "keys": keys}}


def tasks_at(state: Any, arming: Mapping[str, Any]) -> dict[str, int] | None:
    """Tasks that a place means, by state; None if it is not by key."""
    at: AtForm | None = arming.get("at")
    if at is None or not (at["keys"] or at["prefix"]):
        return None
    prefix = state.task_prefixes.get(at["prefix"])
    counts = {} if prefix is None else prefix.states
    found = {name: n for name, n in counts.items() if n and name != "forgotten"}
    for key in set(at["keys"]):
        ts = state.tasks.get(key)
        if ts is not None and ts.prefix is not prefix:
            found[ts.state] = found.get(ts.state, 0) + 1
    return found


def needs_lines(arming: Mapping[str, Any]) -> bool:
    """Whether an arming is for a line."""
    return "at" in arming and arming["at"]["when"] == "line"


def without_lines(workers: Mapping[str, Any]) -> dict[str, str]:
    """Workers whose Python cannot stop at lines, and why."""
    found = {address: _python(ws) for address, ws in workers.items()}
    return {
        address: f"its Python is {'.'.join(map(str, version))}, and {TOO_OLD}"
        for address, version in found.items()
        if version and version < LINES_SINCE
    }


def _python(ws: Any) -> tuple[int, ...]:
    """The version of a worker's Python; empty if it has not said.

    ``WorkerState.versions``, as ``distributed.versions.get_versions`` gives it.
    """
    host = (ws.versions or {}).get("host") or {}
    found = re.match(r"(\d+)\.(\d+)", str(host.get("python", "")))
    return (int(found[1]), int(found[2])) if found else ()


def spend(armings: Mapping[str, dict[str, Any]], tokens: list[str]) -> bool:
    """Note that tasks stop for some armings: whether any is over by that (``once``)."""
    spent = False
    for token in tokens:
        at: AtForm | None = armings[token].get("at")
        if at is not None and at["once"]:
            armings[token]["at"] = {**at, "spent": True}
            spent = True
    return spent


def is_spent(arming: Mapping[str, Any]) -> bool:
    """Whether it has stopped the one task that it was for."""
    return "at" in arming and bool(arming["at"]["spent"])


def reported(
    armings: Mapping[str, dict[str, Any]], form: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What an event says of a value that a task has reported; None: there were many."""
    tokens = [token for token in form["tokens"] if token in armings]
    place = form["place"]
    for token in tokens:
        armings[token]["reports"] = armings[token].get("reports", 0) + 1
    if all(armings[token]["reports"] > MOST_VALUES for token in tokens):
        return None
    return {
        "tokens": tokens,
        "key": as_key(form["key"]),
        "worker": str(form["worker"]),
        "line": f"{place['file']}:{place['line']} in {place['name']}",
        "place": dict(place),
        "asked": str(form["asked"]),
        "value": str(form["value"]),
    }
