"""The only package that touches pdb and IPython's debuggers."""

from dbgkit.debugger.choose import can_prompt, cell_running
from dbgkit.debugger.editor import WINDOW, Relay, Unable
from dbgkit.debugger.entering import enter, remember
from dbgkit.debugger.live import converse, last_words
from dbgkit.debugger.others import adopt, discard
from dbgkit.debugger.recording import as_exception
from dbgkit.debugger.stack import lead_to

__all__ = [
    "WINDOW",
    "Relay",
    "Unable",
    "adopt",
    "as_exception",
    "can_prompt",
    "cell_running",
    "converse",
    "discard",
    "enter",
    "last_words",
    "lead_to",
    "remember",
]
