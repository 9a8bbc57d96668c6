"""The magics of IPython and Jupyter: ``%load_ext dbgkit``."""

from __future__ import annotations

import inspect
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
from dbgkit.errors import DbgkitError, UnknownKey
from dbgkit.frontends.arguments import (
    DRY_RUN,
    PROMPT,
    REPLAY,
    BadUsage,
    read_target,
    split_options,
)
from dbgkit.frontends.completing import complete_target
from dbgkit.frontends.recognise import touches_dask
from dbgkit.frontends.session import NoMore, Session, last_exception

HINT = "%dbg opens this in the task that failed, with the values it failed on."

_DBG = (*REPLAY, PROMPT)
_DBG_REPLAY = (*REPLAY, DRY_RUN)
_OPTIONS = {"dbg": _DBG, "dbg_replay": _DBG_REPLAY}
_KEPT = "_dbgkit_magics"


@magics_class
class DbgMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg``, ``%%dbg`` and ``%dbg_replay``."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._session = Session()
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
        --where here|process     in this process, or in a child
        --times N                run it so often
        --no-recompute           raise if inputs would have to be computed again
        --timeout 30s            limit of each wait on the cluster
        --max-bytes "1 GiB"      most to pull
        --client NAME            a client's variable, or a scheduler's address
        --no-prompt              print the report instead
        """
        target, options = self._read(line, "dbg")
        if cell is not None:
            if target is not None:
                raise UsageError("%%dbg takes options only; what it opens is the cell")
            self._run_cell(cell, options)
        elif isinstance(target, str) and target == "next":
            self._next(options)
        else:
            self._open(self._session.begin(target, options), options)

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
        target, options = self._read(line, "dbg_replay")
        target = self._session.begin(target, options)
        with render.Notifier() as notify:
            return self._call(api.replay, target, notify=notify, **options)

    def _read(self, line: str, name: str) -> tuple[Any, dict[str, Any]]:
        """Target and options of a line."""
        names = self.shell.user_ns
        try:
            text, options = split_options(line, _OPTIONS[name])
            if "client" in options:
                options["client"] = names.get(options["client"], options["client"])
            if name == "dbg" and text == "next":
                return text, options
            return read_target(text, names), options
        except BadUsage as error:
            raise UsageError(f"%{name}: {error}") from None

    def _call(self, verb: Any, target: Any, **options: Any) -> Any:
        """Call a verb; our own errors are shown in one line."""
        try:
            result = verb(target, **options)
        except DbgkitError as error:
            if isinstance(error, UnknownKey) and str(target).isidentifier():
                error.hint = f"there is no variable {target!r} either; {error.hint}"
            _in_one_line(error)
            raise
        if inspect.isawaitable(result):
            _abandon(result)
            name = verb.__name__
            raise UsageError(
                f"the client is asynchronous: `await dbgkit.{name}(target)` in a cell"
            )
        return result

    def _open(self, target: Any, options: dict[str, Any]) -> None:
        self._session.opened = self._call(api.debug, target, **options).exception

    def _next(self, options: dict[str, Any]) -> None:
        """Open the next root cause of what was asked for last."""

        def locate_all(target: Any, **asked: Any) -> Any:
            return self._call(api.locate_all, target, **asked)

        try:
            failures, options = self._session.next(options, locate_all)
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
                    self._open(self._session.begin(error, options), options)
                except DbgkitError as ours:
                    print(f"dbgkit: {ours}")
        # Or "run all" would go on with the next cell. Its traceback was shown.
        _in_one_line(error)
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
        """Complete a target of ours, for IPython's ``complete_command`` hook."""
        name = event.command.lstrip("%")
        typed = event.text_until_cursor.partition(event.command)[2]
        options = tuple(f"--{option.name}" for option in _OPTIONS.get(name, ()))
        return complete_target(typed, event.symbol, shell.user_ns, options)


def load_ipython_extension(shell: Any) -> None:
    """Install the magics into a shell: ``%load_ext dbgkit``."""
    unload_ipython_extension(shell)
    magics = DbgMagics(shell)
    shell.register_magics(magics)
    shell.events.register("post_run_cell", magics.after_cell)
    for key in _completed():
        shell.set_hook(
            "complete_command",
            lambda shell, event: magics.complete(shell, event),
            str_key=key,
        )
    setattr(shell, _KEPT, magics)


def unload_ipython_extension(shell: Any) -> None:
    """Take off all that `load_ipython_extension` has installed."""
    magics = vars(shell).pop(_KEPT, None)
    if magics is None:
        return
    shell.events.unregister("post_run_cell", magics.after_cell)
    _unregister_magics(shell, magics)
    _unset_completers(shell)
    debugger.discard(shell)


def _completed() -> list[str]:
    return [f"%{name}" for name in _OPTIONS]


def _unregister_magics(shell: Any, magics: DbgMagics) -> None:
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


def _in_one_line(error: BaseException) -> None:
    """Have IPython show an exception in a line, without its traceback.

    IPython asks an exception for ``_render_traceback_``.
    """
    line = f"{type(error).__name__}: {error}"
    error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]


def _abandon(result: Any) -> None:
    """Close a coroutine that nobody will await, so that it does not warn."""
    if inspect.iscoroutine(result):
        result.close()
