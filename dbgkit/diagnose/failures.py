"""A `FailureReport` from what a scheduler or a dump reports."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dbgkit.cluster.dashboard import page_link
from dbgkit.cluster.recordings import held_recordings
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.why import foreseeing
from dbgkit.diagnose.deaths.explain import deaths_of, line_of, tell_of
from dbgkit.errors import WrongTarget
from dbgkit.model import Death, Evidence, Failure, FailureGroup, FailureReport, Span
from dbgkit.source import Index
from dbgkit.source.places import has_no_file
from dbgkit.source.reading import why_unknown
from dbgkit.source.shown import Shown
from dbgkit.targets.failure import failure_from_fact
from dbgkit.targets.led import FORGOTTEN
from dbgkit.targets.modules import lack_of, said_of
from dbgkit.targets.naming import recorded_name

if TYPE_CHECKING:
    from dbgkit.remote.common.wire import SpanForm
    from dbgkit.remote.common.wire_failures import Failures, FailuresQuestion, GroupForm

_KILLED = "KilledWorker"
_AT_ONCE = 0.5  # seconds; the scheduler does both in one go
MOST_RECORDED = 100_000  # bytes of recordings that come along with a report


def report_failures(
    view: View,
    *,
    since: Any = None,
    of_client: Any = None,
    span: str | None = None,
    limit: int | None = 20,
    index: Index | None = None,
) -> FailureReport:
    """All failures in a cluster or a dump, by root cause.

    ``index`` finds the files of code that travelled by value.
    """
    question: FailuresQuestion = {
        "since": moment_of(since),
        "client": _client_id(of_client),
        "first": _client_id(view.client),
        "span": span,
        "limit": _at_least_one(limit),
    }
    names = foreseeing(view.link, MOST_RECORDED) if isinstance(view, LiveView) else None
    answer = view.ask("failures", question, names)
    shown = Shown(index)
    groups = [_group(group, view, shown) for group in answer["groups"]]
    groups = with_deaths(_with_recordings(groups, view, shown), view)
    return FailureReport(
        groups=tuple(groups),
        total=answer["total"],
        cascaded=answer["cascaded"],
        healed=answer["healed"],
        healed_keys=tuple(answer["healed_keys"]),
        omitted=answer["omitted"],
        span=span_of(answer),
        notes=tuple(_notes(answer, groups, view, span)),
        unknown=(f"span {span!r}",) if answer["span_unknown"] else (),
        page=page_link(view.client, answer["page"]),
    )


def span_of(answer: SpanForm) -> Span:
    """The span of time in which an answer was taken."""
    return Span(_moment(answer["start"]), _moment(answer["end"]))


def moment_of(since: Any) -> float | None:
    """A time as seconds since 1970.

    It may be one already, a datetime (local without a zone), or how long ago, as a
    timedelta or as ``"5 minutes"``.
    """
    if since is None or isinstance(since, (int, float)):
        return since
    if isinstance(since, datetime):
        return since.timestamp()
    from dask.utils import parse_timedelta

    try:
        return time.time() - float(parse_timedelta(since, "s"))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise WrongTarget(
            f"since={since!r} is not a time",
            'pass a datetime, or how long ago, as "5 minutes"',
        ) from error


def _client_id(client: Any) -> str | None:
    return client if client is None or isinstance(client, str) else str(client.id)


def _at_least_one(limit: int | None) -> int | None:
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(
            f"limit={limit!r}: expected a whole number of at least 1, or None"
        )
    return limit


def _group(group: GroupForm, view: View, shown: Shown) -> FailureGroup:
    example = _example(group, view, shown)
    message = example.message
    if group["exception_type"] == _KILLED:
        # The exception's own words are in no dump.
        count = group["example"].get("suspicious") or 1
        died = "its worker" if count == 1 else f"{count} workers"
        message = f"{died} died while running it"
    first, last = group["first"], group["last"]
    return FailureGroup(
        exception_type=group["exception_type"] or example.exception_type,
        message=message,
        pattern=group["message"] if group["messages"] else message,
        different=group["different"],
        messages=tuple(group["messages"]),
        location=_location(group["place"], example, shown),
        count=group["count"],
        cascaded=group["cascaded"],
        forgotten=group["forgotten"],
        workers=tuple(group["workers"]),
        omitted_workers=group["omitted_workers"],
        first=None if first is None else _moment(first),
        last=None if last is None else _moment(last),
        keys=tuple(group["keys"]),
        omitted_keys=group["omitted_keys"],
        example=example,
    )


def _with_recordings(
    groups: list[FailureGroup], view: View, shown: Shown
) -> list[FailureGroup]:
    """The groups, with what the recorder holds of their examples."""
    if not isinstance(view, LiveView) or not groups:
        return groups
    keys = [group.example.key for group in groups]
    most = 5 * len(keys)
    held = held_recordings(view.link, keys, most, recorded_name, MOST_RECORDED)
    if held.since is None:  # it is off
        return groups
    # The newest first: of several of one key the last one stays.
    found = {each.key: each for each in reversed(held.recordings) if each.frames}
    recorded = [found.get(key) for key in keys]
    return [
        replace(group, recording=shown.recording(each)) if each else group
        for group, each in zip(groups, recorded, strict=True)
    ]


def with_deaths(groups: list[FailureGroup], view: View) -> list[FailureGroup]:
    """The groups, with how the workers of those that were killed died.

    Forgotten failures have no text; that such a task was killed shows in the death of
    a worker that it was assigned to at that moment.
    """
    killed = [each for each in groups if each.exception_type in (_KILLED, "")]
    keys = [key for group in killed for key in _keys(group)]
    found = deaths_of(view, dict.fromkeys(keys))
    described = []
    for group in groups:
        known = group.exception_type == _KILLED
        had = found.get(group.example.key, ())
        if known or any(_at_once(group.example, death) for death in had):
            key, had = _telling(group, found, known)
            group = replace(group, exception_type=_KILLED, deaths=had)
            if had:
                group = replace(
                    group,
                    message=tell_of(key, had),
                    location=group.location or line_of(key, had),
                )
        described.append(_with_missing(group, view))
    return described


def _with_missing(group: FailureGroup, view: View) -> FailureGroup:
    """A group with a note on modules that its workers lack in its message."""
    if not isinstance(view, LiveView):
        return group
    lack = lack_of(group.example, view.link.timeout)
    if lack is None:
        return group
    return replace(group, message=f"{group.message}; {said_of(lack)}")


def _keys(group: FailureGroup) -> tuple[Any, ...]:
    """Its example's first."""
    return (group.example.key, *group.keys)


