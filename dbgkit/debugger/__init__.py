"""The only room that touches pdb and IPython's debuggers."""

from dbgkit.debugger.choose import can_prompt
from dbgkit.debugger.dressing import discard, dress
from dbgkit.debugger.entering import enter, remember
from dbgkit.debugger.recorded import as_exception

__all__ = ["as_exception", "can_prompt", "discard", "dress", "enter", "remember"]
