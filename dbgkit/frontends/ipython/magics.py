"""The magics of IPython and Jupyter: ``%load_ext dbgkit``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    no_var_expand,
)

from dbgkit.advice import unword, word_with
from dbgkit.errors import (
    Cancelled,
    DbgkitError,
    NoFailure,
    NotFailed,
    SchedulerGone,
    UnknownKey,
    WrongTarget,
)
from dbgkit.frontends.ipython import tracebacks
from dbgkit.frontends.ipython.base import (
    Line,
    call,
    document,
    in_one_line,
    magic,
    read_line,
    show,
    was_stopped,
)
from dbgkit.frontends.ipython.completing import matcher_of
from dbgkit.frontends.ipython.files import FileMagics
from dbgkit.frontends.ipython.live import LiveMagics
from dbgkit.frontends.ipython.recording import RecordMagics
from dbgkit.frontends.ipython.session import NoMore, Session, last_exception
from dbgkit.frontends.ipython.states import StateMagics
from dbgkit.frontends.recognise import touches_dask
from dbgkit.frontends.verbs import CAPTURED, MAGIC_VERBS, function_of
from dbgkit.frontends.wording import Magics as Wording
from dbgkit.remote.common.codes import DYNAMIC as NO_FILE
from dbgkit.remote.common.frames import own_line_of_text
from dbgkit.remote.common.texts import in_line

HINT = "%dbg opens this in the task that failed, with the values it failed on"

_NO_FAILURE = (Cancelled, NoFailure, NotFailed, SchedulerGone, UnknownKey, WrongTarget)
_KEPT = "_dbgkit_magics"
_WORDING = Wording(flags=False)
# What ``%dbg next`` takes over from any magic before it.
_DEBUG = {option.keyword for option in MAGIC_VERBS["dbg"].options}


@magics_class
class DbgMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg``, ``%%dbg``, ``%dbg_locate`` and ``%dbg_replay``."""

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
        %dbg 3
            The third of the failures that were last listed.
        %dbg next
            The next root cause of the same target, or the next of the list.
        %%dbg [options]
            Run the cell, and open what fails in it.
        """
        asked = read_line("dbg", line, self.shell.user_ns, self.session)
        if cell is not None:
            if asked.target is not None:
                raise UsageError("%%dbg takes options only; what it opens is the cell")
            self._run_cell(cell, asked.options)
        else:
            self._open(asked)

    document(dbg, "dbg")

    @magic
    def dbg_debug(self, asked: Line) -> None:
        """Open the debugger in a failed task: `%dbg` under the verb's own name."""
        self._open(asked)

    @magic
    def dbg_locate(self, asked: Line) -> Any:
        """Find the task that failed, and what it raised; nothing is run.

        %dbg_locate [options] [target]
            Takes what %dbg takes, and returns the Failure.
        """
        target = self.session.meant(asked.target)
        with self._going_on(target, asked.options, asked.number):
            return show(asked, function_of("locate"), target)

    @magic
    def dbg_replay(self, asked: Line) -> Any:
        """Run a failed task again with its real inputs, and show the outcome.

        %dbg_replay [options] [target]
            Takes what %dbg takes, but opens no prompt and returns the Replay.
        """
        from dbgkit.render import Notifier

        target = self.session.meant(asked.target)
        going_on = self._going_on(target, asked.options, asked.number)
        with going_on, Notifier() as notify:
            return show(asked, function_of("replay"), target, notify=notify)

    @magic
    def dbg_to_test(self, asked: Line) -> None:
        """Write a test that fails as a task did, and passes once it is mended.

        %dbg_to_test [options] [target]
            Takes what %dbg takes. The test is run before it is written.
        """
        from dbgkit.render import Notifier

        target = self.session.meant(asked.target)
        going_on = self._going_on(target, asked.options, asked.number)
        with going_on, Notifier() as notify:
            path = show(asked, function_of("to_test"), target, notify=notify)
        print(in_line(f"written to {path}: it fails as the task did"))

    @magic
    def dbg_shrink(self, asked: Line) -> Any:
        """Find the smallest input with which a task still fails the same way.

        %dbg_shrink [options] [target]
            Takes what %dbg takes, and returns what it finds, which %dbg takes as well.
        """
        from dbgkit.render import Notifier

        target = self.session.meant(asked.target)
        going_on = self._going_on(target, {}, asked.number)
        with going_on, Notifier() as notify:
            return show(asked, function_of("shrink"), target, notify=notify)

    def _open(self, asked: Line) -> None:
        if asked.typed == "next":
            self._next(asked.options)
        else:
            self._begin(asked.target, asked.options, asked.number)

    def _begin(self, target: Any, options: dict[str, Any], number: int = 0) -> None:
        target = self.session.meant(target)
        with self._going_on(target, options, number):
            found = call(function_of("debug"), target, **options)
        self._left(found)

    @contextmanager
    def _going_on(
        self, target: Any, options: dict[str, Any], number: int
    ) -> Iterator[None]:
        """Go on from a target, unless it leads to no failure."""
        options = {name: options[name] for name in options if name in _DEBUG}
        try:
            yield
        except _NO_FAILURE:
            raise
        except BaseException:  # it was refused, or stopped: it is there all the same
            self.session.begin(target, options, number)
            raise
        self.session.begin(target, options, number)

    def _left(self, found: Any) -> None:
        # A recording has no live exception: the debugger was opened on a made one.
        self.session.left(getattr(found, "exception", None) or last_exception())

    def _next(self, options: dict[str, Any]) -> None:
        """Open the next root cause of what was asked for last."""
        from dbgkit.api.locate import locate_all

        try:
            causes = partial(call, locate_all)
            target, options = self.session.next(options, causes)
        except NoMore as error:
            raise UsageError(f"%dbg next: {error}") from None
        if (where := self.session.place_in_list) is not None:
            print(where)
        found = call(function_of("debug"), target, **options)
        self.session.went_on()
        self._left(found)

    def _run_cell(self, cell: str, options: dict[str, Any]) -> None:
        """Run a cell, and open what it raises; the exception goes on."""
        from dbgkit.api.debugging import capture
        from dbgkit.render import say

        kept = {name: options[name] for name in CAPTURED if name in options}
        before = last_exception()
        with capture(**kept):
            self._quiet = True
            try:
                result = self.shell.run_cell(cell, store_history=False)
            finally:
                self._quiet = False
            error = result.error_in_exec
            found = error if error is not None else _shown_since(before)
            if isinstance(found, Exception) and not isinstance(found, UsageError):
                try:
                    self._begin(found, options)
                except DbgkitError as ours:
                    say(ours, sys.stdout)
        if error is None:
            return
        # Or "run all" would go on with the next cell. Its traceback was shown.
        in_one_line(error)
        self._rendered = error
        raise error

    def before_cell(self, info: Any = None) -> None:
        """Before each cell: know what failed last."""
        if not self._quiet:
            self._last = last_exception()

    def after_cell(self, result: Any) -> None:
        """After each cell: say that ``%dbg`` is there, if Dask's work failed."""
        self.session.note_shown(result.result)
        if self._rendered is not None:
            vars(self._rendered).pop("_render_traceback_", None)
            self._rendered = None
            return
        error = result.error_in_exec
        if error is None or self._quiet:
            return
        if isinstance(error, (UsageError, DbgkitError)) or was_stopped(error):
            # A mistyped line is not what `%dbg` and `%debug` are to open next.
            from dbgkit.debugger import remember

            remember(self._last)
            return
        if isinstance(error, Exception) and touches_dask(error):
            print(f"{HINT}{in_line(_place(error))}")


