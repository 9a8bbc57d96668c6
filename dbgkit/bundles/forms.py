"""What a file says of a failure and of its recording, in builtin types, for JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from dbgkit.model import Failure, FrameSummary, Origin, RecordedCause, Recording
from dbgkit.remote.recording.packing import FORMAT
from dbgkit.remote.recording.steps import plain_key
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.remote.values.keep import NOT_KEPT, keep

BASE64 = "b64"  # the tag of bytes, which JSON does not have
_MOST_KEPT = 1_000_000  # bytes of one value; the recording has bounded them


def failure_form(failure: Failure) -> dict[str, Any]:
    """A failure as the manifest has it; secrets hidden."""
    return {
        "key": plain_key(failure.key) if failure.key is not None else None,
        "name": redact_text(failure.name),
        "exception_type": failure.exception_type,
        "message": redact_text(failure.message),
        "traceback_text": redact_text(failure.traceback_text),
        "worker": failure.worker,
        "when": failure.when.isoformat() if failure.when else None,
        "attempts": failure.attempts,
        "killed": failure.killed,
        "kind": failure.kind,
        "notes": [redact_text(note) for note in failure.notes],
        "came_from": [origin_form(one) for one in failure.came_from],
    }


def origin_form(origin: Origin) -> dict[str, Any]:
    """As ``remote.recording.origins.worded`` gives it."""
    return {
        "text": origin.text,
        "what": origin.what,
        "path": origin.path,
        "place": origin.place,
        "key": None if origin.key is None else plain_key(origin.key),
        "call": origin.call,
    }


def recording_form(recording: Recording) -> dict[str, Any]:
    """A recording as ``Header`` and ``Content`` of ``remote.common.wire_recordings``.

    Its texts are as it has them: secrets were hidden as it was made.
    """
    names = recording.secret_names
    header = {
        # Empty: no task raised it.
        "key": "" if recording.key is None else plain_key(recording.key),
        "exception_type": recording.exception_type,
        "message": recording.message,
        "worker": recording.worker,
        "pid": recording.pid,
        "when": recording.when.timestamp(),
        "left_out": recording.left_out,
        "gap": recording.gap,
    }
    content = {
        "format": FORMAT,
        "kind": "",
        "exception_type": recording.exception_type,
        "message": recording.message,
        "traceback_text": recording.traceback_text,
        "frames": [_frame_form(frame) for frame in recording.frames],
        "kept": _kept(recording.values, names),
        "causes": [_cause_form(cause, names) for cause in recording.causes],
        "more_causes": recording.more_causes,
        "inputs": [
            [plain_key(one.key), one.type, one.digest, one.whole]
            for one in recording.inputs
        ],
        # As recorders leave it: the failure's own says which key.
        "came_from": [{**origin_form(one), "key": None} for one in recording.came_from],
        "short": recording.short,
        "secret_names": list(names),
        "when": recording.when.timestamp(),
        "seconds": recording.seconds,
    }
    return {"header": header, "content": content}


def _cause_form(cause: RecordedCause, names: Iterable[str]) -> dict[str, Any]:
    return {
        "how": cause.how,
        "parent": cause.parent,
        "exception_type": cause.exception_type,
        "message": cause.message,
        "frames": [_frame_form(frame) for frame in cause.frames],
        "kept": _kept(cause.values, names),
    }


def _frame_form(frame: FrameSummary) -> dict[str, Any]:
    return {
        "filename": frame.filename,
        "lineno": frame.lineno,
        "function": frame.function,
        "source": [list(line) for line in frame.source],
        "locals": [
            [
                name,
                {
                    "type": value.type,
                    "text": value.text,
                    "cut": value.cut,
                    "hidden": value.hidden,
                },
            ]
            for name, value in frame.locals
        ],
        "own": frame.own,
        "omitted_locals": frame.omitted_locals,
        "code": list(frame.code),
    }


def _kept(
    values: Mapping[int, Mapping[str, Any]], names: Iterable[str]
) -> list[list[Any]]:
    """``[index of the frame, name, value]`` of the values that were recorded whole."""
    found = []
    for index, variables in values.items():
        for name, value in variables.items():
            kept = keep(value, _MOST_KEPT, name, names)
            if kept is not NOT_KEPT:
                found.append([index, name, bytes_as_text(kept)])
    return found


def bytes_as_text(value: Any) -> Any:
    """A kept value with its bytes in a form that JSON has."""
    if isinstance(value, bytes):
        return [BASE64, base64.b64encode(value).decode("ascii")]
    if isinstance(value, (list, tuple)):
        return [bytes_as_text(each) for each in value]
    return value
