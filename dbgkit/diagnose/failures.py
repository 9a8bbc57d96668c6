"""A `FailureReport` from what a scheduler or a dump reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dbgkit import advice
from dbgkit.cluster.dashboard import page_link
from dbgkit.cluster.recordings import held_recordings
from dbgkit.cluster.shipping import deaths_name, recorder_name
from dbgkit.cluster.view import LiveView, View
from dbgkit.cluster.why import foreseeing
from dbgkit.diagnose.deaths.explain import deaths_of, line_of, tell_of
from dbgkit.errors import WrongTarget
from dbgkit.model import (
    Death,
    Evidence,
    Failure,
    FailureGroup,
    FailureReport,
    Recording,
    Span,
)
from dbgkit.remote.common.frames import own_index
from dbgkit.remote.common.texts import with_article
from dbgkit.source import Index
from dbgkit.source.places import has_no_file
from dbgkit.source.reading import why_unknown
from dbgkit.source.shown import Shown
from dbgkit.targets.failure import failure_from_fact
from dbgkit.targets.led import named_of, note_of_past, shared_worker
from dbgkit.targets.modules import lack_of, said_of
from dbgkit.targets.naming import recorded_name

if TYPE_CHECKING:
    from dbgkit.remote.common.wire import SpanForm
    from dbgkit.remote.common.wire_failures import (
        Failures,
        FailuresQuestion,
        GroupForm,
    )

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
        "deaths": deaths_name(),
        "recorder": recorder_name(),
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
        bystanders=answer["bystanders"],
        cascaded=answer["cascaded"],
        healed=answer["healed"],
        healed_keys=tuple(answer["healed_keys"]),
        omitted=answer["omitted"],
        span=span_of(answer),
        notes=tuple(_notes(answer, groups, view, question, of_client)),
        unknown=_unknown(answer, span, of_client),
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
    if client is None or isinstance(client, str):
        return client
    name = getattr(client, "id", None)
    if not isinstance(name, str):
        what = with_article(type(client).__name__)
        raise WrongTarget(
            f"of_client takes a Client or its id, not {what}",
            "client.id is that of a Client",
        )
    return name


def _unknown(answer: Failures, span: str | None, client: Any) -> tuple[str, ...]:
    """What was asked for and is not there."""
    unknown = [f"span {span!r}"] if answer["span_unknown"] else []
    if answer["client_unknown"]:
        unknown.append(f"client {_client_id(client)!r}")
    return tuple(unknown)


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
        message = _of_killed(group)
    first, last = group["first"], group["last"]
    return FailureGroup(
        exception_type=group["exception_type"] or example.exception_type,
        message=message,
        pattern=group["message"] if group["messages"] else message,
        different=group["different"],
        messages=tuple(group["messages"]),
        role=f"{example.role}s" if example.role else "",
        location=_location(group["place"], example, shown),
        count=group["count"],
        cascaded=group["cascaded"],
        forgotten=group["forgotten"],
        again=group["again"],
        workers=tuple(group["workers"]),
        omitted_workers=group["omitted_workers"],
        first=None if first is None else _moment(first),
        last=None if last is None else _moment(last),
        keys=tuple(group["keys"]),
        omitted_keys=group["omitted_keys"],
        example=example,
    )


def _of_killed(group: GroupForm) -> str:
    """What happened to tasks that failed as their workers died."""
    count = group["example"].get("suspicious") or 1
    died = "its worker" if count == 1 else f"{count} workers"
    shared = group["example"].get("shared")
    if shared is None:
        return f"{died} died while assigned to it"
    if shared["role"] == "suspect":
        them = "it" if count == 1 else "them"
        return f"{died} died; {_TO_BLAME.format(f'the tasks assigned to {them}')}"
    there = "it was" if group["count"] == 1 else "they were"
    return f"{died} died while running {named_of(shared)}; {there} only there"


_TO_BLAME = "which of {} is to blame is not known"


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
        _recorded_so(group, shown.recording(each)) if each else group
        for group, each in zip(groups, recorded, strict=True)
    ]


def _recorded_so(group: FailureGroup, recording: Recording) -> FailureGroup:
    """A group with the recording of its example, which is all that may be left."""
    example = group.example
    if example.found_in == "history":
        evidence = replace(example.evidence, recording=recording)
        example = replace(example, evidence=evidence)
    location = group.location or _own_line(recording)
    return replace(group, recording=recording, example=example, location=location)


def _own_line(recording: Recording) -> str:
    """The innermost line of the user's own code in a recording; empty if there is none.

    Its files are those that `Shown` shows.
    """
    at = own_index([frame.filename for frame in recording.frames])
    if at is None:
        return ""
    frame = recording.frames[at]
    name = PurePath(frame.filename).name
    return f"{name}:{frame.lineno} in {frame.function}"


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
                    message=_told(group, key, had),
                    location=group.location or line_of(key, had),
                )
        described.append(_with_missing(group, view))
    return described


def _told(group: FailureGroup, key: Any, deaths: Sequence[Death]) -> str:
    """How the workers of a group died, and whether it is known that it killed them."""
    text = tell_of(key, deaths)
    if group.role == "suspects":
        return f"{text}; {_TO_BLAME.format('them')}"
    return group.message if group.role else text


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
    evidence = Evidence(
        client=view.client,
        scheduler="distributed",
        index=shown.index,
        again=advice.again(),
    )
    notes: tuple[str, ...] = ()
    if group["example_forgotten"]:
        notes = (note_of_past(group["example"]),)
    if not view.live:
        notes += ("it was read from a dump, so it cannot be replayed",)
    fact = group["example"]
    found_in = "history" if group["example_forgotten"] else "scheduler"
    failure = failure_from_fact(fact, evidence=evidence, notes=notes, found_in=found_in)
    shared = fact.get("shared")
    if shared is None:
        return failure
    # What its role is, the group's message says.
    own = shared_worker(shared)
    rest = tuple(note for note in failure.notes if note not in own)
    return replace(failure, notes=(*rest, *shared_worker(shared, own=False)))


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
    answer: Failures,
    groups: list[FailureGroup],
    view: View,
    question: FailuresQuestion,
    client: Any,
) -> list[str]:
    since, span = question.get("since"), question.get("span")
    left_out = {
        "were left out: it is not known when they happened": answer["undated"],
        "that the scheduler has forgotten were left out: its history has neither "
        "clients nor spans": answer["unasked"],
    }
    notes = []
    if since is not None:
        start = f"{_moment(since):%Y-%m-%d %H:%M:%S} UTC"
        notes.append(f"what failed before {start} is left out")
    notes += [f"{count:,} failures {why}" for why, count in left_out.items() if count]
    if answer["span_unknown"]:
        known = "" if view.live else "; a dump knows spans only by their ids"
        notes.append(f"span {span!r} does not exist{known}")
    if answer["client_unknown"]:
        notes.append(
            f"no client {_client_id(client)!r} is connected: client.id is a client's, "
            "and what one had is released once it has left"
        )
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
