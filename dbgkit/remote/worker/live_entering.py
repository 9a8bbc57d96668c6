"""How a prompt opens: at a line that is about to run, or where a task has failed."""

from __future__ import annotations

import pdb
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import islice
from types import FrameType, TracebackType
from typing import Any

from ..common.codes import file_of_frame
from ..common.exceptions import linked, traceback_of
from ..common.frames import own_index
from .live_console import described

MOST = 100  # exceptions that one follows from


class Entering(pdb.Pdb):
    """Mixin for pdb: a prompt at once, rather than at the next line."""

    _failures: Sequence[tuple[BaseException, TracebackType | None]] = ()
    failure: TracebackType | None = None
    raised: BaseException | None = None  # what it is of

    def enter_at(self, frame: FrameType) -> None:
        """Open it before a frame's line runs; called by what traces that line."""
        self.set_trace(frame)
        self.set_step()
        # bdb of Python 3.13 looks up there where a frame's file is.
        entering: Any = getattr(self, "set_enterframe", lambda _: nullcontext())
        with entering(frame):
            self.interaction(frame, None)

    def enter_failed(
        self, error: BaseException, failure: TracebackType | None = None
    ) -> None:
        """Open it where an exception was raised; from there the task can only fail.

        ``failure``: the exception's traceback, if it may have another one by now.
        """
        sys.settrace(None)
        self.reset()
        self._failures = _failures(error, failure)
        self.raised, self.failure = self._failures[0]
        try:
            self.interaction(None, self.failure)
        finally:
            self.raised = self.failure = None
            self._failures = ()

    def do_exceptions(self, arg: str) -> None:
        """exceptions [number]

        List the exception and those that it follows from, or go to one of these.
        """
        if not self._failures:
            self.error("nothing has failed here")
        elif not arg.strip():
            for number, (each, _) in enumerate(self._failures):
                mark = ">" if each is self.raised else " "
                self.message(f"{mark}{number:>3} {described(each):.200}")
        else:
            self._go_to(arg.strip())

    def _go_to(self, number: str) -> None:
        """Show the frames of another exception than that of the task."""
        try:
            error, failure = self._failures[int(number)]
        except (ValueError, IndexError):
            self.error("exceptions without a number lists them")
            return
        if failure is None:
            self.error("it has no frames")
            return
        self.raised, self.failure = error, failure
        self.setup(None, failure)
        self.print_stack_entry(self.stack[self.curindex])

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        """As bdb's; of a failure, at the innermost frame of the user's own."""
        if self.failure is None:
            return super().get_stack(f, t)
        entries, index = super().get_stack(None, self.failure)
        frames = [frame for frame, _ in entries]
        if f in frames:
            return entries, frames.index(f)
        own = own_index([file_of_frame(frame) for frame in frames])
        return entries, index if own is None else own


def _failures(
    error: BaseException, failure: TracebackType | None
) -> Sequence[tuple[BaseException, TracebackType | None]]:
    """An exception and those that it follows from, with their frames."""
    found = [(each, traceback_of(each)) for each in islice(linked(error), MOST)]
    return [(error, failure or found[0][1]), *found[1:]]
