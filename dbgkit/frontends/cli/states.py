"""The commands that show what the scheduler knows, and turn the recorder on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dbgkit import advice
from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, FOUND
from dbgkit.frontends.cli.looking import Place, ask, command, put, shown, write
from dbgkit.frontends.verbs import SWITCH, spelled

if TYPE_CHECKING:
    from dbgkit.model import Explanation, Timeline


@command("failures")
def failures(place: Place, **filters: Any) -> int:
    """List the tasks that failed and why, grouped by root cause.

    Exits with code 0 if no task failed, 1 if one did, 2 on an error.
    """
    report = shown(place, "failures", **filters)
    if report.total:
        return FOUND
    return COULD_NOT_LOOK if report.unknown else 0


@command("tasks")
def tasks(place: Place, keys: tuple[str, ...], **filters: Any) -> int:
    """List tasks as the scheduler has them.

    KEYS is a pattern, such as 'load-*', or one or more keys, such as "('x', 0)".

    Exits with code 0 if no task in the list has failed, 1 if one has, 2 on an error: a
    state, a column or a task does not exist, for instance.
    """
    named: Any = keys[0] if len(keys) == 1 else list(keys) or None
    table = shown(place, "tasks", keys=named, **filters)
    if any(row.state == "erred" for row in table.rows):
        return FOUND
    return COULD_NOT_LOOK if table.unknown and not table.matched else 0


@command("story")
def story(place: Place, key: str | None) -> int:
    """Show what happened to one task, as far as the logs go back.

    KEY is written as Dask does, such as "('x', 0)". The default is the newest failure.

    Exits with code 0 if the task did not end in a failure, 1 if it did, 2 on an error:
    no log has the task, for instance.
    """
    return FOUND if _ended_erred(shown(place, "story", key)) else 0


@command("why")
def why(place: Place, key: str | None) -> int:
    """Explain why a task, or the whole cluster, makes no progress.

    KEY is written as Dask does, such as "('x', 0)".

    Exits with code 0 if everything is done or progressing, 1 if something is blocked, 2
    on an error: the task does not exist, for instance.
    """
    return why_code(shown(place, "why", key))


@command("peek")
def peek(place: Place, key: str | None, **options: Any) -> int:
    """Show what a running task does now, or all that run.

    KEY is written as Dask does, such as "('x', 0)". The default is whatever runs, the
    longest first.

    Exits with code 0 if it was seen, or nothing runs, 1 if a worker did not answer, 2
    on an error: the task does not run, for instance.
    """
    return FOUND if shown(place, "peek", key, **options).silent else 0


@command("deaths")
def deaths(place: Place, limit: int) -> int:
    """Show why workers died, and what they were running.

    More is known if the recorder is on (dbgkit record).

    Exits with code 0 if none died unexpectedly, 1 if one did, 2 on an error.
    """
    return 0 if shown(place, "deaths", limit=limit).healthy else FOUND


@command("record")
@click.argument("switch", type=click.Choice(SWITCH), required=False)
def record(place: Place, switch: str | None, **settings: Any) -> int:
    """Turn the recorder on or off, or show what it holds.

    Tasks that fail while it is on are recorded on their workers, with local variables;
    see dbgkit recordings. When it is turned off, the cluster drops the recordings.

    Exits with code 0 if it is on or off as requested, or is shown; 2 on an error.
    """
    from dbgkit.api.record import record, record_off

    given = [name for name, value in settings.items() if value is not None]
    if switch != "on" and given:
        flags = " and ".join(spelled(name, None, str) for name in given)
        raise click.UsageError(f"{flags}: settings apply to `on` only")
    if place.dump is not None:
        raise click.UsageError("a dump has no recorder: use --scheduler ADDRESS")
    if switch is None:
        shown(place, "recordings")
        return 0
    if place.as_json:
        raise click.UsageError("there is nothing to list: use dbgkit recordings --json")
    with place.connected() as client:
        if switch == "off":
            record_off(client=client, timeout=place.limit, keep=False)
            write("The recorder is off.\n")
            return 0
        try:
            page = record(client=client, timeout=place.limit, **settings).page
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    listing = advice.call("recordings")
    write(f"The recorder is on: {listing} lists what it holds.\n")
    if settings["keep_frames"]:
        write(f"{advice.call('attach')} lists failures that are held.\n")
    if page:
        write(f"{page} shows what fails and what blocks.\n")
    return 0


@command("recordings")
def recordings(place: Place, key: str | None, limit: int) -> int:
    """List recordings, or show the newest one of a task.

    KEY is written as Dask does, such as "('x', 0)".

    Exits with code 0 if nothing was recorded, also with the recorder off, 1 if
    something was, 2 on an error: there is no recording of this task, for instance.
    """
    held = ask(place, "recordings", key, limit=limit)
    one = key is not None and len(held) > 0 and not place.as_json
    put(place, held[0] if one else held)
    if len(held):
        return FOUND
    return COULD_NOT_LOOK if key is not None or held.unknown else 0


@command("doctor")
def doctor(place: Place) -> int:
    """Check whether a cluster is fit for debugging.

    Exits with code 0 if there is no problem (warnings do not count), 1 if there is one,
    2 on an error.
    """
    findings = shown(place, "doctor").findings
    return FOUND if any(each.level == "problem" for each in findings) else 0


def why_code(explained: Explanation) -> int:
    """The exit code."""
    if explained.cause == "unknown-key":
        return COULD_NOT_LOOK
    return 0 if explained.healthy else FOUND


def _ended_erred(found: Timeline) -> bool:
    """Whether the task failed last, leaving aside that it was released or forgotten.

    A task that is released and forgotten afterwards has failed all the same.
    """
    for moment in reversed(found.moments):
        words = moment.what.split()
        if words[-2:-1] != ["->"] or words[-1] in ("released", "forgotten"):
            continue
        return words[-1] in ("erred", "error")
    return False
