"""What workers answer to functions that they are sent, and what is told of their ends.

What one worker answers is read for itself: what is asked of many is told without it.
So is each end of a worker, and each recording: anybody can report some.
"""

from __future__ import annotations

from typing import Any

from dbgkit.cluster.shapes import (
    Misfit,
    Shape,
    anything,
    count,
    each,
    either,
    flag,
    key,
    maybe,
    moment,
    number,
    record,
    row,
    scalar,
    table,
    text,
    whole,
)
from dbgkit.cluster.shipping import ShippedFunction
from dbgkit.errors import AnswerUnreadable

# -- deaths --------------------------------------------------------------------


def _packed(value: Any) -> None:
    """A key, or its bytes, as they were written."""
    if not isinstance(value, bytes):
        key(value)


# ``remote.common.boxes.own_box``
BOX_TASK = record(
    {
        "key": _packed,
        "text": text,
        "start": moment,
        "inputs": count,
        "thread": count,
        "coroutine": flag,
        "line": text,
        "line_at": moment,
    },
    {"prefix": text},
)
BOX = record(
    {
        "worker": text,
        "pid": count,
        "sampled": moment,
        "memory": count,
        "left_out": count,
        "tasks": each(BOX_TASK),
        "ended": each(BOX_TASK),
        "stack": text,
        "crashes": text,
    },
    {"alive": flag},
)
# ``remote.nanny.deaths.DeathWatch.report``, or a line of a nanny's log
REPORT = record(
    {"code": maybe(whole), "when": moment},
    {
        "by_time": flag,
        "box": maybe(BOX),
        "closed": flag,
        "memory": maybe(number),
        "memory_at": maybe(moment),
        "kills": table(whole),
        "lines": each(text),
        "error": text,
    },
)
# ``remote.scheduler.deaths.removal_fact``
DEATH = record(
    {
        "worker": text,
        "name": scalar,
        "host": text,
        "pid": maybe(count),
        "nanny": text,
        "when": moment,
        "expected": anything,
        "stimulus": text,
        "reason": text,
        "restarted": flag,
        "processing": each(key),
        "processing_count": count,
        "lost_count": count,
        "lost_scattered": count,
        "memory": maybe(number),
        "memory_at": maybe(moment),
        "memory_limit": maybe(number),
        "unseen": maybe(number),
        "heartbeat_tasks": each(
            record(
                {"key": key, "prefix": text, "seconds": number, "inputs": maybe(number)}
            )
        ),
        "told": maybe(record({})),
        "report": maybe(REPORT),
        "over": maybe(record({"rss": number, "when": moment})),
        "lines": each(text),
    }
)
# ``remote.scheduler.recordings_store.RecordStore.on_list``
HEADER = record(
    {
        "key": key,
        "exception_type": text,
        "message": text,
        "worker": text,
        "pid": whole,
        "when": moment,
        "left_out": whole,
        "gap": text,
        "number": count,
        "size": count,
    }
)

# -- functions that are sent to workers ----------------------------------------

# ``remote.worker.why.look_at_tasks``
_STACK = maybe(each(text))
PROBE = record(
    {
        "now": moment,
        "status": text,
        "nthreads": count,
        "executing": each(
            record(
                {"key": key, "since": maybe(number)}, {"state": text, "stack": _STACK}
            )
        ),
        "ready": count,
        "constrained": count,
        "in_flight": each(record({})),
        "transfer_limit": maybe(count),
        "tasks": each(
            record(
                {
                    "key": key,
                    "state": maybe(text),
                    "since": maybe(number),
                    "inputs": each(
                        record(
                            {
                                "key": key,
                                "state": text,
                                "from": maybe(text),
                                "since": maybe(number),
                            }
                        )
                    ),
                    "stack": _STACK,
                    "waits": maybe(record({"kind": text, "name": maybe(text)})),
                }
            )
        ),
    }
)
# ``remote.worker.doctor.probe_worker``
CHECKED = record(
    {
        "pid": count,
        "settings": table(scalar),
        "hides_failures": flag,
        "held": record(
            {"bytes": count, "frames": count, "functions": each(row(text, count))},
            agree=lambda held: (
                "has bytes of no function"
                if held["bytes"] and not held["functions"]
                else ""
            ),
        ),
        "recorders": each(
            record(
                # Of any version that is on there.
                {"errors": each(text), "dropped": count},
                {"box": text, "refused": text},
            )
        ),
    }
)
_NAMES = table(text)
FUNCTIONS: dict[tuple[str, str], Shape] = {
    ("worker.why", "look_at_tasks"): PROBE,
    ("common.modules", "missing_modules"): each(text),
    ("worker.doctor", "probe_worker"): CHECKED,
    ("worker.replay", "look"): record(
        {
            "pid": count,
            "status": text,
            "held": each(key),
            "actors": each(key),
            "room": count,
            "limit": text,
        }
    ),
    ("common.boxes", "read_boxes_of"): each(
        either("unread", record({"worker": text, "pid": count, "unread": text}), BOX)
    ),
    ("worker.environment", "describe_process"): record(
        {
            "python": text,
            "executable": maybe(text),
            "packages": table(maybe(text)),
            "directory": maybe(text),
            "environment": _NAMES,
            "configuration": _NAMES,
        }
    ),
}


def read_said(function: ShippedFunction, address: str, said: Any) -> Any:
    """What a worker answered; an error in its place if it is no answer.

    What the function raised there is an answer.
    """
    shape = FUNCTIONS.get((function.module, function.name))
    if shape is None or isinstance(said, BaseException):
        return said
    try:
        shape(said)
    except Misfit as misfit:
        return AnswerUnreadable(
            f"the answer of worker {address} cannot be read: {misfit}",
            "does it run another release of Dask? "
            "client.get_versions(check=True) tells",
        )
    return said
