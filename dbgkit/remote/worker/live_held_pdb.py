"""The debugger of a failure that is held: its frames are there, and nothing runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distributed.worker import _worker_cvar, thread_state

from .live_held import HeldStop
from .live_pdb import LivePdb

_FAILED = "the task has failed, and nothing of it runs any more"
THREAD = "dbgkit-held"


class HeldPdb(LivePdb):
    """pdb on the frames of a failure, until its session ends."""

    stop: HeldStop

    def __init__(self, stop: HeldStop) -> None:
        super().__init__(stop)
        self.dropped = False
        self._shown = False

    def print_stack_entry(self, *entry: Any) -> None:
        """Not before the session is there: then it is shown anyway."""
        if self._shown:
            super().print_stack_entry(*entry)

    def _show_place(self) -> None:
        self._shown = True
        super()._show_place()

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


def open_prompt(
    worker: Any,
    held: HeldStop,
    debuggers: dict[int, LivePdb],
    ended: Callable[[HeldStop, bool], None],
) -> None:
    """Have a thread of its own read what a session says, until that has ended.

    ``debuggers`` has that thread's while it is there; ``ended`` is called in the loop,
    with whether the failure is to be let go.
    """

    def converse() -> None:
        debugger = None
        held.thread = me = threading.get_ident()
        # What `get_worker` and `breakpoint` go by; both end with this thread.
        _worker_cvar.set(worker)
        thread_state.execution_state = {"worker": worker}
        thread_state.key = held.key
        try:
            debugger = debuggers[me] = HeldPdb(held)
            error = held.exception
            if error is not None:
                debugger.enter_failed(error, held.traceback)
        finally:
            debuggers.pop(me, None)
            dropped = debugger is not None and debugger.dropped
            if debugger is not None:
                debugger.let_go()
            worker.loop.add_callback(ended, held, dropped)

    held.reopen()
    threading.Thread(target=converse, name=THREAD, daemon=True).start()