def _telling(
    group: FailureGroup, found: Mapping[Any, tuple[Death, ...]], known: bool
) -> tuple[Any, tuple[Death, ...]]:
    """The task to describe a group's deaths by, and these: one that ran, if any.

    The example may only have been queued where another task of the group ran. If it
    is not known that all were killed, a task that failed in the same moment.
    """
    deaths = {key: found[key] for key in _keys(group) if key in found}
    for key, had in deaths.items():
        ran = any(key in death.keys for death in had)
        if ran and (known or any(_at_once(group.example, death) for death in had)):
            return key, had
    return next(iter(deaths.items()), (group.example.key, ()))


def _at_once(failure: Failure, death: Death) -> bool:
    """Whether a task failed in the moment in which the scheduler lost a worker."""
    if failure.when is None:
        return False
    return abs((failure.when - death.when).total_seconds()) < _AT_ONCE


def _example(group: GroupForm, view: View, shown: Shown) -> Failure:
    evidence = Evidence(client=view.client, scheduler="distributed", index=shown.index)
    notes: tuple[str, ...] = (FORGOTTEN,) if group["example_forgotten"] else ()
    if not view.live:
        notes += ("it was read from a dump, so it cannot be replayed",)
    return failure_from_fact(group["example"], evidence=evidence, notes=notes)


def _location(place: Any, example: Failure, shown: Shown) -> str:
    """``file.py:12 in ratio``; empty if no traceback shows it."""
    if not place or not place[0]:
        return ""
    filename, function, line = place
    # The example's traceback may be cut, and lack the line.
    return shown.place(example, (line, function)) or shown.line(
        f"{filename}:{line} in {function}"
    )


def _notes(
    answer: Failures, groups: list[FailureGroup], view: View, span: str | None
) -> list[str]:
    left_out = {
        "were left out: it is not known when they happened": answer["undated"],
        "that the scheduler has forgotten were left out: its history has neither "
        "clients nor spans": answer["unasked"],
    }
    notes = [f"{count:,} failures {why}" for why, count in left_out.items() if count]
    if answer["span_unknown"]:
        known = "" if view.live else "; a dump knows spans only by their ids"
        notes.append(f"span {span!r} does not exist{known}")
    textless = sum(not group.exception_type for group in groups)
    if textless:
        notes.append(
            f"the class of {textless} of the root causes is not known: "
            "the text of the exception is missing"
        )
    lost = sum(has_no_file(group.location) for group in groups)
    if lost:
        notes.append(
            f"the source of {lost} of the root causes is not known here: "
            f"{why_unknown()}"
        )
    if not view.live:
        notes.append("a dump does not hold failures that the scheduler had forgotten")
    return notes


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, tz=timezone.utc)
