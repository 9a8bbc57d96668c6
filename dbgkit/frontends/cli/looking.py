"""Shared by the commands that examine a cluster: where to look, and how to exit."""

from __future__ import annotations

import json
import logging
import math
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from dbgkit.advice import Calls, worded
from dbgkit.errors import DbgkitError
from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, ending, patient_pipe
from dbgkit.frontends.cli.garbage import collect_garbage
from dbgkit.frontends.cli.options import declared
from dbgkit.frontends.cli.typed import Command
from dbgkit.frontends.verbs import (
    ANSWER,
    CONNECT,
    PLACE,
    VERBS,
    function_of,
    spelled,
)
from dbgkit.frontends.wording import Commands, Run
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from distributed import Client

    from dbgkit.cluster.view import View


@dataclass(frozen=True)
class Place:
    """Where a verb is to look: at a scheduler, or into a dump."""

    verb: str
    scheduler: str | None
    dump: str | None
    tls: tuple[str | None, str | None, str | None]
    timeout: str | None
    as_json: bool

    @property
    def limit(self) -> str:
        """Of each wait for an answer."""
        return self.timeout or ANSWER

    @contextmanager
    def open(self) -> Iterator[View]:
        """A view of the cluster or the dump, for as long as the context lasts."""
        from dbgkit.api.asking import seconds
        from dbgkit.cluster.view import open_view

        with ExitStack() as stack:
            dump = self.dump is not None
            there = None if dump else stack.enter_context(self.connected())
            limit = seconds(self.limit)
            yield stack.enter_context(open_view(self.dump, there, limit))

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """A client of the scheduler, for as long as the context lasts."""
        from dbgkit.api.asking import seconds
        from dbgkit.cluster.clients import opened_client, security_of

        with opened_client(
            str(self.scheduler),
            seconds(self.timeout or CONNECT),
            security=security_of(*self.tls),
            meanwhile=self._load,
        ) as client:
            yield client

    def _load(self) -> None:
        """Import what the verb needs, and what shows the answer."""
        function_of(self.verb)
        if not self.as_json and find_spec(f"dbgkit.render.{self.verb}"):
            import_module(f"dbgkit.render.{self.verb}")


# -- commands ------------------------------------------------------------------


