"""Removes what Dask keeps of dbgkit's own tasks and clients that are gone."""

from __future__ import annotations

import asyncio
from typing import Any

PRIVATE_PREFIX = "dbgkit-recompute"  # of the keys of replays/recompute.py
OWN_CLIENT = "Client-dbgkit-"  # how ids of clients begin that were opened for a call
LATER = 0.05  # seconds


def is_private(key: Any) -> bool:
    """Whether a key is private to a replay, so that its failure is not the user's."""
    name = key[0] if isinstance(key, tuple) and key else key
    return isinstance(name, str) and name.startswith(f"{PRIVATE_PREFIX}-")


def forget_group(scheduler: Any, group: Any) -> None:
    """Make a scheduler forget a group of tasks, once all of them are forgotten.

    ``Scheduler`` (distributed/scheduler.py) keeps a prefix permanently, and a group for
    as long as its computation or its span is kept.
    """
    if group.name in scheduler.task_groups:
        return
    for computation in list(scheduler.computations):
        if group in computation.groups:
            computation.groups.discard(group)
            if not computation.groups:
                scheduler.computations.remove(computation)
    prefix = group.prefix
    if not prefix.groups and scheduler.task_prefixes.get(prefix.name) is prefix:
        del scheduler.task_prefixes[prefix.name]


def forget_events(scheduler: Any, topic: str) -> None:
    """Make a scheduler forget the events of a topic.

    ``Scheduler._broker`` (distributed/broker.py) keeps each topic permanently, and
    1,000 events of it, whatever their size.
    """
    scheduler._broker._topics.pop(topic, None)


def forget_topic(scheduler: Any, client: str) -> None:
    """Make a scheduler forget the events of a client that has gone.

    A client that closes is logged twice (``Scheduler.add_client``): as it says so, and
    as its connection ends, just before it is removed from ``client_comms``.
    """
    forget_events(scheduler, client)
    if client in scheduler.client_comms and scheduler.status.name == "running":
        asyncio.get_running_loop().call_later(LATER, forget_topic, scheduler, client)
