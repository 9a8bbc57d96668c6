"""Copies of values on a worker, for a task that may change them."""

from __future__ import annotations

import pickle
from mmap import mmap
from typing import Any

from ..common.texts import safe_str
from ..common.unpickling import Reading
from .replay import Stop


def copy_values(values: dict[Any, Any], reading: Reading) -> dict[Any, Any]:
    """Copy values through one pickle, so that shared parts stay shared.

    Buffers are copied once, and not through the pickle.
    """
    from distributed.protocol.pickle import dumps

    buffers: list[Any] = []
    try:
        frame = dumps(values, buffer_callback=buffers.append)
        copied = reading.loads(frame, buffers=[_bytes_of(b) for b in buffers])
    except Exception as error:  # pickling runs anybody's code
        raise Stop("uncopyable", _culprit(values, reading), safe_str(error)) from error
    return dict(copied)


def _culprit(values: dict[Any, Any], reading: Reading) -> Any:
    """Which value cannot be copied, as the error for all does not show it."""
    from distributed.protocol.pickle import dumps

    for key, value in values.items():
        try:
            reading.loads(dumps(value))
        except Exception:  # this one: the error was reported already
            return key
    return next(iter(values))


def _bytes_of(buffer: pickle.PickleBuffer) -> memoryview:
    """A copy of a buffer, writable where it is writable.

    In parts, so that other threads get their turn: a ``bytearray`` is zero-filled at
    once.
    """
    raw = buffer.raw()
    large = raw.nbytes > _PART
    copy = memoryview(mmap(-1, raw.nbytes) if large else bytearray(raw.nbytes))
    for start in range(0, raw.nbytes, _PART):
        copy[start : start + _PART] = raw[start : start + _PART]
    return copy.toreadonly() if raw.readonly else copy


_PART = 4 * 2**20  # bytes
