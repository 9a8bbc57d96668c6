"""The only room that touches pdb and IPython's debuggers."""

from dbgkit.debugger.choose import can_prompt, cell_running
from dbgkit.debugger.dressing import discard, dress
from dbgkit.debugger.entering import enter, remember
from dbgkit.debugger.recorded import as_exception
from dbgkit.debugger.stack import lead_to

__all__ = [
    "as_exception",
    "can_prompt",
    "cell_running",
    "discard",
    "dress",
    "enter",
    "lead_to",
    "remember",
]
