"""The magics of the recorder: ``%dbg_record``, ``_recordings`` and ``_deaths``."""

from __future__ import annotations

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from dbgkit.api.deaths import deaths
from dbgkit.api.record import record, record_off
from dbgkit.api.recordings import recordings
from dbgkit.frontends.ipython.arguments import RECORD, RECORDINGS, VIEW
from dbgkit.frontends.ipython.base import Line, call, read_line
from dbgkit.model import Deaths, Recordings
from dbgkit.remote.common.texts import in_line

RECORD_OPTIONS = {
    "dbg_record": RECORD,
    "dbg_recordings": RECORDINGS,
    "dbg_deaths": VIEW,
}


@magics_class
class RecordMagics(Magics):  # type: ignore[misc, unused-ignore]
    """``%dbg_record``, ``%dbg_recordings`` and ``%dbg_deaths``."""

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_record(self, line: str) -> Recordings | None:
        """Turn the recorder on or off, or show what it holds.

        %dbg_record on [options]
            What fails from now on is recorded on its worker, with its locals.
        %dbg_record off
            Off again; the newest of what it holds is kept in this session.
        %dbg_record
            What it holds.

        --hold 64MB              most bytes to hold; the oldest go first
        --keep-inputs 1GB        most bytes of inputs of failed tasks to keep
        --client NAME            a client's variable, or a scheduler's address
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_record")
        word = asked.typed.strip()
        if word not in ("", "on", "off"):
            raise UsageError(f"%dbg_record: on, off, or nothing; not {asked.typed!r}")
        if word == "on":
            call(record, instead="", **asked.options)
            print("The recorder is on. %dbg_record shows what it holds.")
            return None
        reach = {k: v for k, v in asked.options.items() if k in ("client", "timeout")}
        if len(reach) < len(asked.options):
            raise UsageError("%dbg_record: --hold and --keep-inputs go with on")
        if word == "off":
            off = call(record_off, instead="", **reach)
            if off.others:
                print(in_line(str(off)))
                return None
            kept = call(recordings, instead="", **reach)
            told = " %dbg_record shows what was kept of it." if len(kept) else ""
            print(f"The recorder is off.{told}")
            return None
        found: Recordings = call(recordings, instead="", **reach)
        return None if asked.silent else found

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_recordings(self, line: str) -> Recordings | None:
        """What the recorder holds, the newest first.

        %dbg_recordings [options] [target]
            The target is a future's or a collection's variable, a key, or nothing:
            all that is held.

        --limit N                most recordings; 50 if not given
        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --source PATH            a file or folder to look for code in; may be repeated
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_recordings")
        found: Recordings = call(
            recordings, asked.target, instead=asked.typed, **asked.options
        )
        return None if asked.silent else found

    @no_var_expand  # type: ignore[untyped-decorator, misc, unused-ignore]
    @line_magic  # type: ignore[untyped-decorator, misc, unused-ignore]
    def dbg_deaths(self, line: str) -> Deaths | None:
        """Why workers went away, and what they ran then.

        %dbg_deaths [options]

        --client NAME            a client's variable, or a scheduler's address
        --dump FILE              look at a cluster dump, not at a cluster
        --timeout 30s            limit of each wait on the cluster
        """
        asked = self._read(line, "dbg_deaths")
        if asked.target is not None:
            raise UsageError(f"%dbg_deaths takes options only, not {asked.typed!r}")
        found: Deaths = call(deaths, instead="", **asked.options)
        return None if asked.silent else found

    def _read(self, line: str, name: str) -> Line:
        return read_line(name, line, RECORD_OPTIONS[name], self.shell.user_ns)
