"""The command line: ``dbgkit``, ``python -m dbgkit`` and ``dask dbgkit``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from dbgkit._version import __version__
from dbgkit.frontends.cli import files, live, replay, report, states
from dbgkit.frontends.cli.ending import COULD_NOT_LOOK, ending, flushed
from dbgkit.frontends.cli.garbage import collect_garbage, keep_garbage, leave_garbage
from dbgkit.frontends.cli.options import declared
from dbgkit.frontends.cli.typed import meant_command
from dbgkit.frontends.verbs import VERBS


class Commands(click.Group):
    """The commands; what dbgkit raises on purpose ends any of them with one line."""

    def make_context(
        self, info_name: str | None, args: list[str], *others: Any, **extra: Any
    ) -> click.Context:
        if extra.get("resilient_parsing"):  # a shell is completing a line
            from dbgkit.frontends.cli.completing import whole_words

            args = whole_words(args)
        with ending():
            return super().make_context(info_name, args, *others, **extra)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and (hint := meant_command(args[0])):
            ctx.fail(f"{args[0]!r} is no command: {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, context: click.Context) -> Any:
        with ending():
            return super().invoke(context)


def _files(*asked: Any) -> list[CompletionItem]:
    """Have the shell complete names of files."""
    return [CompletionItem(asked[-1], type="file")]


@click.group(
    "dbgkit", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="dbgkit")
def cli() -> None:
    """From a failed Dask job to a prompt in the frame that failed.

    Commands that examine a cluster take the scheduler's address, and exit with code 0
    if nothing is wrong, 1 if something is, 2 on an error; `run` exits with the script's
    own code.
    """


@cli.command(
    context_settings={
        "ignore_unknown_options": False,
        # What stands after the script's name is the script's.
        "allow_interspersed_args": False,
    }
)
@click.option("-m", "module", is_flag=True, help="SCRIPT is the name of a module.")
@declared(VERBS["run"].options)
@click.argument("script", shell_complete=_files)
@click.argument("args", nargs=-1, type=click.UNPROCESSED, shell_complete=_files)
def run(
    script: str,
    args: tuple[str, ...],
    module: bool,
    source: list[str] | None,
    **options: Any,
) -> None:
    """Run a script, and open the debugger in a task that fails.

    SCRIPT and ARGS are as for python. The debugger is pdb, or the one that
    PYTHONBREAKPOINT names, at the line of your own code that failed, with the real
    inputs of the task.

    Exits with the script's own exit code: 1 after an exception, 130 after Ctrl-C.
    """
    collect_garbage()
    from dbgkit.frontends.cli.running import run_script
    from dbgkit.source import name_for_process, read_sources

    name_for_process(read_sources(source))
    raise SystemExit(run_script(script, args, module=module, **options))


for command in (
    replay.locate,
    replay.replay,
    replay.debug,
    replay.to_test,
    replay.shrink,
    states.failures,
    states.tasks,
    states.story,
    states.why,
    states.peek,
    states.deaths,
    states.record,
    states.recordings,
    states.doctor,
    live.live,
    live.break_at,
    live.attach,
    report.report,
    report.watch,
    files.save,
    files.open_file,
):
    cli.add_command(command)


def main(program: str = "dbgkit") -> None:
    """Run the command line, as which it was called, and end the process."""
    keep_garbage()
    try:
        cli(prog_name=program)
    except OSError:  # standard error is full, so that nothing can be said
        code: Any = COULD_NOT_LOOK
    except SystemExit as ended:
        code = ended.code
    code = flushed(code)
    leave_garbage()
    raise SystemExit(code)
