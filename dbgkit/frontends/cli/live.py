"""The commands of live sessions: ``live``, ``break-at`` and ``attach``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import click

from dbgkit import advice
from dbgkit.errors import SchedulerGone
from dbgkit.frontends.cli.ending import FOUND
from dbgkit.frontends.cli.looking import Place, command, put, write
from dbgkit.frontends.verbs import SWITCH, spelled

if TYPE_CHECKING:
    from dbgkit.api.live import Live

LOOKS = 0.5  # seconds between looks whether the scheduler is still there


@command("live", brief=False)
@click.argument("switch", type=click.Choice(SWITCH), required=False)
def live(place: Place, switch: str | None, **settings: Any) -> int:
    """Have breakpoint() stop in tasks, or show what waits.

    With `on` it says what stops, until Ctrl-C ends it: then what waits goes on. By
    default tasks of every client stop. With `off`, what clients have turned on that
    have gone since is turned off.

    Exits with code 0, or 2 on an error; without on or off with 1 if a task waits.
    """
    from dbgkit.api.attach import attach
    from dbgkit.api.live import live as turn_on
    from dbgkit.api.live import live_off

    given = [name for name, value in settings.items() if value is not None]
    if switch != "on" and given:
        flags = " and ".join(spelled(name, None, str) for name in given)
        raise click.UsageError(f"{flags}: settings apply to `on` only")
    _check(place)
    with place.connected() as client:
        if switch is None:
            waiting = attach(client=client, timeout=place.limit)
            put(place, waiting)
            return FOUND if len(waiting) else 0
        if switch == "off":
            write(f"{live_off(client=client, timeout=place.limit)}\n")
            return 0
        if settings["everyone"] is None:
            settings["everyone"] = True
        with turn_on(client=client, timeout=place.limit, **settings) as turned:
            write(
                f"breakpoint() stops in tasks, until Ctrl-C: {advice.call('attach')} "
                "lists what waits.\n"
            )
            _until_ctrl_c(turned)
    return 0


@command("break_at", brief=False)
@click.argument("place_", metavar="PLACE")
def break_at(place: Place, place_: str, **settings: Any) -> int:
    """Have tasks that are yet to run stop at a place, without editing their code.

    PLACE is a key, written as Dask does, the prefix of some, or a line, file.py:12;
    `--when error` stops where they raise. It says what stops, until Ctrl-C ends it:
    then what waits goes on. By default tasks of every client stop. With `off` in place
    of PLACE, what clients have armed that have gone since is taken off.

    Exits with code 0, or 2 on an error.
    """
    from dbgkit.api.break_at import break_at as arm
    from dbgkit.api.live import live_off

    _check(place)
    with place.connected() as client:
        if place_ == "off":
            found = live_off(client=client, timeout=place.limit, places=True)
            write(f"{found}\n")
            return 0
        if settings["everyone"] is None:
            settings["everyone"] = True
        try:
            armed = arm(place_, client=client, timeout=place.limit, **settings)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        with armed:
            write(
                f"tasks stop at {place_}, until Ctrl-C: {advice.call('attach')} lists "
                "what waits.\n"
            )
            if armed.note:
                write(f"Note: {armed.note}.\n")
            _until_ctrl_c(armed)
    return 0


def _until_ctrl_c(turned: Live) -> None:
    """Wait, as long as it is on: it ends with the connection to the scheduler."""
    try:
        while turned.is_on:
            threading.Event().wait(LOOKS)
    except KeyboardInterrupt:
        write("\nWhat waits goes on.\n")
        return
    raise SchedulerGone(
        "the connection to the scheduler is lost: nothing stops any more, and what "
        "waited goes on",
        "check whether the scheduler still runs, and turn it on again",
    )


@command("attach", brief=False)
def attach(place: Place, key: str | None, **options: Any) -> int:
    """Enter a task that waits at a breakpoint(), or list what waits.

    KEY is written as Dask does, such as "('x', 0)", or is a number: 2 is the second of
    those that wait. `q` leaves, and the task waits on; `c` has it go on; `abort` fails
    it.

    Exits with code 0, or 2 on an error; without KEY with 1 if a task waits.
    """
    from dbgkit.api import attach as verb

    _check(place)
    with place.connected() as client:
        asked = {**options, "client": client, "timeout": place.limit}
        if key is None:
            waiting = verb.attach(**asked)
            put(place, waiting)
            return FOUND if len(waiting) else 0
        if place.as_json:
            raise click.UsageError(
                "a prompt cannot be printed as JSON: leave the key out to list"
            )
        if key.isascii() and key.isdecimal():
            verb.attach_numbered(int(key), **asked)
        else:
            verb.attach(key, **asked)
    return 0


def _check(place: Place) -> None:
    if place.dump is not None:
        raise click.UsageError("nothing runs in a dump: use --scheduler ADDRESS")
