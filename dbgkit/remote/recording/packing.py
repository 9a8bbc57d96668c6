"""A recording as bytes, within a limit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from ..common.wire_recordings import Content, FrameForm, RecordedPart

FORMAT = 3  # of what is packed; a reader of another one says so
MOST_MESSAGE = 1_000  # characters of a message outside of the recording
_HEADER = 4_000  # bytes that go with a recording: key, worker, message
_MOST_RAW = 64 * 2**20  # bytes of a recording that is unpacked
_ERRORS = "surrogatepass"  # half of a surrogate pair is a text too


def pack(recording: Content, nbytes: int) -> tuple[bytes, int]:
    """A recording as bytes within a limit, and how many parts were left out for that.

    What comes along whole goes first, then causes, then the outermost frames' locals.
    """
    limit = nbytes - _HEADER if nbytes > 2 * _HEADER else nbytes
    left_out = 0
    raw = raw_of(recording)
    packed = zlib.compress(raw, 1)
    while len(packed) > limit:
        # So much of it as it is before it is compressed; a little more each round.
        spare = len(raw) - int(len(raw) * limit / len(packed) * 0.95)
        recording, count = _shorten(recording, spare)
        if not count:
            return b"", left_out
        left_out += count
        raw = raw_of(recording)
        packed = zlib.compress(raw, 1)
    return packed, left_out


def unpack(packed: bytes) -> Any:
    """What `pack` made; `ValueError` if it is none, or would be far larger than one."""
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(packed, _MOST_RAW)
        whole = reader.eof and not reader.unconsumed_tail
        if not whole:
            raise ValueError("it is truncated, or too large")
        found = msgpack.unpackb(raw, strict_map_key=False, unicode_errors=_ERRORS)
    except (zlib.error, TypeError, RecursionError) as error:
        raise ValueError(f"not a packed recording: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("not a packed recording: it is not a map")
    return found


def raw_of(value: Any) -> bytes:
    """A part of a recording as bytes, before they are compressed."""
    packed: bytes = msgpack.packb(value, unicode_errors=_ERRORS)
    return packed


def _shorten(recording: Content, spare: int) -> tuple[Content, int]:
    """The recording without so many bytes, and how many parts that took."""
    kept, causes = list(recording["kept"]), list(recording["causes"])
    count = 0
    for parts in (kept, causes):  # the outermost, and the farthest, are last
        while parts and spare > 0:
            spare -= len(raw_of(parts.pop()))
            count += 1
    frames: list[FrameForm] = []
    for frame in recording["frames"]:
        variables = list(frame["locals"])
        while variables and spare > 0:
            spare -= len(raw_of(variables.pop()))
            count += 1
        omitted = frame["omitted_locals"] + len(frame["locals"]) - len(variables)
        frames.append({**frame, "locals": variables, "omitted_locals": omitted})
    text = recording["traceback_text"]
    if text and spare > 0:
        text = ""
        count += 1
    short: Content = {
        **recording,
        "kept": kept,
        "causes": causes,
        "frames": frames,
        "traceback_text": text,
    }
    return short, count


def header_of(recording: Content, packed: bytes, left_out: int) -> RecordedPart:
    """What the scheduler knows about a recording without unpacking it."""
    return {
        # A process pool's child may have left anything.
        "exception_type": recording.get("exception_type", ""),
        "message": recording.get("message", "")[:MOST_MESSAGE],
        "kind": recording["kind"],
        "gap": "" if packed else "larger than its limit",
        "left_out": left_out,
        "packed": packed,
    }


def gap_of(kind: str, why: str) -> RecordedPart:
    """What stands in place of a recording that could not be taken."""
    return {
        "exception_type": kind,
        "message": "",
        "kind": kind,
        "gap": why,
        "left_out": 0,
        "packed": b"",
    }
