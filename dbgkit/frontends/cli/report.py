"""The commands that show a whole cluster: as a report, or on a live screen."""

from __future__ import annotations

import os

import click

from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, FOUND, CouldNotLook
from dbgkit.frontends.cli.looking import Place, as_json, command, put, write
from dbgkit.frontends.cli.states import why_code
from dbgkit.frontends.verbs import PAGE


@command("report")
def report(place: Place, output: str | None) -> int:
    """Write all that is known about a cluster to one HTML page.

    The page needs no network: failures, what is stuck and why, tasks, and what doctor
    finds.

    Exits with code 0 if nothing is wrong, 1 if a task failed or is stuck or doctor
    found a problem, 2 on an error.
    """
    from dbgkit import render
    from dbgkit.api.report import report as make_report

    output = output or ("-" if place.as_json else PAGE)
    folder = os.path.dirname(os.path.abspath(output))
    if os.path.isdir(output):
        raise CouldNotLook(f"cannot write {output!r}: it is a folder")
    if output != "-" and not os.path.isdir(folder):
        raise CouldNotLook(f"cannot write {output!r}: {folder!r} does not exist")
    with place.open() as view:
        made = make_report(view=view, timeout=place.limit)
    json = place.as_json
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


@command("watch")
def watch(place: Place, every: str, once: bool) -> int:
    """Watch a cluster: states of tasks, failures, and what is stuck.

    The screen stays until q or Ctrl-C, also while the scheduler is unreachable for less
    than --timeout. Without a terminal, with --json or --dump, it is printed once.

    Exits with code 0 if nothing was wrong in the last update, 1 if a task had failed or
    was stuck, 2 on an error.
    """
    from dbgkit.api.asking import seconds
    from dbgkit.api.watch import Looks
    from dbgkit.render.watch import takes_screen
    from dbgkit.render.watch import watch as follow

    can = takes_screen()
    look = Looks(place.open)
    try:
        if once or place.as_json or place.dump is not None or not can:
            if not (once or place.as_json or can):
                click.echo("not a terminal: shown only once", err=True)
            seen = look()
        else:
            last = follow(look, every=seconds(every), patience=seconds(place.limit))
            if last is None:
                return COULD_NOT_LOOK
            seen = last
    finally:
        look.close()
    put(place, seen)
    return FOUND if seen.failures.total else why_code(seen.why)
