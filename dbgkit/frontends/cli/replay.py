"""The commands that find a failed task and run it again, from beside the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dbgkit.frontends.cli.ending import FOUND, patient_pipe
from dbgkit.frontends.cli.looking import Where, looks, put, size_option

_SHARED = (
    click.option(
        "--scope",
        type=click.Choice(["task", "ancestors"]),
        default="task",
        show_default=True,
        help="The task alone, or all that leads to it.",
    ),
    click.option(
        "--where",
        "place",
        type=click.Choice(["here", "process", "worker"]),
        help="Run it in this process, in a child that may die, or on a worker.",
    ),
    click.option(
        "--times",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="How often.",
    ),
    click.option(
        "--no-recompute", is_flag=True, help="End if inputs would be computed again."
    ),
    click.option(
        "--max-bytes",
        default="1 GiB",
        show_default=True,
        callback=size_option,
        metavar="SIZE",
        help="Most bytes of inputs to pull.",
    ),
)


def _replays(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SHARED):
        command = option(command)
    return command


@click.command()
@click.argument("key", required=False)
@looks
def locate(where: Where, key: str | None) -> int:
    """Tell which task failed, and what it raised; nothing is run.

    KEY is as Dask writes it, as "('x', 0)". Without it the newest failure is told.

    Ends with code 1, or 2 if no failure was found.
    """
    from dbgkit.api.locate import locate

    with _client(where) as client:
        found = locate(key, client=client, timeout=where.limit)
        put(where, found)
    return FOUND


@click.command()
@click.argument("key", required=False)
@_replays
@looks
def replay(where: Where, key: str | None, **options: Any) -> int:
    """Run a failed task again with its real inputs, and tell what it came to.

    KEY is as Dask writes it, as "('x', 0)". Without it the newest failure is taken.

    Ends with code 0 if the task passed, 1 if it failed, 2 if it could not be run.
    """
    from dbgkit.api.replay import replay

    with _client(where) as client:
        again = replay(key, client=client, **_read(where, options))
        put(where, again)
    return 0 if again.outcome == "passed" else FOUND


@click.command()
@click.argument("key", required=False)
@click.option("--no-prompt", is_flag=True, help="Print the report, even at a terminal.")
@click.option(
    "--using",
    type=click.Choice(["replay", "recording"]),
    help="Only replay, or only enter what was recorded.",
)
@_replays
@looks
def debug(
    where: Where, key: str | None, no_prompt: bool, using: str | None, **options: Any
) -> int:
    """Open the debugger in a failed task, with its real inputs.

    KEY is as Dask writes it, as "('x', 0)". Without it the newest failure is taken.
    Without a terminal the report is printed.

    Ends with code 1, or 2 if there was nothing to open.
    """
    from dbgkit.api.debug import debug

    if where.as_json:
        raise click.UsageError("a prompt is no JSON document: see dbgkit replay --json")
    with _client(where) as client, patient_pipe():
        debug(
            key,
            client=client,
            prompt=False if no_prompt else None,
            using=using,
            **_read(where, options),
        )
    return FOUND


def _client(where: Where) -> Any:
    if where.dump is not None:
        raise click.UsageError("a dump holds no tasks to run: give --scheduler ADDRESS")
    return where.connected()


def _read(where: Where, options: dict[str, Any]) -> dict[str, Any]:
    options["where"] = options.pop("place")
    options["recompute"] = False if options.pop("no_recompute") else None
    return {**options, "timeout": where.limit}
