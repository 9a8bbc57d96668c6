"""The commands that show a whole cluster: a report to keep, a screen to watch."""

from __future__ import annotations

import os

import click

from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, FOUND, CouldNotLook
from dbgkit.frontends.cli.looking import Where, as_json, looks, put, time_option, write
from dbgkit.frontends.cli.states import why_code

PAGE = "dbgkit-report.html"


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    metavar="FILE",
    help=f"Where to write it; - is standard output.  [default: {PAGE}; - with --json]",
)
@looks
def report(where: Where, output: str | None) -> int:
    """Write all that is known of a cluster into one HTML page.

    The page needs no network: failures, what does not move and why, tasks, and what
    doctor says.

    Ends with code 0 if nothing is wrong, 1 if a task failed, does not move, or doctor
    found a problem, 2 if it could not look or not write.
    """
    from dbgkit import render
    from dbgkit.api.report import report as make_report

    output = output or ("-" if where.as_json else PAGE)
    folder = os.path.dirname(os.path.abspath(output))
    if output != "-" and not os.path.isdir(folder):
        raise CouldNotLook(f"cannot write {output!r}: there is no folder {folder!r}")
    with where.open() as view:
        made = make_report(view=view, timeout=where.limit)
    json = where.as_json
    text = f"{as_json(made.to_json())}\n" if json else render.document(made)
    if output == "-":
        write(text)
    else:
        try:
            with open(output, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError as error:
            raise CouldNotLook(f"cannot write {output!r}: {error}") from error
        click.echo(f"written to {output}", err=True)
    return 0 if made.healthy else FOUND


@click.command()
@click.option(
    "--every",
    default="2s",
    show_default=True,
    callback=time_option,
    metavar="TIME",
    help="From one look to the next; none begins before the last one has ended.",
)
@click.option("--once", is_flag=True, help="Look once, print that, and end.")
@looks
def watch(where: Where, every: str, once: bool) -> int:
    """Watch a cluster: states of tasks, failures, and what does not move.

    The screen goes on until q or Ctrl-C, and outlasts a scheduler that is away for
    less than --timeout. Without a terminal, with --json, or of a dump it looks once.

    Ends with code 0 if nothing was wrong at the last look, 1 if a task had failed or
    did not move, 2 if it could not look.
    """
    from dbgkit.api.asking import seconds
    from dbgkit.api.watch import Looks
    from dbgkit.render.watch import takes_screen
    from dbgkit.render.watch import watch as follow

    can = takes_screen()
    look = Looks(where.open)
    try:
        if once or where.as_json or where.dump is not None or not can:
            if not (once or where.as_json or can):
                click.echo("this is no terminal, so one look only", err=True)
            seen = look()
        else:
            last = follow(look, every=seconds(every), patience=seconds(where.limit))
            if last is None:
                return COULD_NOT_LOOK
            seen = last
    finally:
        look.close()
    put(where, seen)
    return FOUND if seen.failures.total else why_code(seen.why)
