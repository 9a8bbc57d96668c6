"""The magics that look at what the scheduler knows, live or in a dump.

Each returns its data, which IPython then shows as it shows any value: in a terminal in
colours, in Jupyter as HTML; kept in ``_``, not shown when assigned or after a ``;``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from IPython.core.magic import Magics, magics_class

from dbgkit.errors import WrongTarget
from dbgkit.frontends.ipython.base import Line, in_one_line, magic, show
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.verbs import function_of

# By its name, since nothing is shown yet that would need the class.
_DISPLAYED = ("dbgkit.model.display", "Displayed")


@magics_class
class StateMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_failures``, ``_tasks``, ``_story``, ``_why``, ``_peek`` and so on."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @magic
    def dbg_failures(self, asked: Line) -> Any:
        """Which tasks failed and why, grouped by root cause.

        %dbg_failures [options]
        """
        return show(asked, function_of("failures"))

    @magic
    def dbg_tasks(self, asked: Line) -> Any:
        """Tasks as the scheduler has them.

        %dbg_tasks [options] [keys]
            The keys are a future's, a list's or a collection's variable, a key, a
            pattern such as load-*, or nothing: all tasks.
        """
        if asked.target is not None:
            asked.options["keys"] = asked.target
        try:
            return show(asked, function_of("tasks"))
        except WrongTarget as error:
            if asked.typed.isidentifier():
                error.hint += f"; for tasks named {asked.typed}, --prefix {asked.typed}"
                in_one_line(error)
            raise

    @magic
    def dbg_story(self, asked: Line) -> Any:
        """What happened to one task, in order of time.

        %dbg_story [options] [target]
            The target is a future's or a collection's variable, an exception, a key,
            or nothing: the last failure.
        """
        last = self.session.meant(None) if asked.target is None else asked.target
        return show(asked, function_of("story"), last)

    @magic
    def dbg_why(self, asked: Line) -> Any:
        """Why a task, a collection or the whole cluster makes no progress.

        %dbg_why [options] [target]
            The target is a future's or a persisted collection's variable, a key, or
            nothing: the whole cluster.
        """
        found = show(asked, function_of("why"), asked.target)
        name = asked.typed
        if found.cause != "unknown-key" or not name.isidentifier():
            return found
        if name in self.shell.user_ns:
            return found
        return replace(found, notes=(f"variable {name!r} does not exist", *found.notes))

    @magic
    def dbg_peek(self, asked: Line) -> Any:
        """What a running task does now: its call stack, with source and locals.

        %dbg_peek [options] [target]
            The target is a future's or a persisted collection's variable, a key, or
            nothing: all that runs. With --times 20, where it was in 20 samples.
        """
        return show(asked, function_of("peek"), asked.target)

    @magic
    def dbg_doctor(self, asked: Line) -> Any:
        """Whether the cluster is fit for debugging, and what to change.

        %dbg_doctor [options]
        """
        return show(asked, function_of("doctor"))

    @magic
    def dbg_report(self, asked: Line) -> Any:
        """All that is known of the cluster, together, also as an HTML page.

        %dbg_report [options]
        """
        found = show(asked, function_of("report"))
        if "path" not in asked.options:
            return found
        print(f"written to {asked.options['path']}")
        return None

    @magic
    def dbg_watch(self, asked: Line) -> Any:
        """Watch the cluster: states of tasks, failures, what is blocked, workers.

        %dbg_watch [options]
            The screen is a list to move in: ? shows the keys, and q or Ctrl-C leaves
            it. In a notebook the output is updated in place, until you interrupt the
            cell; where nobody could, there is one update.
        """
        options = asked.options
        alone = options.get("once") or options.get("view") is not None
        # A notebook can update what it has displayed.
        if not alone and hasattr(self.shell, "kernel"):
            from dbgkit.debugger.choose import can_prompt

            if options.get("updates") is not None or can_prompt():
                return self._watch_in_place(asked)
        return show(asked, function_of("watch"))

    def _watch_in_place(self, asked: Line) -> None:
        from IPython.display import DisplayHandle

        from dbgkit.api.watch import watch_with
        from dbgkit.render.watch import in_place

        handle = DisplayHandle()
        ways = chain([handle.display], repeat(handle.update))
        show(asked, watch_with, in_place(lambda seen: next(ways)(seen)))

    def show_in_colours(self) -> None:
        """Have a terminal show our data in colours, and in its own width."""
        terminal = sys.modules.get("IPython.terminal.interactiveshell")
        if terminal and isinstance(self.shell, terminal.TerminalInteractiveShell):
            formatter = self.shell.display_formatter.mimebundle_formatter
            formatter.for_type_by_name(*_DISPLAYED, _in_colours)

    def show_as_before(self) -> None:
        """Undo `show_in_colours`."""
        formatter = self.shell.display_formatter.mimebundle_formatter
        formatter.pop(".".join(_DISPLAYED), None)


def _in_colours(obj: Any) -> dict[str, str]:
    from dbgkit import render
    from dbgkit.model.display import in_short

    if in_short(obj):
        return {"text/plain": repr(obj)}
    return {"text/plain": render.to_text(obj, width=None, color=None).rstrip("\n")}
