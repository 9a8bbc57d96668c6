"""The commands that show what the scheduler knows, and turn the recorder on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, FOUND
from dbgkit.frontends.cli.looking import Place, command, put, write
from dbgkit.frontends.verbs import spelled
from dbgkit.model import advice

if TYPE_CHECKING:
    from dbgkit.model import Checkup, Explanation, Timeline


@command("failures")
def failures(place: Place, **filters: Any) -> int:
    """List the tasks that failed and why, grouped by root cause.

    Ends with code 0 if no task failed, 1 if one did, 2 if it could not look.
    """
    from dbgkit.api.failures import failures

    with place.open() as view:
        report = failures(view=view, **filters)
    put(place, report)
    if report.total:
        return FOUND
    return COULD_NOT_LOOK if report.unknown else 0


@command("tasks")
def tasks(place: Place, keys: tuple[str, ...], **filters: Any) -> int:
    """List tasks as the scheduler has them.

    KEYS is a pattern, such as 'load-*', or one or several keys, as "('x', 0)".

    Ends with code 0 if no task in the list has failed, 1 if one has, 2 if it could
    not look: there is no such state, column, or task.
    """
    from dbgkit.api.tasks import tasks

    named: Any = keys[0] if len(keys) == 1 else list(keys) or None
    with place.open() as view:
        table = tasks(view=view, keys=named, **filters)
    put(place, table)
    if any(row.state == "erred" for row in table.rows):
        return FOUND
    return COULD_NOT_LOOK if table.unknown and not table.matched else 0


@command("story")
def story(place: Place, key: str | None) -> int:
    """Show what happened to one task: everything that the logs still hold.

    KEY is as Dask writes it, as "('x', 0)". By default the newest failure.

    Ends with code 0 if the task did not end in a failure, 1 if it did, 2 if it could
    not look: no log knows of the task.
    """
    from dbgkit.api.story import story

    with place.open() as view:
        found = story(key, view=view, timeout=place.limit)
    put(place, found)
    return FOUND if _ended_erred(found) else 0


@command("why")
def why(place: Place, key: str | None) -> int:
    """Explain why a task, or the whole cluster, makes no progress.

    KEY is as Dask writes it, as "('x', 0)".

    Ends with code 0 if all is done or goes on by itself, 1 if something is blocked, 2
    if it could not look: there is no such task.
    """
    from dbgkit.api.why import why

    with place.open() as view:
        explained = why(key, view=view)
    put(place, explained)
    return why_code(explained)


@command("deaths")
def deaths(place: Place, limit: int) -> int:
    """Show why workers died, and what they were running.

    Most is known if the recorder is on (dbgkit record).

    Ends with code 0 if none died but on purpose, 1 if one did, 2 if it could not look.
    """
    from dbgkit.api.deaths import deaths

    with place.open() as view:
        found = deaths(view=view, limit=limit, timeout=place.limit)
    put(place, found)
    return 0 if found.healthy else FOUND


@command("record")
@click.argument("switch", type=click.Choice(["on", "off"]), default="on")
def record(place: Place, switch: str, **settings: Any) -> int:
    """Turn the recorder on, or off again.

    What fails from then on is recorded on its worker, with its local variables, until
    it is turned off; see dbgkit recordings. As it is turned off, the cluster forgets
    what it holds.

    Ends with code 0 if it is on, or off, as asked; 2 if it could not be turned.
    """
    from dbgkit.api.record import record, record_off

    given = [name for name, value in settings.items() if value is not None]
    if switch == "off" and given:
        flags = " and ".join(spelled(name, None, str) for name in given)
        raise click.UsageError(f"off takes no {flags}: settings go with on")
    if place.dump is not None:
        raise click.UsageError("a dump has no recorder: give --scheduler ADDRESS")
    if place.as_json:
        raise click.UsageError("there is nothing to list: see dbgkit recordings --json")
    with place.connected() as client:
        if switch == "off":
            record_off(client=client, timeout=place.limit, keep=False)
            write("The recorder is off.\n")
            return 0
        record(client=client, timeout=place.limit, **settings)
    listing = advice.call("recordings")
    write(f"The recorder is on: {listing} lists what it holds.\n")
    return 0


@command("recordings")
def recordings(place: Place, key: str | None, limit: int) -> int:
    """List what the recorder holds, or show the newest recording of one task.

    KEY is as Dask writes it, as "('x', 0)".

    Ends with code 0 if nothing was recorded, 1 if something was, 2 if it could not
    look: the recorder is off, or there is no recording of this task.
    """
    from dbgkit.api.recordings import recordings

    with place.open() as view:
        held = recordings(key, view=view, limit=limit, timeout=place.limit)
    one = key is not None and len(held) > 0 and not place.as_json
    put(place, held[0] if one else held)
    if len(held):
        return FOUND
    return COULD_NOT_LOOK if held.since is None or held.unknown else 0


@command("doctor")
def doctor(place: Place) -> int:
    """Check whether a cluster is fit for debugging, and say what to change.

    Ends with code 0 if there is no problem (warnings are none), 1 if there is one, 2
    if it could not look.
    """
    from dbgkit.api.doctor import doctor

    with place.open() as view:
        checkup = doctor(view=view, timeout=place.limit)
    put(place, checkup)
    return doctor_code(checkup)


def why_code(explained: Explanation) -> int:
    """The code to end with."""
    if explained.cause == "unknown-key":
        return COULD_NOT_LOOK
    return 0 if explained.healthy else FOUND


def doctor_code(checkup: Checkup | None) -> int:
    """The code to end with."""
    findings = checkup.findings if checkup is not None else ()
    return FOUND if any(each.level == "problem" for each in findings) else 0


def _ended_erred(found: Timeline) -> bool:
    """Whether the last state that the task was in by itself is a failure.

    What is released and forgotten afterwards has failed all the same.
    """
    for moment in reversed(found.moments):
        words = moment.what.split()
        if words[-2:-1] != ["->"] or words[-1] in ("released", "forgotten"):
            continue
        return words[-1] in ("erred", "error")
    return False
