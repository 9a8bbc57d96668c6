"""The magics of live sessions: ``%dbg_live``, ``%dbg_break_at`` and ``%dbg_attach``."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class

from dbgkit.frontends.ipython.base import Line, magic, show
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.verbs import function_of, spelled
from dbgkit.remote.common.texts import in_line

_OF_ALL = ("client", "timeout")  # options of looking and of turning off


@magics_class
class LiveMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_live``, ``%dbg_break_at`` and ``%dbg_attach``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @magic
    def dbg_live(self, asked: Line) -> Any:
        """Have breakpoint() stop in tasks, or show what waits.

        %dbg_live on [options]
            Tasks that come to a breakpoint() stop there; %dbg_attach enters them.
        %dbg_live off
            What waits goes on, and no more tasks stop.
        %dbg_live
            Show what waits.
        """
        word = asked.typed
        if word not in ("", "on", "off"):
            raise UsageError(f"%dbg_live: on, off, or nothing; not {word!r}")
        if word == "on":
            show(asked, function_of("live"))
            print("breakpoint() stops in tasks. %dbg_attach enters them.")
            return None
        given = [name for name in asked.options if name not in _OF_ALL]
        if given:
            flags = " and ".join(spelled(name, None, str) for name in given)
            raise UsageError(f"%dbg_live: {flags}: settings apply to `on` only")
        if word == "":
            return show(asked, function_of("attach"))
        from dbgkit.api.live import live_off

        print(in_line(str(show(asked, live_off))))
        return None

    @magic
    def dbg_break_at(self, asked: Line) -> Any:
        """Have tasks that are yet to run stop at a place, without editing their code.

        %dbg_break_at [options] PLACE
            A function, by its name; a key; the prefix of some; or a line, file.py:12.
            They stop at its start, or with --when error where they raise, or with
            --when 12 at that line of a function's file.
        %dbg_break_at off
            Take off what was armed so: what waits for that goes on.
        %dbg_break_at
            Show what waits, and what is armed.
        """
        if asked.typed in ("", "off"):
            given = [name for name in asked.options if name not in _OF_ALL]
            if given:
                flags = " and ".join(spelled(name, None, str) for name in given)
                raise UsageError(f"%dbg_break_at: {flags}: they need a place")
        if asked.typed == "":
            return show(asked, function_of("attach"))
        if asked.typed == "off":
            from dbgkit.api.live import live_off

            print(in_line(str(show(asked, live_off, places=True))))
            return None
        try:
            armed = show(asked, function_of("break_at"), asked.target)
        except ValueError as error:
            raise UsageError(in_line(f"%dbg_break_at: {error}")) from None
        print("Armed. %dbg_attach enters what stops; %dbg_break_at off takes it off.")
        if note := getattr(armed, "note", ""):
            print(f"Note: {note}.")
        return None

    @magic
    def dbg_attach(self, asked: Line) -> Any:
        """Enter a task that waits at a breakpoint(), or show what waits.

        %dbg_attach [options] [target]
            The target is a future's variable, a key, a number in the list of what
            waits, or nothing: the list. q leaves, and the task waits on; c has it go
            on; abort fails it.
        """
        attach = function_of("attach")
        if asked.target is None:
            return show(asked, attach)
        target = asked.target
        if asked.typed.isascii() and asked.typed.isdecimal():
            from dbgkit.api.attach import attach_numbered

            show(asked, attach_numbered, int(asked.typed))
        else:
            show(asked, attach, target)
        return None
