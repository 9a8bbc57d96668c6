"""The only room that touches pdb and IPython's debuggers."""

from dbgkit.debugger.choose import can_prompt
from dbgkit.debugger.entering import enter

__all__ = ["can_prompt", "enter"]
