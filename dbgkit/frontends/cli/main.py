"""The command line: ``dbgkit``, ``python -m dbgkit`` and ``dask dbgkit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dbgkit._version import __version__
from dbgkit.frontends.cli import replay, report, states
from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, ending, flushed


class Commands(click.Group):
    """The commands; what dbgkit raises on purpose ends any of them with one line."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with ending():
            return super().make_context(*args, **extra)

    def invoke(self, context: click.Context) -> Any:
        with ending():
            return super().invoke(context)


def _checked(check: Callable[[str], Any], text: str, example: str) -> str:
    """The text of an option, if it can be read."""
    try:
        check(text)
    except (ValueError, KeyError):
        raise click.BadParameter(f"{text!r} is nothing like {example}") from None
    return text


def _is_time(text: str) -> None:
    from dask.utils import parse_timedelta

    parse_timedelta(text)


def _is_size(text: str) -> None:
    from dask.utils import parse_bytes

    parse_bytes(text)


@click.group(
    "dbgkit", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="dbgkit")
def cli() -> None:
    """From a failed Dask job to a prompt in the frame that failed.

    What looks at a cluster ends with code 0 if nothing is wrong, 1 if something is, 2
    if it could not look; `run` with the script's own.
    """


@cli.command(
    context_settings={
        "ignore_unknown_options": False,
        # What stands after the script's name is the script's.
        "allow_interspersed_args": False,
    }
)
@click.option("-m", "module", is_flag=True, help="SCRIPT is the name of a module.")
@click.option(
    "--no-prompt",
    is_flag=True,
    help="Print the report, even at a terminal. Without a terminal it always is.",
)
@click.option(
    "--where",
    type=click.Choice(["here", "process"]),
    help="Replay in this process, or in a child that may die. By default here, "
    "unless the task has killed a worker.",
)
@click.option(
    "--timeout",
    default="30s",
    callback=lambda context, option, text: _checked(_is_time, text, "30s or 2m"),
    show_default=True,
    metavar="TIME",
    help="Limit of each wait on the cluster.",
)
@click.option(
    "--max-bytes",
    default="1 GiB",
    callback=lambda context, option, text: _checked(_is_size, text, "500MB"),
    show_default=True,
    metavar="SIZE",
    help="Most bytes of inputs to pull.",
)
@click.option(
    "--source",
    multiple=True,
    type=click.Path(exists=True, resolve_path=True),
    metavar="PATH",
    help="A file (.py, .ipynb) or folder to look for the text of code in, besides the "
    "script; repeatable.",
)
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(
    script: str,
    args: tuple[str, ...],
    module: bool,
    no_prompt: bool,
    source: tuple[str, ...],
    **options: Any,
) -> None:
    """Run a script, and open what fails in it in the task that failed.

    SCRIPT and ARGS are as for python. The prompt is that of pdb, or what
    PYTHONBREAKPOINT names, at the line of your own code that failed, with the real
    inputs of the task.

    Ends with the script's own exit code: 1 after an exception, 130 after Ctrl-C.
    """
    from dbgkit.frontends.cli.running import run_script
    from dbgkit.source import name_for_process, read_sources

    name_for_process(read_sources(source))
    raise SystemExit(
        run_script(
            script,
            args,
            module=module,
            prompt=False if no_prompt else None,
            **options,
        )
    )


for command in (
    replay.locate,
    replay.replay,
    replay.debug,
    states.failures,
    states.tasks,
    states.story,
    states.why,
    states.deaths,
    states.record,
    states.recordings,
    states.doctor,
    report.report,
    report.watch,
):
    cli.add_command(command)


def main(program: str = "dbgkit") -> None:
    """Run the command line, as which it was called, and end the process."""
    try:
        cli(prog_name=program)
    except OSError:  # standard error is full, so that nothing can be said
        code: Any = COULD_NOT_LOOK
    except SystemExit as ended:
        code = ended.code
    raise SystemExit(flushed(code))
