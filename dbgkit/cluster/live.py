"""The client's side of live sessions: on, off, and what waits."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from distributed.protocol.pickle import dumps

from dbgkit.cluster.link import Link
from dbgkit.cluster.recordings import END_LIMIT, START_LIMIT, patience
from dbgkit.cluster.shapes import fits
from dbgkit.cluster.shipping import ShippedPlugin, ShippedWorkerPlugin, live_name
from dbgkit.errors import NotHere, RecorderBroken
from dbgkit.model.attach import Armed, Passed, Stop, Stops
from dbgkit.model.base import Span
from dbgkit.model.live import WentOff, WentOn
from dbgkit.remote.common.keys import as_key
from dbgkit.remote.common.wire_live import (
    ArmedForm,
    AtForm,
    PassedForm,
    PlaceForm,
    StopForm,
)
from dbgkit.remote.scheduler.live import PLACES, STOPS
from dbgkit.remote.secrets.redact import redact_text

Lines = Callable[[PlaceForm], tuple[str, str]]  # of a place: the line, and its text


def who_am_i(client: Any) -> str:
    """How this client is named to others."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a name for the user
        user = "somebody"
    return f"{user}@{platform.node() or 'unknown'} ({str(client.id)[:20]})"


def switch_on(
    link: Link,
    token: str,
    most: int,
    limit: float,
    everyone: bool,
    at: AtForm | None = None,
    *,
    holds: bool = False,
) -> WentOn:
    """Have tasks stop at ``breakpoint()``, on all workers and later ones; or ``at``.

    With ``holds`` nothing stops: failures that the recorder sees are held for
    ``limit`` seconds, ``most`` of each kind on each worker. ``token`` names this use
    among others of the same client; it ends with the client, but not what is held.

    Raises
    ------
    NotHere
        The cluster refuses to run code that is sent to it.
    RecorderBroken
        It failed on a worker as it started, and is off again.
    """
    arming: dict[str, Any] = {"most": most, "limit": limit}
    if at is not None:
        arming["at"] = at
    if holds:
        arming["holds"] = True
    answer = _ask(
        link,
        "on",
        _store(),
        owner=link.client.id,
        token=token,
        who=who_am_i(link.client),
        arming=arming,
        everyone=everyone,
        plugin=_worker_part(),
        limit=patience(link, START_LIMIT),
    )
    if answer["refused"] and at is not None and at["when"] == "line":
        raise NotHere(f"{at['text']} cannot stop tasks: {answer['refused']}", _INSTEAD)
    if answer["refused"]:
        raise NotHere(
            f"this cluster does not run code that it is sent: {answer['refused']}",
            "a live session would be a way around that",
        )
    if answer["broken"]:
        where, why = next(iter(answer["broken"].items()))
        raise RecorderBroken(
            f"live does not start on {where}, so it is off: {why}",
            "workers need Python 3.10 or newer",
        )
    return WentOn(answer["without"], answer.get("tasks"))


# What can be done where tasks cannot stop at lines.
_INSTEAD = (
    "when='start' with a function, a prefix or a key, when='error', and breakpoint() "
    "with live() need no line"
)


def _store() -> bytes:
    part: bytes = dumps(ShippedPlugin("scheduler.live", "LiveStops", live_name()))
    return part


def _worker_part() -> bytes:
    settings: Any = {"armings": {}}
    part = ShippedWorkerPlugin("worker.live", "Live", live_name(), settings)
    pickled: bytes = dumps(part)
    return pickled


def switch_off(
    link: Link,
    tokens: Iterable[str] | None,
    *,
    orphans: bool = False,
    kind: str = STOPS,
) -> WentOff:
    """End some uses of this client, or all of them (``None``); what waits goes on.

    ``orphans``: also those of clients that are no longer connected; ``kind``: by
    default those of `live` and of `break_at`, else only `PLACES`, or `HOLDS`.
    """
    places = kind == PLACES
    answer = _ask(
        link,
        "off",
        None,
        owner=link.client.id,
        tokens=None if tokens is None else list(tokens),
        orphans=orphans,
        kind=kind,
        limit=patience(link, END_LIMIT),
    )
    if answer is None:
        return WentOff(places=places)
    return WentOff(answer["others"], answer["went_on"], answer["without"], places)


async def preload(
    scheduler: Any, most: int, limit: float, *, holds: bool = False
) -> None:
    """Turn it on for everyone, from within a scheduler's own process."""
    arming: dict[str, Any] = {"most": most, "limit": limit}
    if holds:
        arming["holds"] = True
    name = live_name()
    await scheduler.register_scheduler_plugin(_store(), name=name, idempotent=True)
    await scheduler.handlers[f"{name}-on"](
        owner="",
        token="preload-holds" if holds else "preload",
        who="the scheduler's preload",
        arming=arming,
        everyone=True,
        plugin=_worker_part(),
        limit=0.0,
    )


def stops_of(link: Link, lines: Lines) -> Stops:
    """What waits, as the scheduler lists it; ``lines`` finds the source of a place."""
    start = datetime.now(timezone.utc)
    answer = _ask(link, "list", None)
    span = Span(start, datetime.now(timezone.utc))
    if answer is None:
        return Stops((), span=span)
    # Anybody who reaches a scheduler may have sent anything.
    stops = [each for each in answer["stops"] if fits(StopForm, each)]
    held = [each for each in answer["held"] if fits(StopForm, each)]
    passed = [each for each in answer["passed"] if fits(PassedForm, each)]
    return Stops(
        tuple(stop_from_wire(form, lines) for form in stops),
        tuple(_passed(form, lines) for form in passed),
        held=tuple(stop_from_wire(form, lines) for form in held),
        omitted=answer["omitted"],
        armed=tuple(map(_armed, answer["armed"])),
        span=span,
    )


def stop_from_wire(form: StopForm, lines: Lines, how: str = "") -> Stop:
    """A stop as it was sent; secrets in its line are hidden."""
    line, source = lines(form["place"])
    entered = form["entered"]
    return Stop(
        key=as_key(form["key"]),
        prefix=form["prefix"],
        worker=form["worker"],
        line=line,
        source=redact_text(source),
        since=_time(form["since"]),
        until=_time(form["until"]),
        state=form["state"],
        who=form["who"],
        entered=None if entered is None else _time(entered),
        commands=form["commands"],
        resources=dict(form["resources"]),
        cancelled=form["cancelled"],
        how=how,
        id=form["id"],
        exception=form["exception"],
    )


def _passed(form: PassedForm, lines: Lines) -> Passed:
    place = form["place"]
    line = lines(place)[0] if place["file"] else place["name"]
    example = as_key(form["example"])
    return Passed(form["prefix"], form["why"], line, form["count"], example)


def _armed(form: ArmedForm) -> Armed:
    since = _time(form["since"])
    most, limit = form["most"], form["limit"]
    who, everyone = form["who"], form["everyone"]
    return Armed(who, everyone, most, limit, since, form["at"], form["holds"])


def _time(when: float) -> datetime:
    return datetime.fromtimestamp(when, timezone.utc)


def _ask(link: Link, verb: str, store: bytes | None, **options: Any) -> Any:
    """Ask the scheduler's part, put there if it is missing; None if it is not there."""
    question: dict[str, Any] = {"name": live_name(), "verb": verb, "options": options}
    if store is not None:
        question["plugin"] = store
    return link.question("live", question)["answer"]
