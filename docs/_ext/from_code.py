"""Pages of the reference, and the notebooks' pages, made from the code at each build.

What is written here is not kept in the repository: ``reference/_commands.md`` and so
on are included by the pages of the reference, and the notebooks of ``examples/`` are
copied to where Sphinx looks for pages; links to them are led there.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from IPython.core.interactiveshell import InteractiveShell
from json_fields import json_fields
from numpydoc.docscrape import FunctionDoc
from traitlets.config import Config

import dbgkit
from dbgkit.api.record_settings import DEFAULTS, HOLDING
from dbgkit.diagnose.why.causes import CODES
from dbgkit.errors import DbgkitError
from dbgkit.frontends.cli import cli
from dbgkit.model import Explanation

DOCS = Path(__file__).resolve().parent.parent
NOTEBOOKS = ("advanced_distributed.ipynb", "states.ipynb")


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("config-inited", write_all)
    app.connect("source-read", link_to_copies)
    return {"parallel_read_safe": True}


def write_all(app: Any, config: Any) -> None:
    """Write all pages, each only if it differs, so that Sphinx builds no page anew."""
    folder = DOCS / "reference"
    _write(folder / "_commands.md", "\n".join(commands()))
    _write(folder / "_exit_codes.md", "\n".join(exit_codes()))
    _write(folder / "_magics.md", "\n".join(magic_pages()))
    _write(folder / "_errors.md", "\n".join(errors()))
    _write(folder / "_causes.md", "\n".join(causes()))
    _write(folder / "_settings.md", "\n".join(settings()))
    _write(folder / "_json.md", "\n".join(json_fields()))
    for name in NOTEBOOKS:
        copied = DOCS / "notebooks" / name
        copied.parent.mkdir(exist_ok=True)
        shutil.copyfile(DOCS.parent / "examples" / name, copied)


def link_to_copies(app: Any, page: str, source: list[str]) -> None:
    """Lead a link to a notebook, which works in the repository, to its page."""
    source[0] = re.sub(
        r"(?<=\]\()\.\./examples/(?=\w+\.ipynb\))", "notebooks/", source[0]
    )


def _write(path: Path, text: str) -> None:
    text = text.rstrip() + "\n"
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


# -- commands ------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Each command: its usage, what it does, and its options."""
    shared = _shared_options()
    for name, command in _commands():
        above = click.Context(cli, info_name="dbgkit")
        context = click.Context(command, info_name=name, parent=above)
        yield f"## `dbgkit {name}`\n"
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"```text\n{context.command_path} {usage}\n```\n"
        yield f"{_paragraphs(command.help)}\n"
        own = _options(command)
        if name != "run":
            own = [each for each in own if each.name not in shared]
        if own:
            yield from _option_table(own, context)
        if own != _options(command):
            where = "[options that say where to look](#where-to-look)"
            yield f"It also takes the {where}.\n"
    yield "## Where to look\n"
    yield "Every command but `dbgkit run` takes these as well.\n"
    yield from _option_table(list(shared.values()), click.Context(cli))


def _commands() -> list[tuple[str, click.Command]]:
    return list(cli.commands.items())


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def _shared_options() -> dict[str, click.Option]:
    """Those that each command but `run` has."""
    several = [
        {option.name: option for option in _options(command)}
        for name, command in _commands()
        if name != "run"
    ]
    return {
        str(name): option
        for name, option in several[0].items()
        if all(name in each for each in several)
    }


def _option_table(options: list[click.Option], context: click.Context) -> Iterator[str]:
    yield "| option | |\n|---|---|"
    for option in options:
        record = option.get_help_record(context)
        if record is None:
            continue
        names, text = record
        yield f"| `{_cell(names)}` | {_cell(text)} |"
    yield ""


def exit_codes() -> Iterator[str]:
    """What each command documents of its exit codes."""
    yield "| command | ends with |\n|---|---|"
    for name, command in _commands():
        for paragraph in (command.help or "").split("\n\n"):
            told = " ".join(paragraph.split())
            if told.startswith("Exits with "):
                yield f"| `dbgkit {name}` | {_cell(told[len('Exits with ') :])} |"


# -- magics --------------------------------------------------------------------------


def magic_pages() -> Iterator[str]:
    """Each magic: its first sentence, and its help as `%dbg?` shows it."""
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    dbgkit.load_ipython_extension(shell)
    found = {
        name: magic.__doc__ or ""
        for name, magic in shell.magics_manager.magics["line"].items()
        if name.startswith("dbg")
    }
    dbgkit.unload_ipython_extension(shell)
    for name, text in sorted(found.items()):
        first, _, rest = text.partition("\n")
        yield f"## `%{name}`\n"
        yield f"{first}\n"
        if rest.strip():
            yield f"```text\n{textwrap.dedent(rest).strip()}\n```\n"


# -- errors, causes, settings --------------------------------------------------------


