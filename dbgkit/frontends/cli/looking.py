"""What the commands that look at a cluster share: where to look, and how it ends."""

from __future__ import annotations

import json
import logging
import math
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from dbgkit.errors import DbgkitError
from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, ending, patient_pipe
from dbgkit.frontends.wording import Commands
from dbgkit.model.advice import worded
from dbgkit.remote.secrets.redact import redact_text

if TYPE_CHECKING:
    from distributed import Client

    from dbgkit.cluster.view import View

CONNECT, ANSWER = "10s", "30s"  # limits that hold where none is given


@dataclass(frozen=True)
class Where:
    """Where to look: at a scheduler, or into a dump."""

    scheduler: str | None
    dump: str | None
    tls: tuple[str | None, str | None, str | None]
    timeout: str | None
    as_json: bool

    @property
    def limit(self) -> str:
        """Of each wait for an answer."""
        return self.timeout or ANSWER

    def open(self) -> AbstractContextManager[View]:
        """A view of the cluster or the dump, for as long as the context lasts."""
        from dbgkit.cluster.view import open_view

        if self.dump is not None:
            return open_view(self.dump, None, 0.0)
        return self._connected()

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """A client of the scheduler, for as long as the context lasts."""
        from dbgkit.api.asking import seconds
        from dbgkit.cluster.clients import opened_client, security_of

        with opened_client(
            str(self.scheduler),
            seconds(self.timeout or CONNECT),
            security=security_of(*self.tls),
        ) as client:
            yield client

    @contextmanager
    def _connected(self) -> Iterator[View]:
        from dbgkit.api.asking import seconds
        from dbgkit.cluster.view import open_view

        with (
            self.connected() as client,
            open_view(None, client, seconds(self.limit)) as view,
        ):
            yield view


# -- options -------------------------------------------------------------------

_PEM = click.Path(exists=True, dir_okay=False, resolve_path=True)


def time_option(
    context: click.Context, option: click.Parameter, text: str | None
) -> str | None:
    """Check that an option is a time of more than nothing."""
    if text is None:
        return None
    from dask.utils import parse_timedelta

    try:
        value = float(parse_timedelta(text, "s"))
    except (ValueError, KeyError, TypeError):
        value = math.nan
    if not 0 < value < math.inf:
        raise click.BadParameter(f"{text!r} is nothing like 30s or 2m")
    return text


def size_option(
    context: click.Context, option: click.Parameter, text: str | None
) -> str | None:
    """Check that an option is a number of bytes."""
    if text is None:
        return None
    from dask.utils import parse_bytes

    try:
        parse_bytes(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is nothing like 500MB") from None
    return text


_OPTIONS = (
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Address of the scheduler: tcp://host:8786. By default what Dask's "
        "configuration has as scheduler-address, so DASK_SCHEDULER_ADDRESS too.",
    ),
    click.option(
        "--scheduler-file",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="The file that dask scheduler --scheduler-file has written.",
    ),
    click.option(
        "--dump",
        metavar="FILE",
        help="What Client.dump_cluster_state has written; no cluster is needed.",
    ),
    click.option(
        "--source",
        multiple=True,
        type=click.Path(exists=True, resolve_path=True),
        metavar="PATH",
        help="A file (.py, .ipynb) or folder to look for the text of code in that "
        "travelled by value; repeatable.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    click.option(
        "--tls-ca-file", type=_PEM, metavar="FILE", help="CA cert(s) for TLS, as PEM."
    ),
    click.option(
        "--tls-cert", type=_PEM, metavar="FILE", help="Certificate for TLS, as PEM."
    ),
    click.option(
        "--tls-key", type=_PEM, metavar="FILE", help="Private key for TLS, as PEM."
    ),
    click.option(
        "--timeout",
        callback=time_option,
        metavar="TIME",
        help=f"Limit of each wait.  [default: {CONNECT} to connect, {ANSWER} for an "
        "answer]",
    ),
)


def looks(command: Callable[..., int]) -> Callable[..., None]:
    """Make a function of `Where` and its own options a command: it returns the code.

    What dbgkit raises on purpose ends it with code 2 and one line.
    """

    @wraps(command)
    def run(
        scheduler: str | None,
        scheduler_file: str | None,
        dump: str | None,
        source: tuple[str, ...],
        as_json: bool,
        tls_ca_file: str | None,
        tls_cert: str | None,
        tls_key: str | None,
        timeout: str | None,
        **options: Any,
    ) -> None:
        with ending():
            from dbgkit.source import name_for_process, read_sources

            name_for_process(read_sources(source))
            where = Where(
                _address(scheduler, scheduler_file, dump),
                dump,
                (tls_ca_file, tls_cert, tls_key),
                timeout,
                as_json,
            )
            with _own_mistakes(), _quiet(), worded(_wording()):
                code = command(where, **options)
        raise SystemExit(code)

    wrapped: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


@contextmanager
def _own_mistakes() -> Iterator[None]:
    """Of a mistake of ours all is told; Python's own code for it would mean: found."""
    try:
        yield
    except (DbgkitError, OSError, click.ClickException, click.exceptions.Exit):
        raise
    except Exception:
        traceback.print_exc()
        raise SystemExit(COULD_NOT_LOOK) from None


# Options that say where to look, and those that hold for the next command too.
_PLACE = ("scheduler", "scheduler_file", "dump")
_AGAIN = ("tls_ca_file", "tls_cert", "tls_key", "source")


def _wording() -> Commands:
    """How the next command is written: with what this one was given."""
    context = click.get_current_context()
    place, again = (
        [word for name in names for word in _as_given(context, name)]
        for names in (_PLACE, _AGAIN)
    )
    program = context.parent.command_path if context.parent else "dbgkit"
    dump = context.params.get("dump") is not None
    return Commands(program, place, again, dump=dump)


def _as_given(context: click.Context, name: str) -> list[str]:
    value = context.params.get(name)
    many = value if isinstance(value, tuple) else () if value is None else (value,)
    flag = f"--{name.replace('_', '-')}"
    return [word for each in many for word in (flag, str(each))]


def _address(
    scheduler: str | None, scheduler_file: str | None, dump: str | None
) -> str | None:
    """The one place that is meant; None: the dump."""
    given = [
        name
        for name, value in (
            ("--scheduler", scheduler),
            ("--scheduler-file", scheduler_file),
            ("--dump", dump),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)}: which of them?")
    if dump is not None:
        return None
    if scheduler_file is not None:
        return _address_in(scheduler_file)
    if scheduler is None:
        import dask

        scheduler = dask.config.get("scheduler-address", None)
    if not scheduler:
        raise click.UsageError(
            "there is no cluster to look at: give --scheduler ADDRESS or --dump FILE, "
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
    """Keep Dask's own log lines and warnings out; `doctor` tells what they say."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


# -- what comes out ------------------------------------------------------------


def put(where: Where, data: Any) -> None:
    """Print data: as JSON if that was asked for, else as it shows itself."""
    if where.as_json:
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
    """JSON has no word for infinity, or for what is no number."""
    if isinstance(value, dict):
        return {str(name): _plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return redact_text(value, bare=name != "source")
    return value
