"""Words of what tasks wait for: those of ``why``, and of the page on the dashboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .sentences import counted, cut, seconds, several, size

if TYPE_CHECKING:
    from .wire_why import (
        Lacking,
        Named,
        Paused,
        ResourcesEnd,
        RestrictionsEnd,
        Waiter,
        Wanted,
    )
    from .wire_why_workers import Joining

LATE = 0.25  # seconds from which on the scheduler's event loop is late
LONG = 60.0  # seconds after which a start is hardly just slow


def worker_of(worker: Named) -> str:
    """A worker's address, and its name if that is another."""
    if worker["name"] == worker["address"]:
        return worker["address"]
    return f"{worker['address']} (name {worker['name']!r})"


def workers_are(count: int) -> str:
    """``1 worker is``, ``2 workers are``"""
    return f"{counted(count, 'worker')} {'is' if count == 1 else 'are'}"


# -- what tasks ask for --------------------------------------------------------------


def amounts(resources: Mapping[str, float]) -> str:
    """``GPU=1, disk=2``"""
    return ", ".join(f"{name}={amount:g}" for name, amount in sorted(resources.items()))


def placed(wanted: Wanted) -> list[str]:
    """The workers and hosts that a task is restricted to."""
    hosts = (f"host {host}" for host in wanted["only_hosts"])
    return [*wanted["only_workers"], *hosts]


def wanted_of(wanted: Wanted) -> str:
    """What a task asks of a worker."""
    parts = placed(wanted)
    if wanted["resources"]:
        parts.append(amounts(wanted["resources"]))
    return several(parts)


def nearest_of(end: RestrictionsEnd) -> str:
    """The worker that is nearest to those that a task is restricted to."""
    nearest = end["nearest"]
    where = "on the same host" if nearest["same_host"] else "on another host"
    return f"the nearest is {worker_of(nearest)}, {where}"


def lacking_of(end: ResourcesEnd) -> list[str]:
    """Each resource of which no worker has enough."""
    return [*map(_lacking, end["lacking"])] or ["no worker has all of it"]


def _lacking(lacking: Lacking) -> str:
    name = cut(lacking["resource"], 80)
    if not lacking["has"]:
        return f"{name}: no worker has any"
    return (
        f"{name}: {lacking['wanted']:g} wanted, the nearest worker "
        f"{worker_of(lacking)} has {lacking['has']:g}"
    )


# -- workers that do not run yet, or not now ------------------------------------------


def all_long(joining: Sequence[Joining]) -> bool:
    """Whether it is unlikely that any of these workers still joins by itself."""
    return bool(joining) and all(each["age"] > LONG for each in joining)


def being_set_up(joining: Iterable[Joining]) -> list[str]:
    """Workers that have just registered."""
    return [f"{each['address']} is being set up" for each in joining]


def nannies_start(count: int) -> str:
    """``1 nanny is starting a worker``"""
    nannies = counted(count, "nanny", "nannies")
    return f"{nannies} {'is' if count == 1 else 'are'} starting a worker"


def never_joined(joining: Joining) -> str:
    """A worker that registered long ago."""
    ago = seconds(joining["age"])
    return f"{joining['address']}: registered {ago} ago, and is still being set up"


def not_started(count: int, waits: str) -> str:
    """That workers do not finish starting; ``waits``: which tasks wait, if any do."""
    does, them = ("does", "it") if count == 1 else ("do", "them")
    text = f"{counted(count, 'worker')} {does} not finish starting"
    return f"{text}; {waits} for {them}" if waits else text


def in_use(worker: Paused, used: int | None) -> str:
    """A worker that is paused, and how much of its memory it uses."""
    text = f"{worker['address']}: {worker['status']}"
    if used and worker["limit"]:
        text += f", {size(used)} of {size(worker['limit'])} in use"
    return text


def waiter_of(waiter: Waiter) -> str:
    """Who waits for a lock, an event, a queue."""
    text = f"{waiter['waiting']} wait for {waiter['kind']} {waiter['name']!r}"
    if waiter.get("held"):
        text += f", {waiter['held']} hold it"
    if waiter.get("queue"):
        text += f", which is {waiter['queue']}"
    if waiter["kind"] == "event":
        text += ", which is not set"
    return text