def errors() -> Iterator[str]:
    """The tree of errors, each with its first sentence."""

    def branch(kind: type[DbgkitError], depth: int) -> Iterator[str]:
        others = [
            base.__name__
            for base in kind.__bases__
            if not issubclass(base, DbgkitError) and base is not Exception
        ]
        also = f" (also a `{'`, `'.join(others)}`)" if others else ""
        first = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        text = first.replace("``", "`")
        yield f"{'  ' * depth}- `{kind.__name__}`{also}: {text}"
        for below in kind.__subclasses__():
            if below.__module__ != DbgkitError.__module__:
                continue  # one that is caught before it gets to a user
            yield from branch(below, depth + 1)

    return branch(DbgkitError, 0)


def causes() -> Iterator[str]:
    """The codes of `why`, in the order in which they are ranked."""
    yield "| code | meaning | exit code |\n|---|---|---|"
    codes = ("waiting-on", *(code.name for code in CODES))
    for code in codes:
        end = (
            "2"
            if code == "unknown-key"
            else "0"
            if Explanation(code, "").healthy
            else "1"
        )
        if code in ("waiting-on", "p2p-barrier"):
            end = "that of what it waits for"
        yield f"| `{code}` | {MEANINGS[code]} | {end} |"
    unknown = set(MEANINGS) - set(codes)
    assert not unknown, f"no such codes: {unknown}"


MEANINGS = {
    "waiting-on": "it waits for another task; `because` has that one's code",
    "client-out-of-step": "it is pending on the client, but not on the scheduler",
    "lost-dependencies": "an input is gone, and nothing can compute it again",
    "module-missing": "a module that the task needs is missing on the workers",
    "cannot-unpickle": "workers that receive the task end: they cannot unpickle it",
    "start-failed": "there is no worker, and nannies have failed to start some",
    "no-workers": "there is no worker",
    "start-stuck": "workers do not finish starting: a preload, an import or a plugin's "
    "setup takes longer than a minute",
    "workers-starting": "workers are being started",
    "worker-not-answering": "the worker that has the task does not answer",
    "transfer-failed": "an input cannot be transferred: pickling or unpickling fails",
    "transfer-stuck": "the transfer of an input takes too long",
    "spill-failed": "workers are paused, and fail to spill to their disks",
    "paused-for-good": "workers are paused, and nothing that still runs frees memory",
    "workers-paused": "workers are paused, usually because memory is nearly full; they "
    "may go on",
    "resources-unmet": "no worker has the resources that the task needs",
    "restrictions-unmet": "no worker is one of those that the task may run on",
    "at-breakpoint": "it is paused at a `breakpoint()`, and goes on by itself later",
    "deadlock": "tasks wait for each other, or for a lock that is never released",
    "lock-wait": "it waits for a lock, a semaphore, an event, a queue or the like",
    "threads-held": "its worker's threads run only tasks that are no longer needed",
    "retry-loop": "it has been run five times or more, and is run again each time",
    "slow-task": "a task runs far longer than others of its name did",
    "p2p-barrier": "a P2P shuffle waits for all of its input",
    "scheduler-overloaded": "the scheduler's event loop is late",
    "unexplained": "no known cause explains it; the evidence is what was found",
    "failed": "it raised, or has lost more workers than `allowed-failures` permits",
    "cascaded": "it failed because a dependency failed",
    "cancelled": "its future is cancelled; the evidence has the reason that it gives",
    "transferring": "an input is being transferred",
    "worker-saturated": "other tasks use its worker's threads, or the resources "
    "that it needs",
    "queued": "the scheduler holds it back until a worker has a free thread",
    "retrying": "it runs again, after an attempt that failed or a worker that died",
    "running": "it runs",
    "plugin-failed": "a worker plugin's setup failed on workers that are involved",
    "unknown-key": "the scheduler does not know the key",
    "released": "no client has a future for it, or for a task that depends on it",
    "finished": "it is done",
}


def settings() -> Iterator[str]:
    """The recorder's settings, with their defaults."""
    yield "| setting | argument of `record` | default | |\n|---|---|---|---|"
    for name, default in {**DEFAULTS, **HOLDING}.items():
        shown = f"`{default}`" if isinstance(default, str) else f"`{default!r}`"
        argument = name.replace("-", "_")
        meaning = _argument(argument)
        yield f"| `dbgkit.record.{name}` | `{argument}` | {shown} | {meaning} |"


def _argument(name: str) -> str:
    """What the docstring of `record` says of one of its arguments."""
    for each in FunctionDoc(dbgkit.record)["Parameters"]:
        if name in [one.strip() for one in each.name.split(",")]:
            return _cell(" ".join(each.desc))
    raise LookupError(f"record does not document {name}")


# -- texts ---------------------------------------------------------------------------


def _paragraphs(text: str | None) -> str:
    return "\n\n".join(
        " ".join(each.split()) for each in (text or "").replace("\b", "").split("\n\n")
    )


def _cell(text: str) -> str:
    """A text in a cell of a table."""
    return (
        " ".join(text.split())
        .replace("|", "\\|")
        .replace("``", "`")
        .replace("<", "&lt;")
    )
