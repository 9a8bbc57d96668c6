"""The magics of IPython and Jupyter: ``%load_ext dbgkit``."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)

from dbgkit import api, debugger, render
from dbgkit.errors import DbgkitError
from dbgkit.frontends.arguments import DRY_RUN, PROMPT, REPLAY, SOURCE
from dbgkit.frontends.completing import complete_target, complete_value
from dbgkit.frontends.magics_base import Line, call, in_one_line, read_line
from dbgkit.frontends.magics_recording import RECORD_OPTIONS, RecordMagics
from dbgkit.frontends.magics_states import STATE_OPTIONS, WANTED, StateMagics
from dbgkit.frontends.recognise import touches_dask
from dbgkit.frontends.session import NoMore, Session, last_exception

HINT = "%dbg opens this in the task that failed, with the values it failed on."

OPTIONS = {
    "dbg": (*REPLAY, PROMPT, SOURCE),
    "dbg_replay": (*REPLAY, DRY_RUN),
    **STATE_OPTIONS,
    **RECORD_OPTIONS,
}
_KEPT = "_dbgkit_magics"


@magics_class
class DbgMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg``, ``%%dbg`` and ``%dbg_replay``."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.session = Session()
        self._last: BaseException | None = last_exception()
        self._quiet = False
        self._rendered: BaseException | None = None

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_cell_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg(self, line: str, cell: str | None = None) -> None:
        """Open the debugger in a failed task, at the line that failed.

        %dbg [options] [target]
            The target is a future's or a collection's variable, an exception, an
            expression, a key, or nothing: the last failure.
        %dbg next
            The next root cause of the same target.
        %%dbg [options]
            Run the cell, and open what fails in it.

        --scope task|ancestors   the task alone, or all that leads to it
        --where here|process|worker
                                 in this process, in a child, or on a worker
        --source replay|recording
                                 only replay, or only enter what was recorded
        --times N                run it so often
        --no-recompute           raise if inputs would have to be computed again
        --timeout 30s            limit of each wait on the cluster
        --max-bytes "1 GiB"      most to pull
        --client NAME            a client's variable, or a scheduler's address
        --no-prompt              print the report instead
        """
        asked = self._read(line, "dbg")
        if cell is not None:
            if asked.target is not None:
                raise UsageError("%%dbg takes options only; what it opens is the cell")
            self._run_cell(cell, asked.options)
        elif asked.typed == "next":
            self._next(asked.options)
        else:
            target = self.session.begin(asked.target, asked.options)
            self._open(target, asked.options)

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_replay(self, line: str) -> Any:
        """Run a failed task again with its real inputs, and show what it came to.

        %dbg_replay [options] [target]
            Takes what %dbg takes, but opens no prompt and returns the Replay.

        --dry-run                return the Plan alone
        --scope, --where, --times, --no-recompute, --timeout, --max-bytes, --client
                                 as for %dbg
        """
        asked = self._read(line, "dbg_replay")
        target = self.session.begin(asked.target, asked.options)
        with render.Notifier() as notify:
            found = self._call(api.replay, target, notify=notify, **asked.options)
        return None if asked.silent else found

    def _read(self, line: str, name: str) -> Line:
        return read_line(name, line, OPTIONS[name], self.shell.user_ns)

    def _call(self, verb: Any, target: Any, **options: Any) -> Any:
        return call(verb, target, **options)

    def _open(self, target: Any, options: dict[str, Any]) -> None:
        found = self._call(api.debug, target, **options)
        # A recording has no live exception: the debugger was opened on a made one.
        self.session.opened = getattr(found, "exception", None) or last_exception()

    def _next(self, options: dict[str, Any]) -> None:
        """Open the next root cause of what was asked for last."""

        def locate_all(target: Any, **asked: Any) -> Any:
            return self._call(api.locate_all, target, **asked)

        try:
            failures, options = self.session.next(options, locate_all)
        except NoMore as error:
            raise UsageError(f"%dbg next: {error}") from None
        self._open(failures, options)

    def _run_cell(self, cell: str, options: dict[str, Any]) -> None:
        """Run a cell, and open what it raises; the exception goes on."""
        kept = {k: options[k] for k in ("timeout", "max_bytes") if k in options}
        with api.capture(**kept):
            self._quiet = True
            try:
                result = self.shell.run_cell(cell, store_history=False)
            finally:
                self._quiet = False
            error = result.error_in_exec
            if error is None:
                return
            if isinstance(error, Exception) and not isinstance(error, UsageError):
                try:
                    self._open(self.session.begin(error, options), options)
                except DbgkitError as ours:
                    print(f"dbgkit: {ours}")
        # Or "run all" would go on with the next cell. Its traceback was shown.
        in_one_line(error)
        self._rendered = error
        raise error

    def after_cell(self, result: Any) -> None:
        """After each cell: say that ``%dbg`` is there, if Dask's work failed."""
        if self._rendered is not None:
            vars(self._rendered).pop("_render_traceback_", None)
            self._rendered = None
            return
        error = result.error_in_exec
        if error is None or self._quiet:
            return
        if isinstance(error, (UsageError, DbgkitError)):
            # A slip of the pen is not what `%dbg` and `%debug` are to open next.
            debugger.remember(self._last)
            return
        self._last = error
        if isinstance(error, Exception) and touches_dask(error):
            print(HINT)

    def complete(self, shell: Any, event: Any) -> list[str]:
        """Complete a magic of ours, for IPython's ``complete_command`` hook."""
        name = event.command.lstrip("%")
        typed = event.text_until_cursor.partition(event.command)[2]
        options = OPTIONS.get(name, ())
        found = complete_value(typed, event.symbol, options)
        if found is not None:
            return found
        names = tuple(f"--{option.name}" for option in options)
        if name == "dbg_failures":  # takes no target
            return [each for each in names if each.startswith(event.symbol or "-")]
        statuses = WANTED.get(name, ("error",))
        return complete_target(typed, event.symbol, shell.user_ns, names, statuses)


