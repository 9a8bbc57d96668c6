"""What the scheduler answers to ``why``: the ends of what is waited for, by cause."""

from __future__ import annotations

from dbgkit.cluster.answers_failures import CODE, NEEDS
from dbgkit.cluster.shapes import (
    Shape,
    asked,
    by,
    count,
    each,
    flag,
    key,
    maybe,
    moment,
    number,
    one_of,
    real,
    record,
    row,
    scalar,
    table,
    text,
)

# ``remote.scheduler.why_ends.paused_facts``
PAUSED = each(
    record(
        {
            "address": text,
            "status": text,
            "memory": maybe(number),
            "limit": maybe(number),
        }
    )
)
_END: dict[str, Shape] = {
    "key": key,
    "state": text,
    "count": count,
    "chain": each(key, 1),
    "length": count,
}
_WANTED: dict[str, Shape] = {
    "only_workers": each(text),
    "only_hosts": each(text),
    "resources": table(real),
}
_PLACE: dict[str, Shape] = {
    "worker": text,
    "nthreads": count,
    "processing": count,
    "executing": each(key),
}


def _end(fields: dict[str, Shape]) -> Shape:
    return record({**_END, **fields}, {"needs": maybe(NEEDS), "suspicious": count})


_FAILED = _end(
    {
        "blame": key,
        "exception_text": text,
        "traceback_text": text,
        "codes": each(CODE),
        "shuffle": text,
        "in_shuffle": text,
        "erred_on": each(text),
        "when": maybe(moment),
        "killed": count,
        "tried": count,
        "others": each(key),
        "others_count": count,
        "through": each(key),
    }
)
# ``remote.scheduler.why_ends``, by the code of the cause
ENDS: dict[str, Shape] = {
    "failed": _FAILED,
    "cascaded": _FAILED,
    "finished": _end({"workers": each(text), "nbytes": number}),
    "released": _end({}),
    "lost-dependencies": _end({"dependency": key, "when": maybe(moment)}),
    "unexplained": _end({"ruled_out": each(text)}),
    "queued": _end(
        {
            "queued": count,
            "threads": count,
            "workers": count,
            "processing": count,
            "places": each(record(_PLACE), 1),
        }
    ),
    "no-workers": _end({"starting": count, **_WANTED}),
    "restrictions-unmet": _end(
        {
            "present": count,
            "nearest": record({"address": text, "name": scalar, "same_host": flag}),
            **_WANTED,
        }
    ),
    "resources-unmet": _end(
        {
            "present": count,
            "nearest": record(
                {"address": text, "name": scalar, "lacks": table(row(real, real))}
            ),
            **_WANTED,
        }
    ),
    "workers-starting": _end({"joining": each(text)}),
    "workers-paused": _end({"paused": PAUSED, "count": count, "present": count}),
    "processing": _end(
        {
            **_PLACE,
            "status": text,
            "paused": PAUSED,
            "age": number,
            "duration": maybe(number),
            "long_running": flag,
            "average": maybe(number),
            "prefix": text,
            "retries_left": number,
            "tried": number,
            "suspicious": count,
            "missing": each(record({"key": key, "holders": each(text)})),
            "missing_count": count,
        }
    ),
}
# ``remote.scheduler.why_ends.forgotten_facts``
UNKNOWN = record(
    {
        "key": asked,
        "was": maybe(text),
        "when": maybe(moment),
        "dependency": key,
        "unwanted": one_of(("", "left", "released", "cancelled", "restarted")),
    }
)
BARRIER = record(
    {
        "key": key,
        "state": text,
        "inputs": count,
        "missing": count,
        "outputs": count,
        "chain": each(key, 1),
    }
)
# ``remote.scheduler.why_cluster``
OVERVIEW = record(
    {
        "states": table(count),
        "workers": count,
        "threads": count,
        "paused": PAUSED,
        "paused_count": count,
        "quiet": each(record({"address": text, "age": number})),
    }
)
WAITER = record(
    {"kind": text, "name": text, "waiting": count}, {"held": count, "queue": text}
)
# ``remote.scheduler.why.explain_state``
WHY = record(
    {
        "start": moment,
        "end": moment,
        "ends": each(by("code", ENDS)),
        "omitted_ends": count,
        "barrier": maybe(BARRIER),
        "unknown": each(UNKNOWN),
        "may_run_it": each(text),
        "not_asked": count,
        "given_up": record({"keys": each(key), "count": count}),
        "cluster": maybe(OVERVIEW),
        "out_of_step": each(record({"key": key, "state": text})),
        "late": maybe(number),
        "waiters": maybe(each(WAITER)),
        "answering": table(flag),
        "unfollowed": count,
    },
    {"asked_states": table(count), "unknown_count": count},
)
