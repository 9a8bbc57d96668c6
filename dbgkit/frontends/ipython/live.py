"""The magics of live sessions: ``%dbg_live`` and ``%dbg_attach``."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class

from dbgkit.frontends.ipython.base import Line, magic, show
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.verbs import function_of, spelled
from dbgkit.remote.common.texts import in_line


@magics_class
class LiveMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_live`` and ``%dbg_attach``."""

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
        given = [name for name in asked.options if name not in ("client", "timeout")]
        if given:
            flags = " and ".join(spelled(name, None, str) for name in given)
            raise UsageError(f"%dbg_live: {flags}: settings apply to `on` only")
        if word == "":
            return show(asked, function_of("attach"))
        from dbgkit.api.live import live_off

        print(in_line(str(show(asked, live_off))))
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
