"""What a worker says before it ends: what is logged, and what its tasks raise."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..common.frames import own_line_of_text
from ..common.texts import safe_str
from .black_box import ENDINGS
from .black_box_lines import line_of_error
from .black_box_logs import LogWatch

if TYPE_CHECKING:
    from .black_box import BlackBox

LONGEST = 480  # characters of a line, or of what was raised
_LOOK = 4_000  # characters of a message to look at


class LastWords:
    """Has a black box keep warnings and errors, and what tasks raise to end a worker.

    ``hide`` gives at most so many characters of a text, and ``tell`` the type and the
    message of an exception, secrets hidden; ``fail`` is called with what goes wrong
    here, and the job continues.
    """

    def __init__(
        self,
        box: BlackBox,
        hide: Callable[[str, int], str],
        tell: Callable[[BaseException, int], str],
        fail: Callable[[str, BaseException], None],
    ) -> None:
        self.box = box
        self.hide = hide
        self.tell = tell
        self.fail = fail
        self.ends = False  # a task has raised what ends the worker
        self._watch = LogWatch(self.note_line)

    def stop(self) -> None:
        self._watch.stop()

    def tell_scheduler(self, worker: Any, topic: str) -> bool:
        """Have a worker that closes tell what it has logged, as its box goes with it.

        Returns whether the box is needed all the same: its connection is gone, say.
        """
        logged = self.box.lines.read()
        stream = worker.batched_stream
        if stream is None or stream.closed() or not topic:
            return bool(logged)
        told = {"worker": worker.address, "pid": os.getpid(), "logged": logged}
        stream.send({"op": "log-event", "topic": topic, "msg": told})
        return False

    def note_line(self, record: logging.LogRecord) -> None:
        """Note a log record, whatever is in it."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        try:
            room = self.box.lines.has_room()
            if not room and not isinstance(error, ENDINGS):
                return  # of very many lines, most cost no more than this
            text = _message_of(record)[:_LOOK]
            if isinstance(error, ENDINGS):
                self._note_ending_elsewhere(text, error)
            if not room:
                return
            text = self.hide(f"{record.name}: {text}", LONGEST)
            if error is not None:
                raised = self.tell(error, LONGEST // 3)
                text = f"{text[: LONGEST - len(raised) - 3]} ({raised})"
            self.box.lines.add(record.created, record.levelno, text)
        except Exception as failure:  # whoever logs goes on
            self.fail("noting what was logged", failure)

    def note_ending(self, slot: int, error: BaseException, line: str = "") -> None:
        """Note that the task of a slot has raised what ends its worker."""
        self.ends = True
        try:
            self.box.raised(
                slot, self.tell(error, LONGEST), line or line_of_error(error)
            )
        except Exception as failure:  # the worker is about to end
            self.fail("noting what ends a worker", failure)

    def _note_ending_elsewhere(self, text: str, error: BaseException) -> None:
        """Note what came from a task that is not watched as it runs.

        It ran in a process pool, or had begun before the box was there. Dask logs the
        task that waits for it: ``BaseWorker._start_async_instruction``
        (distributed/worker_state_machine.py) names it after the key. Pinned by
        tests/test_deaths_contract.py.
        """
        for slot, key in self.box.elsewhere():
            if f"execute({key!r})" in text:
                there = own_line_of_text(str(error.__cause__ or ""))
                line = "{}:{} in {}".format(*there) if there else ""
                self.note_ending(slot, error, line)


def _message_of(record: logging.LogRecord) -> str:
    """A record's message; without its arguments, where they do not fit."""
    try:
        return record.getMessage()
    except Exception:  # Python's own handlers say so
        return safe_str(record.msg)
