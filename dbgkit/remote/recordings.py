"""One failure, recorded: its frames with source and bounded locals.

Stands by itself (with its siblings), so that it can be sent to a worker as source.
Nothing of what it makes refers to the user's objects.
"""

from __future__ import annotations

import traceback
import types
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter, time
from types import MappingProxyType
from typing import Any

import msgpack

from .fingerprints import fingerprints
from .frames import is_machinery, own_index, own_line, walk
from .keep import NOT_KEPT, keep
from .redact import redact_text
from .summarize import Budget, summarize_frames
from .summarize_objects import class_attribute, class_name
from .texts import signature

FORMAT = 1  # of what is packed; a reader of another one says so
_MESSAGE = 2_000  # characters
_TRACEBACK = 20_000


@dataclass(frozen=True)
class Limits:
    """How much one recording may take.

    Attributes
    ----------
    seconds : float
        For all frames together.
    nbytes : int
        Of the recording as it is sent, compressed.
    kept : int
        Bytes of one value that comes along whole; ``kept_in_all`` of all of them.
    frames, locals : int
        Frames, and locals of one frame.
    repeats : int
        Recordings of one kind on one worker, after which they are shorter: the frame
        that failed only, and no value whole.
    secret_names : tuple of str
        Names to hide besides the usual ones.
    """

    seconds: float = 0.1
    nbytes: int = 256_000
    kept: int = 4_096
    kept_in_all: int = 65_536
    frames: int = 30
    locals: int = 40
    repeats: int = 10
    secret_names: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Limits:
        return cls(**{**wire, "secret_names": tuple(wire.get("secret_names", ()))})


def kind_of(exception: BaseException) -> str:
    """What makes failures one kind: class, message without numbers, own line."""
    name = class_name(type(exception))
    return repr(signature(name, _message(exception)[:200], own_line(exception)))


