"""One line on a terminal that moves while something is under way, and then is gone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text as RichText

from dbgkit.model import Progress
from dbgkit.remote.common.texts import in_line
from dbgkit.render.text import Text

SLOW = 0.3  # seconds: for what takes less, a line would only flicker


class ProgressLine:
    """What is under way, shown by the latest event about it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Events may come from the thread of the client's event loop.
        self._lock = threading.RLock()
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._appears: threading.Timer | None = None
        self._before: Callable[..., Any] | None = None  # the hook of `breakpoint`

    def show(self, event: Progress, text: str) -> None:
        """Take an event, and what it is about; what is done is taken off."""
        with self._lock:
            if event.done >= event.total > 0:
                self.close()
                return
            if event.stage != self._stage:
                self.close()
                self._begin(event.stage)
            assert self._bars is not None and self._task is not None
            self._bars.update(
                self._task,
                description=text,
                completed=event.done,
                total=event.total or None,
                unit=event.unit,
            )

    def close(self) -> None:
        """Take the line off the screen."""
        with self._lock:
            if self._appears is not None:
                self._appears.cancel()
            if self._before is not None:
                if sys.breakpointhook == self._stop_for_prompt:  # not a task's own
                    sys.breakpointhook = self._before
                self._before = None
            if self._bars is not None:
                self._bars.stop()
            self._appears = self._bars = self._task = None
            self._stage = ""

    def _begin(self, stage: str) -> None:
        spinner = "line" if self._console.options.ascii_only else "dots"
        self._bars = bars = Bars(
            SpinnerColumn(spinner),
            _Description(),
            _Bar(bar_width=24),
            _Done(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = bars.add_task("", total=None, unit="tasks")
        self._stage = stage
        self._appears = threading.Timer(SLOW, self._appear, [bars])
        self._appears.daemon = True
        self._appears.start()

    def _appear(self, bars: Bars) -> None:
        with self._lock:
            if bars is not self._bars:
                return
            bars.start()
            self._before = sys.breakpointhook
            sys.breakpointhook = self._stop_for_prompt

    def _stop_for_prompt(self, *args: Any, **options: Any) -> Any:
        """A task that runs here may call ``breakpoint()``: the terminal is its own."""
        hook = self._before or sys.breakpointhook
        self.close()
        return hook(*args, **options)


class _Description(ProgressColumn):
    """What is under way, on one line whatever a key or a message says."""

    def render(self, task: Any) -> RichText:
        return Text(in_line(task.description), no_wrap=True, overflow="ellipsis")


class _Bar(BarColumn):
    """A bar, where it is of several."""

    def render(self, task: Any) -> Any:
        return super().render(task) if _several(task) else RichText("")


class _Done(ProgressColumn):
    """How much is done, in the unit of the stage."""

    _bytes, _tasks = DownloadColumn(binary_units=True), MofNCompleteColumn()

    def render(self, task: Any) -> RichText:
        if not _several(task):
            return RichText("")
        column = self._bytes if task.fields["unit"] == "bytes" else self._tasks
        return column.render(task)


def _several(task: Any) -> bool:
    return task.total is not None and task.total > 1
