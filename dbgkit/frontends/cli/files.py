"""The commands of files: ``dbgkit save`` and ``dbgkit open``."""

from __future__ import annotations

from typing import Any

import click

from dbgkit.advice import worded
from dbgkit.frontends.cli.ending import FOUND, patient_pipe
from dbgkit.frontends.cli.garbage import collect_garbage
from dbgkit.frontends.cli.looking import (
    Place,
    as_json,
    command,
    own_mistakes,
    put,
    write,
)
from dbgkit.frontends.cli.options import declared
from dbgkit.frontends.cli.replay import opening
from dbgkit.frontends.verbs import BUNDLE, VERBS
from dbgkit.frontends.wording import Run


@command("save", brief=False)
def save(place: Place, key: str | None, path: str | None, **options: Any) -> int:
    """Save a failure as one file, with its frames, the call and its inputs.

    KEY is a key as Dask writes it, such as "('x', 0)", or how it begins if no other
    failed task's does so, or a number: 2 is the second that `dbgkit failures` listed
    last. The default is the newest failure. The task is run again in this process.

    Exits with code 0, or with 2 if nothing was saved.
    """
    from dbgkit.api.save import save
    from dbgkit.render import Notifier

    with opening(place, key) as run, Notifier() as notify:
        saved = run(save, path=path or BUNDLE, notify=notify, **options)
    put(place, saved)
    return 0


@click.command("open")
@declared(VERBS["open"].options)
@click.argument("file", type=click.Path())
def open_file(
    file: str,
    trust: bool,
    where: str | None,
    timeout: str,
    prompt: bool | None,
    as_json: bool,
) -> None:
    """Open a failure that was saved as a file.

    FILE is what `dbgkit save`, `dbgkit run --save` or `dbgkit.save` has written. The
    debugger opens on its frames, with source and values as they were saved; without a
    terminal they are printed. Nothing of the file is run, unless with --trust, which
    replays the failed call.

    Exits with code 1, or with 2 if the file cannot be opened.
    """
    collect_garbage()
    with own_mistakes(), worded(Run("open")):
        _open(file, trust, where, timeout, prompt, as_json)
    raise SystemExit(FOUND)


def _open(
    file: str,
    trust: bool,
    where: str | None,
    timeout: str,
    prompt: bool | None,
    json: bool,
) -> None:
    from dbgkit.api.debug import debug
    from dbgkit.api.load import load
    from dbgkit.api.replay import replay

    if where is not None and not trust:
        raise click.UsageError("--where needs --trust: without it nothing is run")
    bundle = load(file, trust=trust)
    where = (where or "process") if trust else None
    if json:
        found: Any = bundle
        if trust:
            found = replay(bundle, where=where, timeout=timeout)
        write(f"{as_json(found.to_json())}\n")
        return
    from dbgkit import render

    with patient_pipe():
        if bundle.recording is None and not trust:
            render.show(bundle)
            return
        debug(bundle, prompt=prompt, where=where, timeout=timeout)
