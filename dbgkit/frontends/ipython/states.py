"""The magics that look at what the scheduler knows, live or in a dump.

Each returns its data, which IPython then shows as it shows any value: in a terminal in
colours, in Jupyter as HTML; kept in ``_``, not shown when assigned or after a ``;``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from dbgkit import render
from dbgkit.api.doctor import doctor
from dbgkit.api.failures import failures
from dbgkit.api.story import story
from dbgkit.api.tasks import tasks
from dbgkit.api.why import why
from dbgkit.errors import WrongTarget
from dbgkit.frontends.ipython.arguments import (
    CLIENT,
    DUMP,
    FAILURES,
    TASKS,
    TIMEOUT,
    VIEW,
)
from dbgkit.frontends.ipython.base import Line, call, in_one_line, read_line
from dbgkit.frontends.ipython.session import Session
from dbgkit.model import Displayed
from dbgkit.model.display import in_short

STATE_OPTIONS = {
    "dbg_failures": FAILURES,
    "dbg_tasks": TASKS,
    "dbg_story": VIEW,
    "dbg_why": VIEW,
    "dbg_doctor": (CLIENT, DUMP, TIMEOUT),
}
# Keys of which futures are worth asking about; None: of all.
WANTED = {
    "dbg_tasks": None,
    "dbg_story": None,
    "dbg_why": ("pending", "error", "lost"),
}


@magics_class
class StateMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_failures``, ``_tasks``, ``_story``, ``_why`` and ``_doctor``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_failures(self, line: str) -> Any:
        """Which tasks failed and why, grouped by root cause.

        %dbg_failures [options]

        --since 5m               only what failed so long ago, or later
        --span NAME              only what failed in this span
        --limit N                most root causes; 20 if not given
        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_failures")
        self._refuse_target(asked, "dbg_failures")
        return self._show(asked, failures)

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_tasks(self, line: str) -> Any:
        """Tasks as the scheduler has them.

        %dbg_tasks [options] [keys]
            The keys are a future's, a list's or a collection's variable, a key, a
            pattern such as load-*, or nothing: all tasks.

        --state S,S              only tasks in these states
        --prefix P               only tasks with this prefix; may be repeated
        --worker W               only tasks of this worker, by address or name
        --failed, --not-failed   only what failed by itself, or only the rest
        --sort COLUMN            largest first, texts from A; -COLUMN: the other way
        --limit N                most rows; 50 if not given
        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_tasks")
        if asked.target is not None:
            asked.options["keys"] = asked.target
        try:
            return self._show(asked, tasks)
        except WrongTarget as error:
            if asked.typed.isidentifier():
                error.hint += f"; for tasks named {asked.typed}, --prefix {asked.typed}"
                in_one_line(error)
            raise

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_story(self, line: str) -> Any:
        """What happened to one task, in order of time.

        %dbg_story [options] [target]
            The target is a future's or a collection's variable, an exception, a key,
            or nothing: the last failure.

        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_story")
        target = asked.target
        if target is None:
            target = self._session.meant(None)
        return self._show(asked, story, target)

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_why(self, line: str) -> Any:
        """Why a task, a collection or the whole cluster does not move on.

        %dbg_why [options] [target]
            The target is a future's or a persisted collection's variable, a key, or
            nothing: the whole cluster.

        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_why")
        found = self._show(asked, why, asked.target)
        name = asked.typed
        if found is None or found.cause != "unknown-key" or not name.isidentifier():
            return found
        if name in self.shell.user_ns:
            return found
        return replace(found, notes=(f"there is no variable {name!r}", *found.notes))

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_doctor(self, line: str) -> Any:
        """Whether the cluster is fit for debugging, and what to change.

        %dbg_doctor [options]

        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_doctor")
        self._refuse_target(asked, "dbg_doctor")
        return self._show(asked, doctor)

    def _refuse_target(self, asked: Line, magic: str) -> None:
        if asked.target is not None:
            raise UsageError(
                f"%{magic} takes options only, not {asked.typed!r}; a value with "
                "blanks needs quotes"
            )

    def _read(self, line: str, name: str) -> Line:
        return read_line(name, line, STATE_OPTIONS[name], self.shell.user_ns)

    def _show(self, asked: Line, verb: Any, *targets: Any) -> Any:
        """What the verb gives, for IPython to show."""
        found = call(verb, *targets, instead=_spell(asked, verb), **asked.options)
        return None if asked.silent else found

    def show_in_colours(self) -> None:
        """Have a terminal show our data in colours, and in its own width."""
        terminal = sys.modules.get("IPython.terminal.interactiveshell")
        if terminal and isinstance(self.shell, terminal.TerminalInteractiveShell):
            formatter = self.shell.display_formatter.mimebundle_formatter
            formatter.for_type(Displayed, _in_colours)

    def show_as_before(self) -> None:
        """Undo `show_in_colours`."""
        formatter = self.shell.display_formatter.mimebundle_formatter
        formatter.pop(Displayed, None)


def _in_colours(obj: Any) -> dict[str, str]:
    if in_short(obj):
        return {"text/plain": repr(obj)}
    return {"text/plain": render.to_text(obj, width=None, color=None).rstrip("\n")}


def _spell(asked: Line, verb: Any) -> str:
    """The arguments as they are written in a call."""
    parts = []
    if asked.target is not None:
        same = isinstance(asked.target, str) and asked.target == asked.typed
        typed = repr(asked.typed) if same else asked.typed
        parts.append(f"keys={typed}" if verb is tasks else typed)
    for name, value in asked.options.items():
        if name == "client":
            parts.append(f"client={asked.client}")
        elif name != "keys":
            parts.append(f"{name}={value!r}")
    return ", ".join(parts)