def command(
    name: str, *, brief: bool = True
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a function of a `Place`, a target and options a command of that name.

    It returns the exit code. dbgkit's own errors end it with code 2 and one line.
    ``brief``: it looks and is over; it neither stays nor runs a task.
    """
    verb = VERBS[name]
    elsewhere = {option.keyword for option in PLACE}
    options = [each for each in verb.options if each.keyword not in elsewhere]

    def decorate(function: Callable[..., int]) -> click.Command:
        @wraps(function)
        def run(**given: Any) -> None:
            if not brief:
                collect_garbage()
            with ending():
                place = _place(name, given)
                with own_mistakes(), _quiet(), worded(_wording()):
                    code = function(place, **given)
            raise SystemExit(code)

        taken = declared([*options, *PLACE])(run)
        if verb.target == "target":
            taken = _key("key", required=False)(taken)
        elif verb.target == "keys":
            taken = _key("keys", nargs=-1)(taken)
        return click.command(name.replace("_", "-"), cls=Command)(taken)

    return decorate


def _key(name: str, **settings: Any) -> Callable[[Any], Any]:
    """An argument that a shell completes with keys."""

    def complete(context: click.Context, _: Any, incomplete: str) -> Any:
        from dbgkit.frontends.cli.completing import LIMIT, complete_keys

        def open_place() -> Any:
            given = {**context.params, "as_json": True}  # so that nothing is rendered
            return _place("failures", given, f"{LIMIT} s").open()

        with _quiet():
            return complete_keys(open_place, str(context.info_name), incomplete)

    return click.argument(name, shell_complete=complete, **settings)


def _place(verb: str, given: dict[str, Any], limit: str | None = None) -> Place:
    """The place to look at, from the options; sets what the whole process uses.

    ``limit``: of each wait, in place of what was given.
    """
    from dbgkit.source import name_for_process, read_sources

    taken = {option.keyword: given.pop(option.keyword) for option in PLACE}
    taken["file"] = given.get("file")
    name_for_process(read_sources(taken["source"]))
    return Place(
        verb,
        _address(taken),
        taken["view"],
        (taken["tls_ca_file"], taken["tls_cert"], taken["tls_key"]),
        limit or taken["timeout"],
        taken["as_json"],
    )


@contextmanager
def own_mistakes() -> Iterator[None]:
    """Show a bug of ours in whole; Python's own exit code would mean: found."""
    try:
        yield
    except (DbgkitError, OSError, click.ClickException, click.exceptions.Exit):
        raise
    except Exception:
        traceback.print_exc()
        raise SystemExit(COULD_NOT_LOOK) from None


# Options that say where to look, and those that hold for the next command too.
_PLACE = ("scheduler", "scheduler_file", "view", "file")
_AGAIN = ("tls_ca_file", "tls_cert", "tls_key", "source")


def _wording() -> Calls:
    """How the next command is written: with the options that this one was given.

    Of a file, as a call: most commands have no option for one.
    """
    context = click.get_current_context()
    if context.params.get("file") is not None:
        return Run(str(context.info_name).replace("-", "_"))
    place, again = (
        [word for name in names for word in _as_given(context, name)]
        for names in (_PLACE, _AGAIN)
    )
    program = context.parent.command_path if context.parent else "dbgkit"
    dump = context.params.get("view") is not None
    return Commands(program, place, again, dump=dump)


def _as_given(context: click.Context, name: str) -> list[str]:
    value = context.params.get(name)
    many = value if isinstance(value, list) else [] if value is None else [value]
    return [word for each in many for word in spelled(name, each, str).split(" ", 1)]


def _address(given: Mapping[str, Any]) -> str | None:
    """The scheduler's address; None for a dump, and for a failure in a file."""
    named = [name for name in _PLACE if given.get(name) is not None]
    if len(named) > 1:
        flags = " and ".join(spelled(name, None, str) for name in named)
        raise click.UsageError(f"pass only one of {flags}")
    if given["view"] is not None or given.get("file") is not None:
        return None
    if given["scheduler_file"] is not None:
        return _address_in(given["scheduler_file"])
    scheduler = given["scheduler"]
    if scheduler is None:
        import dask

        scheduler = dask.config.get("scheduler-address", None)
    if not scheduler:
        raise click.UsageError(
            "there is no cluster to look at: use --scheduler ADDRESS or --dump FILE, "
            "or set DASK_SCHEDULER_ADDRESS"
        )
    return str(scheduler)


def _address_in(path: str) -> str:
    """The address in a file of ``dask scheduler --scheduler-file``."""
    try:
        with open(path, encoding="utf-8") as file:
            return str(json.load(file)["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise click.UsageError(
            f"{path!r} is not what dask scheduler --scheduler-file writes: {error!r}"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Dask's own log lines and warnings; `doctor` reports what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


# -- what comes out ------------------------------------------------------------


def ask(place: Place, verb: str, *target: Any, **options: Any) -> Any:
    """What a verb gives of a place, of a key as it was typed."""
    call = function_of(verb)
    with place.open() as view:
        from dbgkit.frontends.cli import keys

        named = [keys.numbered(view, text, place.limit) for text in target]
        found = call(*named, view=view, timeout=place.limit, **options)
        if verb == "failures":
            keys.note_listed(view, found)
    return found


def shown(place: Place, verb: str, *target: Any, **options: Any) -> Any:
    """The same, after it has been printed."""
    found = ask(place, verb, *target, **options)
    put(place, found)
    return found


def put(place: Place, data: Any) -> None:
    """Print data: as JSON if that was asked for, else as it shows itself."""
    if place.as_json:
        write(f"{as_json(data.to_json())}\n")
        return
    from dbgkit import render

    with patient_pipe():
        render.show(data)


def write(text: str) -> None:
    """Print a text as it is, whatever the encoding of standard output."""
    from dbgkit.render.saying import put_text

    with patient_pipe():
        put_text(text)


def as_json(document: Mapping[str, Any]) -> str:
    """One JSON document, in letters that any encoding has; secrets hidden."""
    return json.dumps(_plain(document), indent=2, allow_nan=False)


def _plain(value: Any, name: str = "") -> Any:
    """JSON has neither infinity nor NaN."""
    if isinstance(value, dict):
        return {str(name): _plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return redact_text(value, bare=name != "source")
    return value
