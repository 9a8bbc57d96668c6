"""The debugger of a stopped task: pdb, which reads and writes messages."""

from __future__ import annotations

import pdb
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any

from distributed.worker import thread_state

from ..common.aborting import Aborted
from ..common.frames import is_machinery, is_own
from .live_box import Box
from .live_dap import HandedOver
from .live_edited import Edited
from .live_listing import Listing
from .live_prompt import GoOn, Interrupted
from .live_source import Sources, place_of
from .live_stop import RUNNING, WAITING, Stop
from .live_values import Values

PROMPT = "(Pdb) "
_PDBS_OWN = "_pdbcmd"  # commands that pdb of Python 3.13 has itself run
MOST_COMPLETIONS = 200
_REFUSED = "it would run another program, and this is a task: not at this prompt"


class LivePdb(Edited, Values, Listing, pdb.Pdb):
    """pdb for one stop; all of it runs in the stopped thread."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.box = Box(stop, self._between)
        self.sources = Sources(stop)
        self.skip_hidden = True
        self.conveniences = {}
        self._codes: set[CodeType] = set()  # of what had been called as it stopped
        with _kept_delimiters():
            options = {"backend": "settrace"} if sys.version_info >= (3, 14) else {}
            super().__init__(
                stdin=self.box,  # type: ignore[arg-type]
                stdout=self.box,  # type: ignore[arg-type]
                nosigint=True,
                readrc=False,
                **options,
            )
        self.use_rawinput = False
        self.prompt = PROMPT
        stop.halt = self._halt

    @property
    def prompt(self) -> str:
        """The prompt, which is told with the question for a command."""
        return self.box.prompt

    @prompt.setter
    def prompt(self, text: str) -> None:
        self.box.prompt = text

    # -- where it stops ------------------------------------------------------

    def trace_dispatch(self, frame: FrameType, event: str, arg: Any) -> Any:
        """As bdb's, for as long as this thread runs this task."""
        if self.stop.over or getattr(thread_state, "key", _NONE) != self.stop.key:
            sys.settrace(None)
            return None
        if self.stop.how and event in ("call", "line"):
            self._go_on()
            self._end()
            return None
        try:
            found = super().trace_dispatch(frame, event, arg)
        except Aborted as aborted:
            # It leads to the task's own line, not on into pdb.
            raise aborted.with_traceback(None) from None
        return frame.f_trace if self.is_edited else found

    def set_trace(self, frame: Any = None, *others: Any, **options: Any) -> None:
        if frame is not None and self.halted(frame):
            return
        above = frame
        while above is not None:
            self._codes.add(above.f_code)
            above = above.f_back
        try:
            super().set_trace(frame, *others, **options)
        except Aborted as aborted:
            raise aborted.with_traceback(None) from None

    def stop_here(self, frame: FrameType) -> bool:
        """Not in Dask's own code, nor in ours, nor in what these call."""
        return bool(super().stop_here(frame)) and self.is_the_tasks(frame)

    def is_the_tasks(self, frame: FrameType | None) -> bool:
        """Whether a frame is the task's, and not of what runs it."""
        while frame is not None:
            file = frame.f_code.co_filename
            if is_machinery(file):
                return False
            if is_own(file) or frame.f_code in self._codes:
                return True
            frame = frame.f_back
        return False

    def get_stack(
        self, f: FrameType | None, t: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        """The stack without what is above the task, and without machinery."""
        entries, index = super().get_stack(f, t)
        if not self.skip_hidden or not entries:
            return entries, index
        here = entries[index][0]
        shown = [
            each
            for each in entries
            if each[0] is here or not is_machinery(each[0].f_code.co_filename)
        ]
        at = [frame for frame, _ in shown].index(here)
        return shown, at

    def interaction(self, frame: FrameType | None, tb_or_exc: Any) -> None:
        """Wait at a prompt until the task is to go on."""
        stop, handed_over = self.stop, False
        stop.pause.begin()
        self.at = frame, tb_or_exc
        try:
            if frame is not None:
                stop.moved(WAITING, place_of(frame))
            super().interaction(frame, tb_or_exc)
        except HandedOver:
            handed_over = True
        except GoOn:
            self._go_on()
        except Aborted:
            stop.how = "aborted"
            raise
        finally:
            self.curframe = None
            self.at = None, None
            stop.settle()
            self.box.flush()
            if not handed_over:
                self._leave_prompt()
            stop.pause.end()

    def bp_commands(self, frame: FrameType) -> bool:
        """Have the commands of a breakpoint run at the prompt, as if they were typed.

        pdb runs them, and its prompt, outside of `interaction`.
        """
        number = getattr(self, "currentbp", 0)
        self.currentbp = 0
        self.cmdqueue = [*self.commands.get(number, ())] if number else []
        return True

    def _leave_prompt(self) -> None:
        stop = self.stop
        if stop.how or self.failure is not None or sys.gettrace() is None:
            stop.how = stop.how or "continued"
            self._end()
        else:
            stop.moved(RUNNING, stop.place)

    def _end(self) -> None:
        self.clear_all_breaks()
        self.stop.over = True
        self.stop.on_change(self.stop, "over")

    def gone_on(self) -> None:
        """The task goes on for good, by an editor that has left."""
        self.stop.how = self.stop.how or "continued"
        self._end()

    def let_go(self) -> None:
        """Refer to nothing of the task any more: it is over."""
        self.end_editor()
        self.clear_all_breaks()
        self.stop.halt = _nothing
        self.box.between = _nothing
        self._codes.clear()
        self.conveniences.clear()
        self.sources.forget()
        held = ("botframe", "stopframe", "returnframe", "enterframe", "curframe")
        vars(self).update(dict.fromkeys(held), stack=[], curframe_locals={})

    def _go_on(self) -> None:
        self.clear_all_breaks()
        self.set_continue()

    def _halt(self) -> None:
        """Stop at the next line: called from the event loop while the task runs."""
        self.set_step()

    def _cmdloop(self) -> None:
        """As pdb's, which awaits a KeyboardInterrupt."""
        while True:
            try:
                self.cmdloop()
                return
            except Interrupted:
                pass
            try:
                self.stop.settle()
                self.message("--KeyboardInterrupt--")
            except Interrupted:  # once more, before it had settled
                continue

    def onecmd(self, line: str) -> bool:
        if line.startswith(_PDBS_OWN):
            return bool(super().onecmd(line))
        try:
            self.stop.execute()
            return bool(super().onecmd(line))
        except Interrupted:
            self.message("--KeyboardInterrupt--")
            return False
        finally:
            self.stop.settle()

    def precmd(self, line: str) -> str:
        if line.strip() and not line.startswith(_PDBS_OWN):
            self.stop.counted()
        return super().precmd(line)

    # -- what a session asks in between --------------------------------------

    def _between(self, message: dict[str, Any]) -> None:
        op = message["op"]
        if op == "entered":
            self.box.answered = 0
            self._show_place()
        elif op == "debugpy":
            self.edit(message["system"])
        elif op == "complete":
            found: list[str] = []
            try:
                self.stop.execute()
                found = self._completions(message)
            except Interrupted:
                pass
            finally:
                self.stop.settle()
            answer = {"op": "completions", "number": message["number"]}
            self.stop.say({**answer, "found": found[:MOST_COMPLETIONS]})

    def _show_place(self) -> None:
        stop = self.stop
        stop.say({"op": "here", "stop": stop.form(), "header": stop.header})
        if self.curframe is None:
            return
        try:
            self.sources.find(frame for frame, _ in self.stack)
            self.print_stack_entry(self.stack[self.curindex])
        except Exception as error:  # a __repr__ of the user's own
            self.error(f"{type(error).__name__}: {error!s:.200}")

    def _completions(self, message: dict[str, Any]) -> list[str]:
        """What ``cmd.Cmd.complete`` would offer, without a terminal."""
        text, line = str(message["text"]), str(message["line"])
        begin, end = int(message["begin"]), int(message["end"])
        command = self.parseline(line)[0] if begin > 0 else ""
        complete: Any = self.completenames if begin <= 0 else None
        complete = complete or getattr(self, f"complete_{command}", None)
        try:
            found = complete(text, line, begin, end) if complete else []
            found = found or self._complete_expression(text, line, begin, end)
            return [str(each) for each in found]
        except Exception:  # completion runs the user's own code
            return []

    # -- commands of our own, and others than pdb's --------------------------

    def do_quit(self, arg: str) -> None:
        """q(uit) | exit | detach

        Leave the prompt. The task still waits, until its limit of idleness.
        """
        self.box.flush()
        self.stop.say({"op": "ended", "how": "detached", "until": self.stop.until})

    do_q = do_exit = do_detach = do_EOF = do_quit

    def do_abort(self, arg: str) -> None:
        """abort [reason]

        Have the task fail here, by an exception of dbgkit's.
        """
        visitor = self.stop.visitor
        who = visitor.who if visitor else "somebody"
        reason = f": {arg.strip()}" if arg.strip() else ""
        raise Aborted(f"aborted by {who} at its breakpoint{reason}")

    def do_run(self, arg: str) -> None:
        """run | restart: not at this prompt."""
        self.error(_REFUSED)

    do_restart = do_debug = do_run

    def do_skip_hidden(self, arg: str) -> None:
        """skip_hidden [true | false]

        Whether where, up and down leave out the frames of Dask and dbgkit.
        """
        if given := arg.strip().lower():
            self.skip_hidden = given not in ("false", "no")
            frame = self.curframe
            self.stack, self.curindex = self.get_stack(frame, None)
        self.message(f"skip_hidden = {self.skip_hidden}")


class HeldPdb(LivePdb):
    """pdb on the frames of a failure, until its session ends."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self.dropped = False
        self._shown = False

    def print_stack_entry(self, *entry: Any) -> None:
        """As pdb's; as the prompt opens, with all that is shown to who enters."""
        if self._shown:
            super().print_stack_entry(*entry)
        else:
            self._shown = True
            self._show_place()

    def _leave_prompt(self) -> None:
        """It stays as it is: there is nothing to go on."""

    def _own_functions(self) -> dict[str, Any]:
        return {**super()._own_functions(), "__exception__": self.raised}

    def do_quit(self, arg: str) -> None:
        """q(uit) | c(ont(inue)) | exit | detach

        Leave the prompt. The failure is still held, until its time is over.
        """
        super().do_quit(arg)

    do_q = do_exit = do_detach = do_EOF = do_quit
    do_c = do_cont = do_continue = do_quit

    def do_drop(self, arg: str) -> bool:
        """drop

        Hold the failure no longer: its memory is free at once.
        """
        self.dropped = True
        return True

    def do_step(self, arg: str, temporary: Any = None) -> None:
        """step, next, return, until, jump, break: not here, as nothing runs."""
        self.error(_FAILED)

    do_s = do_n = do_next = do_r = do_return = do_unt = do_until = do_step
    do_j = do_jump = do_b = do_break = do_tbreak = do_step
    do_commands = do_ignore = do_condition = do_enable = do_disable = do_step
    do_abort = do_step


_FAILED = "the task has failed, and nothing of it runs any more"
_NONE = object()


def _nothing(*_: Any) -> None:
    """In place of what a debugger that is over did."""


@contextmanager
def _kept_delimiters() -> Iterator[None]:
    """Keep how the process completes at its own prompt: pdb sets readline's way."""
    readline = sys.modules.get("readline")
    before = readline and readline.get_completer_delims()
    try:
        yield
    finally:
        if readline and before is not None:
            readline.set_completer_delims(before)