def take(
    exception: BaseException,
    limits: Limits,
    *,
    short: bool,
    inputs: Mapping[Any, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """What is to be recorded of an exception, in builtin types.

    Parameters
    ----------
    exception : BaseException
        With live frames.
    limits : Limits
    short : bool
        The frame that failed only, and no value whole.
    inputs : mapping
        The task's inputs by key: of each there is a fingerprint.
    """
    start = perf_counter()
    budget = Budget(
        seconds=limits.seconds / 4,
        chars=1_200,
        string=600,
        items=20,
        visits=200,
        depth=4,
        secret_names=limits.secret_names,
    )
    if short:
        budget = replace(budget, chars=400, string=200, items=8, visits=80)
    tb = _innermost(exception.__traceback__) if short else exception.__traceback__
    frames = summarize_frames(
        tb,
        max_frames=1 if short else limits.frames,
        max_locals=limits.locals // 2 if short else limits.locals,
        seconds=limits.seconds,
        budget=budget,
    )
    deadline = start + limits.seconds * 1.5
    kept = [] if short else _keep_locals(exception.__traceback__, limits, deadline)
    return {
        "format": FORMAT,
        "kind": kind_of(exception),
        "exception_type": class_name(type(exception)),
        "message": redact_text(_message(exception)[:_MESSAGE]),
        "traceback_text": _traceback(exception),
        "frames": frames,
        "kept": kept,
        "causes": _causes(exception, limits, budget, short),
        "inputs": fingerprints(inputs, limits.seconds / 3),
        "short": short,
        "when": time(),
        "seconds": perf_counter() - start,
    }


def pack(recording: dict[str, Any], nbytes: int) -> tuple[bytes, int]:
    """A recording as bytes within a limit, and how many parts it took to leave out.

    What comes along whole goes first, then causes, then the outermost frames' locals.
    """
    left_out = 0
    packed = _pack(recording)
    while len(packed) > nbytes:
        recording = _shorter(recording)
        if not recording:
            return b"", left_out
        left_out += 1
        packed = _pack(recording)
    return packed, left_out


def unpack(packed: bytes) -> dict[str, Any]:
    """What `pack` made."""
    found: dict[str, Any] = msgpack.unpackb(
        zlib.decompress(packed), strict_map_key=False, unicode_errors=_ERRORS
    )
    return found


def _pack(recording: dict[str, Any]) -> bytes:
    return zlib.compress(msgpack.packb(recording, unicode_errors=_ERRORS), 1)


_ERRORS = "surrogatepass"  # half of a surrogate pair is a text too


def _shorter(recording: dict[str, Any]) -> dict[str, Any]:
    """The recording with one part less; empty where none is left to spare."""
    if recording["kept"]:
        return {**recording, "kept": recording["kept"][: len(recording["kept"]) // 2]}
    if recording["causes"]:
        return {**recording, "causes": recording["causes"][:-1]}
    frames = recording["frames"]
    for index, frame in enumerate(frames):
        if frame["locals"]:
            half = len(frame["locals"]) // 2
            cut = {
                **frame,
                "locals": frame["locals"][:half],
                "omitted_locals": frame["omitted_locals"] + len(frame["locals"]) - half,
            }
            return {**recording, "frames": [*frames[:index], cut, *frames[index + 1 :]]}
    if recording["traceback_text"]:
        return {**recording, "traceback_text": ""}
    return {}


def _message(exception: BaseException) -> str:
    """The exception's message; empty where only code of the user's own could tell."""
    if type(class_attribute(type(exception), "__str__")) is types.FunctionType:
        return ""
    args = BaseException.__dict__["args"].__get__(exception)
    if any(type(arg) not in (str, int, float, bool, type(None)) for arg in args):
        return ""
    return str(exception)


def _traceback(exception: BaseException) -> str:
    """The frames as text, as Dask tells them: no machinery around the user's own."""
    entries = [
        entry
        for entry in traceback.extract_tb(exception.__traceback__, limit=200)
        if not is_machinery(entry.filename)
    ]
    text = "".join(traceback.format_list(entries))
    return redact_text(text[:_TRACEBACK], bare=False)


def _innermost(tb: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback from the innermost frame of the user's own on."""
    places, filenames = [], []
    while tb is not None:
        places.append(tb)
        filenames.append(tb.tb_frame.f_code.co_filename)
        tb = tb.tb_next
    index = own_index(filenames)
    if not places:
        return None
    found = places[-1 if index is None else index]
    return types.TracebackType(None, found.tb_frame, found.tb_lasti, found.tb_lineno)


def _causes(
    exception: BaseException, limits: Limits, budget: Budget, short: bool
) -> list[dict[str, Any]]:
    """What it was raised from, each with its innermost own frame; nearest first."""
    found: list[dict[str, Any]] = []
    seen = {id(exception)}
    while len(found) < (1 if short else 4):
        cause, how = exception.__cause__, "cause"
        if cause is None and not exception.__suppress_context__:
            cause, how = exception.__context__, "context"
        if cause is None or id(cause) in seen:
            break
        seen.add(id(cause))
        found.append(
            {
                "how": how,
                "exception_type": class_name(type(cause)),
                "message": redact_text(_message(cause)[:_MESSAGE]),
                "frames": summarize_frames(
                    _innermost(cause.__traceback__),
                    max_frames=1,
                    max_locals=limits.locals // 2,
                    seconds=limits.seconds / 8,
                    budget=budget,
                ),
            }
        )
        exception = cause
    return found


def _keep_locals(
    tb: types.TracebackType | None, limits: Limits, deadline: float
) -> list[list[Any]]:
    """``[place, name, value]`` of small locals, innermost frames first.

    A place is ``[filename, lineno]``, as in `frames`.
    """
    kept: list[list[Any]] = []
    left = limits.kept_in_all
    for frame, lineno in reversed(list(walk(tb))):
        code = frame.f_code
        if is_machinery(code.co_filename) or code.co_flags & _OPTIMIZED == 0:
            continue
        place = [code.co_filename, lineno or 0, code.co_name]
        for name, value in list(frame.f_locals.items())[: limits.locals]:
            if left <= 0 or perf_counter() > deadline:
                return kept
            limit = min(limits.kept, left)
            one = keep(value, limit, name, limits.secret_names)
            if one is not NOT_KEPT:
                kept.append([place, name, one])
                left -= _size(one)
    return kept


_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the locals are the frame's own


def _size(value: Any) -> int:
    return len(msgpack.packb(value, unicode_errors=_ERRORS))
