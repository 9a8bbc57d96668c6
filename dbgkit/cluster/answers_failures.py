"""What the scheduler answers of failures: in groups, and as a visit tells one."""

from __future__ import annotations

from dbgkit.cluster.shapes import (
    Shape,
    asked,
    count,
    data,
    each,
    either,
    flag,
    key,
    maybe,
    moment,
    number,
    real,
    record,
    row,
    scalar,
    table,
    text,
    whole,
)

SPAN: dict[str, Shape] = {"start": moment, "end": moment}

# -- failures ------------------------------------------------------------------

# ``remote.common.modules.needs_of``
NEEDS = record(
    {
        "modules": each(record({"name": text, "file": text})),
        "lasted": each(number),
        "since": number,
        "workers": each(text),
    }
)
# ``remote.common.origins.origins_of``; its last one counts what was left out.
ORIGIN = either(
    "more",
    record({"more": count, "least": flag}),
    record(
        {
            "what": text,
            "path": text,
            "place": text,
            "args": each(row(scalar, text)),
            "key": key,
        },
        {"call": flag},
    ),
)
CODE = row(text, whole, text, text, text)  # ``remote.common.frame_codes.FrameCode``
_ENTRY: dict[str, Shape] = {
    "key": key,
    "when": maybe(moment),
    "erred_on": each(text),
    "exception_text": text,
    "traceback_text": text,
}
# ``remote.scheduler.failed.history_of``
ENTRY = record(_ENTRY)
# ``remote.scheduler.failed.failure_fact``, ``.forgotten_fact``, and what a visit adds
FACT = record(
    {
        **_ENTRY,
        "asked": asked,
        "tried": count,
        "killed": flag,
        "group_size": maybe(count),
    },
    {
        "cause_text": text,
        "cause_frames": text,
        "went_in": count,
        "exception": maybe(data),
        "needs": maybe(NEEDS),
        "suspicious": count,
        "came_from": each(ORIGIN),
        "codes": each(CODE),
        "through": each(key),
        "alike": count,
        "submitted": maybe(ENTRY),
        "followers": maybe(record({"keys": each(key, 1), "text": text})),
        "gone": flag,
        "pickled": maybe(data),
    },
    lambda fact: (
        "has a text of a cause, and no frames of it"
        if fact.get("cause_text") and "cause_frames" not in fact
        else ""
    ),
)
# ``remote.scheduler.failures_groups.Group.to_wire``
GROUP = record(
    {
        "exception_type": maybe(text),
        "place": maybe(row(text, text, whole)),
        "count": count,
        "cascaded": count,
        "forgotten": count,
        "workers": each(text),
        "omitted_workers": count,
        "first": maybe(moment),
        "last": maybe(moment),
        "keys": each(key),
        "omitted_keys": whole,
        "example": FACT,
        "example_forgotten": flag,
    }
)
# ``remote.scheduler.failures.survey_failures``
FAILURES = record(
    {
        "groups": each(GROUP),
        "omitted": count,
        "total": count,
        "cascaded": count,
        "healed": maybe(count),
        "healed_keys": each(key),
        "undated": count,
        "unasked": count,
        "span_unknown": flag,
        **SPAN,
    }
)

# -- visits --------------------------------------------------------------------

# ``remote.scheduler.rows``
ROW = record(
    {
        "key": key,
        "state": text,
        "nbytes": maybe(number),
        "type": text,
        "who_has": each(text),
        "dependencies": each(key),
        "lost": flag,
        "alias_of": key,
        "group_size": maybe(count),
        "restrictions": record(
            {},
            {
                "workers": each(text),
                "hosts": each(text),
                "resources": table(real),
                "loose": flag,
            },
        ),
        "spec": maybe(data),
        "spec_bytes": count,
        "spec_error": text,
    }
)
WORKER = record(
    {
        "name": scalar,
        "status": text,
        "memory_limit": maybe(number),
        "pid": maybe(count),
        "nanny": maybe(text),
        "local_directory": maybe(text),
        "nthreads": count,
    }
)
# ``remote.scheduler.extension.Extension.visit``
VISIT = record(
    {
        "now": moment,
        "asked": each(record({"asked": asked, "key": asked, "state": text})),
        "failures": each(FACT),
        "omitted": count,
        "unfollowed": count,
        "erred": each(ENTRY),
        "tasks": each(ROW),
        "workers": table(WORKER),
        "of_any": flag,
    }
)
