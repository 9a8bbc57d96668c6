"""Tells a client what has stopped or was reported, by the scheduler's log of it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from dbgkit.remote.scheduler.break_at import REPORTED
from dbgkit.remote.scheduler.live import LOG, STOPPED

__all__ = ["REPORTED", "STOPPED", "Event", "tell", "untell"]

Event = Mapping[str, Any]
Told = Callable[[Event], bool]  # whether it has said it, and no other is to

# Dask has one handler for each topic of a client.
_told: weakref.WeakKeyDictionary[Any, list[Told]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def tell(client: Any, told: Told) -> None:
    """Call a function, in the client's loop, with each stop and value logged."""
    with _lock:
        known = _told.setdefault(client, [])
        known.append(told)
        if len(known) > 1:
            return
    listening = weakref.ref(client)

    def handle(event: Any) -> None:
        asking = listening()
        stamped = event[1] if isinstance(event, (tuple, list)) else event
        if asking is None or not isinstance(stamped, Mapping):
            return
        if stamped.get("what") not in (STOPPED, REPORTED):
            return
        with _lock:
            functions = list(_told.get(asking, ()))
        any(function(stamped) for function in functions)  # the first says it

    client.subscribe_topic(LOG, handle)


def untell(client: Any, told: Told) -> None:
    """Undo `tell`."""
    with _lock:
        known = _told.get(client, [])
        if told in known:
            known.remove(told)
        if known or client not in _told:
            return
        del _told[client]
    # Dask keeps the handler, which tells nobody any more: events that are on their
    # way need one.
    with suppress(ValueError):
        client.unsubscribe_topic(LOG)
