"""How a prompt opens: at a line that is about to run, or where a task has failed."""

from __future__ import annotations

import pdb
import sys
from contextlib import nullcontext
from types import FrameType, TracebackType
from typing import Any

from ..common.codes import file_of_frame
from ..common.frames import own_index


class Entering(pdb.Pdb):
    """Mixin for pdb: a prompt at once, rather than at the next line."""

    failure: TracebackType | None = None

    def enter_at(self, frame: FrameType) -> None:
        """Open it before a frame's line runs; called by what traces that line."""
        self.set_trace(frame)
        self.set_step()
        # bdb of Python 3.13 looks up there where a frame's file is.
        entering: Any = getattr(self, "set_enterframe", lambda _: nullcontext())
        with entering(frame):
            self.interaction(frame, None)

    def enter_failed(self, error: BaseException) -> None:
        """Open it where an exception was raised; from there the task can only fail."""
        sys.settrace(None)
        self.reset()
        self.failure = error.__traceback__
        try:
            self.interaction(None, self.failure)
        finally:
            self.failure = None

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
