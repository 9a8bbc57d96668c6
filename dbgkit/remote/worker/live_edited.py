"""The prompt of a stopped task hands over to an editor, and takes back."""

from __future__ import annotations

import sys
from types import FrameType, TracebackType
from typing import Any

from .live_dap import Editor, HandedOver
from .live_entering import Entering
from .live_source import Sources
from .live_stop import Stop


class Edited(Entering):
    """Mixin for pdb: an editor debugs the task in its place."""

    stop: Stop
    sources: Sources
    at: tuple[FrameType | None, Any] = (None, None)  # what the prompt is open at
    _editor: Editor | None = None

    @property
    def is_edited(self) -> bool:
        """Whether the task stops in an editor, and not at the prompt."""
        return self._editor is not None and self._editor.is_on

    def enter_at(self, frame: FrameType) -> None:
        if not self.halted(frame):
            super().enter_at(frame)

    def enter_failed(
        self, error: BaseException, failure: TracebackType | None = None
    ) -> None:
        if not self.is_edited:  # an editor has breakpoints for exceptions of its own
            super().enter_failed(error, failure)

    def halted(self, frame: FrameType) -> bool:
        """Stop in the editor, at a frame that calls for it; false if there is none."""
        editor = self._editor
        if editor is None or not editor.is_on:
            return False
        editor.halt(frame)
        return True

    def end_editor(self) -> None:
        """Have an editor leave for good."""
        if self._editor is not None:
            self._editor.end()
            self._editor = self.stop.guest = None

    def edit(self, system: str) -> None:
        """Have an editor debug the task, from here, until it leaves."""
        frame, failure = self.at
        if failure is not None:
            why, hint = "it has failed, and debugpy has nothing to run", "pdb is there"
            self.stop.say({"op": "unable", "why": why, "hint": hint})
            return
        assert frame is not None
        editor = Editor(self.stop, self.sources, self, system)
        why, hint = editor.claim()
        if why:
            self.stop.say({"op": "unable", "why": why, "hint": hint})
            return
        self._editor = self.stop.guest = editor
        goes_on = False
        try:
            self.stop.say({"op": "ready"})
            if not self._is_connected():
                return
            self._let_trace(frame)
            goes_on = editor.start(frame, "line", None)
        except Exception as error:  # of debugpy's own: the prompt stays
            why = f"{type(error).__name__}: {error!s:.300}"
            editor.problem = f"debugpy has failed: {why}"
        finally:
            if not goes_on:
                editor.close()
                self._editor = self.stop.guest = None
        if goes_on:
            raise HandedOver
        self._trace_again(frame)
        if not self.stop.how:
            editor.say_left()

    def _is_connected(self) -> bool:
        """Wait until an editor has connected; false if the client leaves before."""
        while True:
            op = self.stop.read()["op"]
            if op in ("connected", "left"):
                return bool(op == "connected")

    def _let_trace(self, frame: FrameType | None) -> None:
        """Leave the thread to another debugger."""
        sys.settrace(None)
        # What bdb of Python 3.13 has changed of frames.
        changed: dict[Any, Any] = getattr(self, "frame_trace_lines_opcodes", {})
        for each, (lines, opcodes) in changed.items():
            each.f_trace_lines, each.f_trace_opcodes = lines, opcodes
        changed.clear()
        while frame is not None:
            frame.f_trace = None
            frame = frame.f_back

    def _trace_again(self, frame: FrameType | None) -> None:
        """Stop at the next line again, as before."""
        while frame is not None:
            frame.f_trace = self.trace_dispatch
            frame.f_trace_lines = True
            frame = frame.f_back
        self.set_step()
        sys.settrace(self.trace_dispatch)

    def is_the_tasks(self, frame: FrameType | None) -> bool:
        raise NotImplementedError

    def gone_on(self) -> None:
        raise NotImplementedError
