"""The commands that tell what the scheduler knows: failures, tasks, story, why."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, FOUND
from dbgkit.frontends.cli.looking import Where, looks, put, size_option, write
from dbgkit.model import advice

if TYPE_CHECKING:
    from dbgkit.model import Checkup, Explanation, Timeline

_LIMIT = click.IntRange(min=1)


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    help='Only failures since then (2026-01-31T12:00) or so long ago ("5 minutes").',
)
@click.option("--span", metavar="NAME", help="Only failures in this span.")
@click.option(
    "--client", "of_client", metavar="ID", help="Only failures of this client's work."
)
@click.option(
    "--limit",
    type=_LIMIT,
    default=20,
    show_default=True,
    help="The most root causes to show; the rest is counted.",
)
@looks
def failures(
    where: Where,
    since: str | None,
    span: str | None,
    of_client: str | None,
    limit: int,
) -> int:
    """Tell which tasks failed and why, grouped by root cause.

    Ends with code 0 if no task failed, 1 if one did, 2 if it could not look.
    """
    from dbgkit.api.failures import failures

    with where.open() as view:
        report = failures(
            view=view, since=_moment(since), span=span, of_client=of_client, limit=limit
        )
    put(where, report)
    if report.total:
        return FOUND
    return COULD_NOT_LOOK if report.unknown else 0


@click.command()
@click.argument("keys", nargs=-1)
@click.option("--state", multiple=True, help="Only tasks in this state; repeatable.")
@click.option("--prefix", multiple=True, help="Only with this prefix; repeatable.")
@click.option("--worker", help="Only on this worker, by its address or name.")
@click.option(
    "--failed/--not-failed",
    default=None,
    help="Only what failed by itself, or only the rest.",
)
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Numbers come largest first, texts from A; the other way round with a - "
    "before it: --sort=-nbytes.",
)
@click.option(
    "--limit",
    type=_LIMIT,
    default=50,
    show_default=True,
    help="The most tasks to show; the rest is counted.",
)
@looks
def tasks(where: Where, keys: tuple[str, ...], **filters: Any) -> int:
    """List tasks as the scheduler has them.

    KEYS is a pattern, such as 'load-*', or one or several keys, as "('x', 0)".

    Ends with code 0 if no task in the list has failed, 1 if one has, 2 if it could
    not look: there is no such state, column, or task.
    """
    from dbgkit.api.tasks import tasks

    for name in ("state", "prefix"):
        filters[name] = list(filters[name]) or None
    named: Any = keys[0] if len(keys) == 1 else list(keys) or None
    with where.open() as view:
        table = tasks(view=view, keys=named, **filters)
    put(where, table)
    if any(row.state == "erred" for row in table.rows):
        return FOUND
    return COULD_NOT_LOOK if table.unknown and not table.matched else 0


@click.command()
@click.argument("key", required=False)
@looks
def story(where: Where, key: str | None) -> int:
    """Tell what happened to one task: all that any log still holds.

    KEY is as Dask writes it, as "('x', 0)". Without it the newest failure is told.

    Ends with code 0 if the task did not end in a failure, 1 if it did, 2 if it could
    not look: no log knows of the task.
    """
    from dbgkit.api.story import story

    with where.open() as view:
        told = story(key, view=view, timeout=where.limit)
    put(where, told)
    return FOUND if _ended_erred(told) else 0


@click.command()
@click.argument("key", required=False)
@looks
def why(where: Where, key: str | None) -> int:
    """Tell why a task, or the whole cluster, does not move on.

    KEY is as Dask writes it, as "('x', 0)".

    Ends with code 0 if all is done or goes on by itself, 1 if something is in the
    way, 2 if it could not look: there is no such task.
    """
    from dbgkit.api.why import why

    with where.open() as view:
        explained = why(key, view=view)
    put(where, explained)
    return why_code(explained)


@click.command()
@click.option(
    "--limit",
    type=_LIMIT,
    default=50,
    show_default=True,
    help="The most deaths to show; the rest is counted.",
)
@looks
def deaths(where: Where, limit: int) -> int:
    """Tell why workers went away, and what they ran then.

    Most is known where the recorder is on (dbgkit.record).

    Ends with code 0 if none went but on purpose, 1 if one did, 2 if it could not look.
    """
    from dbgkit.api.deaths import deaths

    with where.open() as view:
        found = deaths(view=view, limit=limit, timeout=where.limit)
    put(where, found)
    return 0 if found.healthy else FOUND


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]), default="on")
@click.option(
    "--hold", callback=size_option, metavar="SIZE", help="Most bytes to hold: 64MB."
)
@click.option(
    "--keep-inputs",
    callback=size_option,
    metavar="SIZE",
    help="Most bytes of inputs of failed tasks to keep: 1GB.",
)
@looks
def record(where: Where, switch: str, hold: str | None, keep_inputs: str | None) -> int:
    """Turn the recorder on, or off again.

    What fails from then on is recorded on its worker, with its local variables, until
    it is turned off; see dbgkit recordings. As it is turned off, the cluster forgets
    what it holds.

    Ends with code 0 if it is on, or off, as asked; 2 if it could not be turned.
    """
    from dbgkit.api.record import record, record_off

    if switch == "off" and (hold or keep_inputs):
        raise click.UsageError("--hold and --keep-inputs go with on")
    if where.dump is not None:
        raise click.UsageError("a dump has no recorder: give --scheduler ADDRESS")
    if where.as_json:
        raise click.UsageError("there is nothing to list: see dbgkit recordings --json")
    with where.connected() as client:
        if switch == "off":
            record_off(client=client, timeout=where.limit, keep=False)
            write("The recorder is off.\n")
            return 0
        record(client=client, hold=hold, keep_inputs=keep_inputs, timeout=where.limit)
    told = advice.call("recordings")
    write(f"The recorder is on: {told} lists what it holds.\n")
    return 0


@click.command()
@click.argument("key", required=False)
@click.option(
    "--limit",
    type=_LIMIT,
    default=50,
    show_default=True,
    help="The most recordings to show; the rest is counted.",
)
@looks
def recordings(where: Where, key: str | None, limit: int) -> int:
    """List what the recorder holds, or show the newest recording of one task.

    KEY is as Dask writes it, as "('x', 0)".

    Ends with code 0 if nothing was recorded, 1 if something was, 2 if it could not
    look: the recorder is off, or there is no recording of this task.
    """
    from dbgkit.api.recordings import recordings

    with where.open() as view:
        held = recordings(key, view=view, limit=limit, timeout=where.limit)
    one = key is not None and len(held) > 0 and not where.as_json
    put(where, held[0] if one else held)
    if len(held):
        return FOUND
    return COULD_NOT_LOOK if held.since is None or held.unknown else 0


@click.command()
@looks
def doctor(where: Where) -> int:
    """Check whether a cluster is fit for debugging, and say what to change.

    Ends with code 0 if there is no problem (warnings are none), 1 if there is one, 2
    if it could not look.
    """
    from dbgkit.api.doctor import doctor

    with where.open() as view:
        checkup = doctor(view=view, timeout=where.limit)
    put(where, checkup)
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


def _moment(since: str | None) -> Any:
    """A time of day, or the text as it is: so long ago."""
    try:
        return datetime.fromisoformat(since) if since else None
    except ValueError:
        return since


def _ended_erred(told: Timeline) -> bool:
    """Whether the last state that the task was in by itself is a failure.

    What is released and forgotten afterwards has failed all the same.
    """
    for moment in reversed(told.moments):
        words = moment.what.split()
        if words[-2:-1] != ["->"] or words[-1] in ("released", "forgotten"):
            continue
        return words[-1] in ("erred", "error")
    return False
