"""The only room that touches pdb and IPython's debuggers."""

from dbgkit.debugger.choose import can_prompt
from dbgkit.debugger.dressing import discard, dress
from dbgkit.debugger.entering import enter, remember

__all__ = ["can_prompt", "discard", "dress", "enter", "remember"]
