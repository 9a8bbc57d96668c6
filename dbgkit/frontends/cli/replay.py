"""The commands that find a failed task and run it again, from outside the job."""

from __future__ import annotations

from typing import Any

import click

from dbgkit.frontends.cli.ending import FOUND, patient_pipe
from dbgkit.frontends.cli.looking import Place, command, put


@command("locate")
def locate(place: Place, key: str | None) -> int:
    """Find the task that failed, and what it raised; nothing is run.

    KEY is written as Dask does, such as "('x', 0)". The default is the newest failure.

    Exits with code 1, or with 2 if no failure was found.
    """
    from dbgkit.api.locate import locate

    with _client(place) as client:
        found = locate(key, client=client, timeout=place.limit)
        put(place, found)
    return FOUND


@command("replay")
def replay(place: Place, key: str | None, **options: Any) -> int:
    """Run a failed task again with its real inputs, and report the outcome.

    KEY is written as Dask does, such as "('x', 0)". The default is the newest failure.

    Exits with code 0 if the task passed, 1 if it failed, 2 if it could not be run.
    """
    from dbgkit.api.replay import replay

    with _client(place) as client:
        again = replay(key, client=client, timeout=place.limit, **options)
        put(place, again)
    return 0 if options["dry_run"] or again.outcome == "passed" else FOUND


@command("debug")
def debug(place: Place, key: str | None, **options: Any) -> int:
    """Open the debugger in a failed task, with its real inputs.

    KEY is written as Dask does, such as "('x', 0)". The default is the newest failure.
    Without a terminal the report is printed.

    Exits with code 1, or with 2 if there was nothing to open.
    """
    from dbgkit.api.debug import debug

    if place.as_json:
        raise click.UsageError(
            "a prompt cannot be printed as JSON: use dbgkit replay --json"
        )
    with _client(place) as client, patient_pipe():
        debug(key, client=client, timeout=place.limit, **options)
    return FOUND


def _client(place: Place) -> Any:
    if place.dump is not None:
        raise click.UsageError("a dump has no tasks to run: use --scheduler ADDRESS")
    return place.connected()
