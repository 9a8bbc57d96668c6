"""The commands that show a whole cluster: as a report, or on a live screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from dbgkit.errors import CannotWrite
from dbgkit.frontends.cli.ending import (
    COULD_NOT_LOOK,
    FOUND,
    CouldNotLook,
    patient_pipe,
)
from dbgkit.frontends.cli.looking import Place, as_json, ask, command, put, write
from dbgkit.frontends.cli.states import why_code
from dbgkit.frontends.verbs import PAGE


@command("report")
def report(place: Place, path: str | None, exit_code: bool) -> int:
    """Write all that is known about a cluster to one HTML page.

    The page needs no network: failures, what is stuck and why, tasks, and what doctor
    finds.

    Exits with code 0 once it is written, 2 on an error; with --exit-code, 1 if a task
    failed or is stuck or doctor found a problem.
    """
    from dbgkit import render
    from dbgkit.api.report import check_place, write_to

    path = path or ("-" if place.as_json else PAGE)
    if path != "-":
        with _writing_page():
            check_place(path)
    made = ask(place, "report")
    json = place.as_json
    text = f"{as_json(made.to_json())}\n" if json else render.document(made)
    if path == "-":
        write(text)
    else:
        with _writing_page():
            write_to(path, text)
        click.echo(f"written to {path}", err=True)
    return FOUND if exit_code and not made.healthy else 0


@contextmanager
def _writing_page() -> Iterator[None]:
    """End the command where the page cannot be written; standard output still can."""
    try:
        yield
    except CannotWrite as error:
        raise CouldNotLook(str(error)) from error


@command("watch", brief=False)
def watch(place: Place, every: str, once: bool, updates: int | None) -> int:
    """Watch a cluster on a live screen.

    It shows states of tasks, failures, what is stuck, and workers: a list to move in,
    with details to open; ? shows the keys. It stays until q or Ctrl-C, also while the
    scheduler is unreachable for less than --timeout. Without a terminal, it is printed
    each time that it has changed; with --json or --dump, once.

    Exits with code 0 if nothing was wrong in the last update, 1 if a task had failed or
    was stuck, 2 on an error.
    """
    from dbgkit.api.asking import seconds
    from dbgkit.api.watch import follow
    from dbgkit.render.watch import in_blocks, on_screen, takes_screen

    if once or place.as_json or place.dump is not None:
        updates = 1
    screen = takes_screen()
    show = on_screen if screen else in_blocks
    limit, seen = seconds(place.limit), None
    with patient_pipe():
        seen = follow(
            place.open, show, every=seconds(every), patience=limit, updates=updates
        )
    if seen is None:
        return COULD_NOT_LOOK
    if screen or updates == 1:  # blocks have been printed
        put(place, seen)
    return FOUND if seen.failures.total else why_code(seen.why)
