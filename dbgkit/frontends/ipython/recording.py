"""The magics of the recorder: ``%dbg_record``, ``_recordings`` and ``_deaths``."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class

from dbgkit.frontends.ipython.base import Line, magic, show
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.verbs import function_of, spelled
from dbgkit.remote.common.texts import in_line


@magics_class
class RecordMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_record``, ``%dbg_recordings`` and ``%dbg_deaths``."""

    def __init__(self, shell: Any, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @magic
    def dbg_record(self, asked: Line) -> Any:
        """Turn the recorder on or off, or show what it holds.

        %dbg_record on [options]
            Tasks that fail from now on are recorded on their workers, with locals.
        %dbg_record off
            Turn it off; its newest recordings are kept in this session.
        %dbg_record
            Show what it holds.
        """
        word = asked.typed
        if word not in ("", "on", "off"):
            raise UsageError(f"%dbg_record: on, off, or nothing; not {word!r}")
        if word == "on":
            try:
                recorder = show(asked, function_of("record"))
            except ValueError as error:
                raise UsageError(in_line(f"%dbg_record: {error}")) from None
            print("The recorder is on. %dbg_record shows what it holds.")
            if asked.options.get("keep_frames"):
                print("%dbg_attach lists failures that are held, and enters them.")
            if recorder.page:
                print(in_line(f"{recorder.page} shows what fails and what blocks."))
            return None
        given = [name for name in asked.options if name not in ("client", "timeout")]
        if given:
            flags = " and ".join(spelled(name, None, str) for name in given)
            raise UsageError(f"%dbg_record: {flags}: settings apply to `on` only")
        if word == "":
            return show(asked, function_of("recordings"))
        from dbgkit.api.record import record_off

        off = show(asked, record_off)
        if off.others:
            print(in_line(str(off)))
            return None
        kept = show(asked, function_of("recordings"))
        more = " %dbg_record shows what was kept of it." if len(kept) else ""
        print(f"The recorder is off.{more}")
        return None

    @magic
    def dbg_recordings(self, asked: Line) -> Any:
        """What the recorder holds, the newest first.

        %dbg_recordings [options] [target]
            The target is a future's or a collection's variable, a key, or nothing:
            all recordings.
        """
        return show(asked, function_of("recordings"), asked.target)

    @magic
    def dbg_deaths(self, asked: Line) -> Any:
        """Why workers died, and what they were running.

        %dbg_deaths [options]
        """
        return show(asked, function_of("deaths"))