def load_ipython_extension(shell: Any) -> None:
    """Install the magics into a shell: ``%load_ext dbgkit``."""
    unload_ipython_extension(shell)
    magics = DbgMagics(shell)
    states = StateMagics(shell, magics.session)
    recorder = RecordMagics(shell, magics.session)
    live = LiveMagics(shell, magics.session)
    files = FileMagics(shell, magics.session)
    shell.register_magics(magics, states, recorder, live, files)
    shell.events.register("pre_run_cell", magics.before_cell)
    shell.events.register("post_run_cell", magics.after_cell)
    matcher = matcher_of(shell, magics.session)
    shell.Completer.custom_matchers.append(matcher)
    states.show_in_colours()
    word_with(_WORDING)
    tracebacks.show_lines(shell)
    setattr(shell, _KEPT, (magics, states, recorder, live, files, matcher))


def unload_ipython_extension(shell: Any) -> None:
    """Remove everything that `load_ipython_extension` installed."""
    kept = vars(shell).pop(_KEPT, None)
    if kept is None:
        return
    *installed, matcher = kept
    magics, states, *_ = installed
    shell.events.unregister("pre_run_cell", magics.before_cell)
    shell.events.unregister("post_run_cell", magics.after_cell)
    for each in installed:
        _unregister_magics(shell, each)
    states.show_as_before()
    unword(_WORDING)
    tracebacks.show_as_before(shell)
    shell.Completer.custom_matchers.remove(matcher)
    if "dbgkit.debugger" in sys.modules:  # or there is none of ours
        from dbgkit.debugger import discard

        discard(shell)


def _shown_since(before: BaseException | None) -> BaseException | None:
    """What was shown meanwhile without ending the cell, as ``%run`` shows it."""
    last = last_exception()
    return last if last is not before else None


def _place(error: BaseException) -> str:
    """The line of the user's own code that failed, where code has lost its file.

    IPython's own traceback does not show such a line.
    """
    text = "".join(traceback.format_tb(error.__traceback__))
    if NO_FILE not in text:
        return "."
    from dbgkit.source.places import place
    from dbgkit.source.shown import Shown

    found = own_line_of_text(Shown().text(text))
    if found is None or found[0] == NO_FILE:
        return "."
    return f": {place(found[0], found[1])} in {found[2]}"


def _unregister_magics(shell: Any, magics: Magics) -> None:
    """IPython has no undo of ``register_magics``: its tables are edited.

    ``MagicsManager.magics`` and ``.registry`` (IPython/core/magic.py).
    """
    manager = shell.magics_manager
    manager.registry.pop(type(magics).__name__, None)
    for kind, names in magics.magics.items():
        for name in names:
            manager.magics[kind].pop(name, None)
