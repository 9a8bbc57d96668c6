"""The commands that find a failed task and run it again, from outside the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from dbgkit.frontends.cli.ending import FOUND, patient_pipe
from dbgkit.frontends.cli.looking import Place, as_json, command, put, write


@command("locate")
def locate(place: Place, key: str | None) -> int:
    """Find the task that failed, and what it raised; nothing is run.

    KEY is a key as Dask writes it, such as "('x', 0)", or how it begins if no other
    failed task's does so, or a number: 2 is the second that `dbgkit failures` listed
    last. The default is the newest failure.

    Exits with code 1, or with 2 if no failure was found.
    """
    from dbgkit.api.locate import locate

    with opening(place, key) as run:
        put(place, run(locate))
    return FOUND


@command("replay", brief=False)
def replay(place: Place, key: str | None, **options: Any) -> int:
    """Run a failed task again with its real inputs.

    KEY is a key as Dask writes it, such as "('x', 0)", or how it begins if no other
    failed task's does so, or a number: 2 is the second that `dbgkit failures` listed
    last. The default is the newest failure.

    Exits with code 0 if the task passed, 1 if it failed, 2 if it could not be run.
    """
    from dbgkit.api.replay import replay

    with opening(place, key) as run:
        again = run(replay, **options)
        put(place, again)
    return 0 if options["dry_run"] or again.outcome == "passed" else FOUND


@command("shrink", brief=False)
def shrink(
    place: Place,
    key: str | None,
    file: str | None,
    trust: bool,
    save: str | None,
    **options: Any,
) -> int:
    """Find the smallest input with which a task still fails the same way.

    KEY is a key as Dask writes it, such as "('x', 0)", or how it begins if no other
    failed task's does so, or a number: 2 is the second that `dbgkit failures` listed
    last. The default is the newest failure. The task runs again and again, on a worker
    unless its inputs are small; at Ctrl-C the best so far is shown. With --file and
    --trust, the call that a file holds runs, in processes of its own.

    Exits with code 1, or with 2 if it could not be run.
    """
    from dbgkit.api.report import check_place
    from dbgkit.api.save import save as save_as
    from dbgkit.api.shrink import shrink
    from dbgkit.render import Notifier

    if save is not None:
        check_place(save)
    with opening(place, key, file, trust) as run, Notifier() as notify:
        shrunk = run(shrink, notify=notify, **options)
        put(place, shrunk)
        if save is not None:
            saved = save_as(shrunk, path=save, notify=notify)
            if not place.as_json:
                put(place, saved)
    return FOUND


@command("debug", brief=False)
def debug(place: Place, key: str | None, **options: Any) -> int:
    """Open the debugger in a failed task, with its real inputs.

    KEY is a key as Dask writes it, such as "('x', 0)", or how it begins if no other
    failed task's does so, or a number: 2 is the second that `dbgkit failures` listed
    last. The default is the newest failure. Without a terminal the report is printed.

    Exits with code 1, or with 2 if there was nothing to open.
    """
    from dbgkit.api.debug import debug

    if place.as_json:
        raise click.UsageError(
            "a prompt cannot be printed as JSON: use dbgkit replay --json"
        )
    with opening(place, key) as run, patient_pipe():
        run(debug, **options)
    return FOUND


@command("to_test", brief=False)
def to_test(
    place: Place, key: str | None, file: str | None, trust: bool, **options: Any
) -> int:
    """Write a test that fails as a task did, and passes once it is mended.

    KEY is a key as Dask writes it, such as "('x', 0)", or how it begins if no other
    failed task's does so, or a number: 2 is the second that `dbgkit failures` listed
    last. The default is the newest failure. With --file and --trust, it is the failure
    that a file holds. The test is run before it is written; its path is printed.

    Exits with code 0 once it is written, 2 if there is no test.
    """
    from dbgkit.api.to_test import to_test

    with opening(place, key, file, trust) as run:
        path = str(run(to_test, **options))
    write(f"{as_json({'path': path})}\n" if place.as_json else f"{path}\n")
    return 0


@contextmanager
def opening(
    place: Place, key: str | None, file: str | None = None, trust: bool = False
) -> Iterator[Callable[..., Any]]:
    """What calls a verb with the task that a text names, as `cli.keys` reads it.

    Or with the failure that a file holds: that needs no cluster.
    """
    if file is not None:
        yield _of_file(place, key, file, trust)
        return
    if trust:
        raise click.UsageError("--trust is for a file: use --file FILE")
    if place.dump is not None:
        raise click.UsageError("a dump has no tasks to run: use --scheduler ADDRESS")
    from dbgkit.frontends.cli.keys import opened

    with place.open() as view:

        def run(verb: Callable[..., Any], **options: Any) -> Any:
            call = partial(verb, client=view.client, timeout=place.limit, **options)
            return opened(view, key, place.limit, call)

        yield run


def _of_file(
    place: Place, key: str | None, file: str, trust: bool
) -> Callable[..., Any]:
    if key is not None:
        raise click.UsageError(f"{file} has one failure: leave out the key {key!r}")
    if not trust:
        raise click.UsageError(
            f"what {file} holds would be run: if you know who made it, add --trust"
        )
    from dbgkit.api.load import load

    bundle = load(file, trust=trust)

    def run(verb: Callable[..., Any], **options: Any) -> Any:
        return verb(bundle, timeout=place.limit, **options)

    return run
