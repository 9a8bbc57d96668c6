"""Values of the cluster as they were pickled, for the caller to unpickle.

Dask's comms unpickle by themselves, in the client's event loop, and set classes of
this process back on the way (`remote.common.unpickling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from distributed.protocol import deserialize
from distributed.protocol.compression import decompress
from distributed.protocol.serialize import Serialized
from distributed.protocol.utils import merge_memoryviews
from distributed.utils import ensure_memoryview

from dbgkit import advice
from dbgkit.errors import WaitTimedOut

# The first that can serialise a value does; all of it is then one pickle.
PICKLED = ["pickle", "dask"]


class NeverRead(WaitTimedOut):
    """Unpickling went on past its limit, in seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__(
            f"what was pickled could not be read here within {limit:g} s: "
            "reading it waits for something",
            f"{advice.option('where', 'worker')} has a worker read it",
        )
        self.limit = limit


class Loads(Protocol):
    """Like ``pickle.loads``; it may raise `NeverRead`."""

    def __call__(self, data: Any, *, buffers: Any = ()) -> Any: ...


class PackedPool:
    """A client's pool of connections, over which values come as `Serialized`.

    Has those parts of ``distributed.core.ConnectionPool`` that gathering data uses.
    """

    serializers = PICKLED
    deserializers = None

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def connect(self, address: str, **options: Any) -> Any:
        comm = await self._pool.connect(address, **options)
        # ``Comm.deserialize`` is asked anew for each message (distributed/comm).
        comm.deserialize = False
        return comm

    def reuse(self, address: str, comm: Any) -> None:
        comm.deserialize = True
        self._pool.reuse(address, comm)


def unpacked(value: Any, loads: Loads) -> Any:
    """A value as a worker has it; one that was pickled is read by ``loads``."""
    if not isinstance(value, Serialized):
        return value
    header, frames = value.header, list(value.frames)
    if "compression" in header:
        frames = decompress(header, frames)
    frames = _merged(header, frames)
    return _read(header, frames, loads)


def _read(header: Mapping[str, Any], frames: list[Any], loads: Loads) -> Any:
    if "is-collection" in header:
        return _read_collection(header, frames, loads)
    if header.get("serializer") != "pickle":
        return deserialize(header, frames)
    # As ``pickle_loads`` does (distributed/protocol/serialize.py).
    buffers = [
        _with_flag(ensure_memoryview(frame), writeable)
        for frame, writeable in zip(frames[1:], header["writeable"], strict=True)
    ]
    return loads(frames[0], buffers=buffers)


def _read_collection(header: Mapping[str, Any], frames: list[Any], loads: Loads) -> Any:
    """A list or the like whose items were serialised one by one.

    As ``deserialize`` does it (distributed/protocol/serialize.py).
    """
    keys, values, start = [], [], 0
    lengths = header["frame-lengths"]
    for each, length in zip(header["sub-headers"], lengths, strict=True):
        keys.append(each.get("key"))
        values.append(_read(each, frames[start : start + length], loads))
        start += length
    if header["type-serialized"] == "dict":
        return dict(zip(keys, values, strict=True))
    kinds = {"tuple": tuple, "list": list, "set": set}
    return kinds[header["type-serialized"]](values)


def _with_flag(frame: memoryview, writeable: bool) -> memoryview:
    if writeable and frame.readonly:
        return memoryview(bytearray(frame))
    return frame if writeable else frame.toreadonly()


def _merged(header: Mapping[str, Any], frames: list[Any]) -> list[Any]:
    """Frames that were split to be compressed, put together again.

    ``merge_and_deserialize`` (distributed/protocol/serialize.py).
    """
    if "split-num-sub-frames" not in header:
        return frames
    merged = []
    sizes = header["split-num-sub-frames"]
    for count, start in zip(sizes, header["split-offsets"], strict=True):
        parts = frames[start : start + count]
        merged.append(merge_memoryviews(list(map(ensure_memoryview, parts))))
    return merged
