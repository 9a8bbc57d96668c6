"""What a replay reports while it runs: notices, progress, a question."""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from typing import IO, Any

from rich.console import Console

from dbgkit.model import Notice, Plan, Progress
from dbgkit.model.display import is_terminal
from dbgkit.remote.common.texts import in_line
from dbgkit.render import words
from dbgkit.render.plan import PlanView, view_plan
from dbgkit.render.progress import ProgressLine
from dbgkit.render.text import Text

ASK_ABOVE_BYTES = 256 * 2**20
"""Bytes to pull above which a user at a terminal is asked first."""

ASK_ABOVE_TASKS = 100
"""Tasks to compute again above which a user at a terminal is asked first."""

_STAGES = {
    "pull": "pulling inputs",
    "recompute": "computing inputs again",
    "run": "computing ancestors",
    "times": "running the task again",
    "test": "running its test",
    "shrink": "leaving out what is not needed",
}
_PLACES = {"here": "here", "process": "in a process of its own"}


class Notifier:
    """A ``notify`` callable for front ends, to be used in a ``with`` block.

    It says on ``file``, by default standard error, what a replay is about to do, shows
    progress where that is a terminal, and asks before much is pulled or computed again,
    where standard input is a terminal too. Without terminals nothing is asked, and
    `max_bytes` is what limits.
    """

    def __init__(
        self,
        *,
        file: IO[str] | None = None,
        ask_above_bytes: int = ASK_ABOVE_BYTES,
        ask_above_tasks: int = ASK_ABOVE_TASKS,
    ) -> None:
        # Where standard error is closed, nothing is said.
        self.file: IO[str] = file or sys.stderr or io.StringIO()
        self.ask_above_bytes = ask_above_bytes
        self.ask_above_tasks = ask_above_tasks
        self.terminal = is_terminal(self.file)
        self._console = Console(
            file=self.file,
            highlight=False,
            markup=False,
            soft_wrap=True,
            force_jupyter=False,
        )
        self._line = ProgressLine(self._console)
        self._where = ""

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __call__(self, event: Any) -> bool | None:
        """Take a `Plan`, a `Progress` or a `Notice`; False declines a plan."""
        if isinstance(event, Plan):
            return self._plan(event)
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Notice):
            self._say(event.text)
        return None

    def close(self) -> None:
        """Take the progress off the screen."""
        self._line.close()

    def _say(self, text: str) -> None:
        line = Text(f"dbgkit: {in_line(text)}")
        with suppress(OSError):  # it is full: a replay needs no words
            self._console.print(line, style="dim" if self.terminal else "")

    def _plan(self, plan: Plan) -> bool | None:
        self._where = _PLACES.get(plan.where, f"on {in_line(plan.worker)}")
        view = view_plan(plan)
        for line in _lines(view, plan):
            self._say(line)
        much = (
            plan.pull_bytes > self.ask_above_bytes
            or _tasks(plan) > self.ask_above_tasks
        )
        if not (much and self.terminal and is_terminal(sys.stdin)):
            return None
        self.close()
        self.file.write(f"dbgkit: Continue? {_much(plan)} [y/N] ")
        self.file.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _progress(self, event: Progress) -> None:
        # Nor on a dumb terminal; FORCE_COLOR, which Jupyter sets, makes none of a file.
        if not (self.terminal and self._console.is_interactive):
            return
        text = _STAGES.get(event.stage, event.stage)
        if event.stage == "times" and self._where:
            text = f"{text} {self._where}"
        self._line.show(event, text)


def _tasks(plan: Plan) -> int:
    """Tasks to be computed besides the one that failed."""
    return len(plan.recompute) + max(0, len(plan.run_here) - 1)


def _much(plan: Plan) -> str:
    parts = [f"{words.size(plan.pull_bytes)} to pull"] if plan.pull_bytes else []
    if _tasks(plan):
        parts.append(f"{words.count(_tasks(plan), 'task')} to compute again")
    return f"({', '.join(parts)})"


def _lines(view: PlanView, plan: Plan) -> list[str]:
    """What is said before a replay: what it takes, and its side effects."""
    parts = [f"{label} {text}" for label, text in view.lines]
    name = f"{view.name} " if view.name else ""
    what = f"replaying {name}[{view.key}]"
    if plan.key is None:
        what = "it is not known which task failed"
    return [f"{what}: {'; '.join(parts)}", *view.warnings]
