"""Attributes of a worker, and its plugins: read by name, for a replay elsewhere.

Reading changes nothing, and never raises: if a value cannot be sent, the reason is.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..common.wire_replays import PartForm

from ..common.bounded import Bounded, TooLarge

_MISSING = object()
_LOCKS = (type(threading.Lock()), type(threading.RLock()))


async def read_part(
    path: Sequence[Any], most: int, dask_worker: Any = None
) -> PartForm:
    """One part of a worker, pickled into at most so many bytes.

    ``path`` are steps from the worker: ``("a", name)`` is an attribute, ``("i", key)``
    an item. An item of ``None`` alone is the list of a mapping's keys.
    """
    value: Any = dask_worker
    for kind, name in path:
        owner = value
        try:
            value = _step(value, kind, name)
        except Exception as error:  # a property runs anybody's code
            return {"status": "unsendable", "text": _described(error), "type": ""}
        if value is _MISSING:
            return {"status": "missing", "owner": type(owner).__name__, "type": ""}
    if type(value) in _LOCKS:
        text = "a lock keeps the worker's own threads apart"
        return {"status": "unsendable", "text": text, "type": type(value).__name__}
    kind = type(value).__name__
    try:
        # Not while the worker's event loop waits.
        data = await asyncio.to_thread(_pickled, value, dask_worker, most)
    except TooLarge:
        return {"status": "large", "type": kind, "text": f"over {most:,} bytes"}
    except Exception as error:  # pickling runs anybody's code
        return {"status": "unsendable", "type": kind, "text": _described(error)}
    return {"status": "ok", "type": kind, "data": data}


def _step(value: Any, kind: str, name: Any) -> Any:
    if kind == "a":
        return getattr(value, name, _MISSING)
    if name is None:
        return list(value)
    if isinstance(value, Mapping):
        return value.get(name, _MISSING)
    return value[name]


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error!s:.300}"


def _pickled(value: Any, worker: Any, most: int) -> bytes:
    """A pickle in which the worker itself, and what belongs to it, is only named.

    Plugins keep the worker that they were set up on, and locks; neither pickles.
    """
    from cloudpickle import Pickler

    class Parts(Pickler):  # type: ignore[misc]
        def persistent_id(self, each: Any) -> Any:
            if each is worker:
                return ("worker",)
            if each is getattr(worker, "loop", _MISSING):
                return ("loop",)
            if each is getattr(worker, "scheduler", _MISSING):
                return ("scheduler",)
            if isinstance(each, threading.Thread):
                raise pickle.PicklingError("cannot pickle a thread")
            if type(each) in _LOCKS:
                return ("lock", type(each) is _LOCKS[1])
            return None

    file = Bounded(most)
    Parts(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()


def unpickled(data: bytes, named: Mapping[str, Any]) -> Any:
    """The value again; what was only named comes from ``named``, locks are new ones."""

    class Parts(pickle.Unpickler):
        def persistent_load(self, each: Any) -> Any:
            if each[0] == "lock":
                return threading.RLock() if each[1] else threading.Lock()
            return named[each[0]]

    return Parts(io.BytesIO(data)).load()