def load_ipython_extension(shell: Any) -> None:
    """Install the magics into a shell: ``%load_ext dbgkit``."""
    unload_ipython_extension(shell)
    magics = DbgMagics(shell)
    states = StateMagics(shell, magics.session)
    recorder = RecordMagics(shell)
    shell.register_magics(magics, states, recorder)
    shell.events.register("post_run_cell", magics.after_cell)
    for key in _completed():
        shell.set_hook(
            "complete_command",
            lambda shell, event: magics.complete(shell, event),
            str_key=key,
        )
    states.show_in_colours()
    setattr(shell, _KEPT, (magics, states, recorder))


def unload_ipython_extension(shell: Any) -> None:
    """Take off all that `load_ipython_extension` has installed."""
    kept = vars(shell).pop(_KEPT, None)
    if kept is None:
        return
    magics, states, _ = kept
    shell.events.unregister("post_run_cell", magics.after_cell)
    for each in kept:
        _unregister_magics(shell, each)
    states.show_as_before()
    _unset_completers(shell)
    debugger.discard(shell)


def _completed() -> list[str]:
    return [f"%{name}" for name in OPTIONS]


def _unregister_magics(shell: Any, magics: Magics) -> None:
    """IPython has no undo of ``register_magics``: its tables are edited.

    ``MagicsManager.magics`` and ``.registry`` (IPython/core/magic.py).
    """
    manager = shell.magics_manager
    manager.registry.pop(type(magics).__name__, None)
    for kind, names in magics.magics.items():
        for name in names:
            manager.magics[kind].pop(name, None)


def _unset_completers(shell: Any) -> None:
    """IPython has no undo of ``set_hook``: its table is edited.

    ``InteractiveShell.strdispatchers`` and ``StrDispatch.strs``.
    """
    completers = shell.strdispatchers["complete_command"].strs
    for key in _completed():
        completers.pop(key, None)
