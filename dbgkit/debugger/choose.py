"""Which debugger to open, and whether anybody can type into it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any, Literal

from dbgkit.model.display import is_terminal, running_shell

Kind = Literal["ipython", "pdb", "module", "none"]

# Modules whose prompt is IPython's: `ipdb` is a way to open just that.
_IPYTHONS = ("ipdb", "IPython")


@dataclass(frozen=True)
class Choice:
    """The debugger to open: ``"none"``, or of ``"module"`` the one that it names."""

    kind: Kind
    module: str = ""


def choose() -> Choice:
    """Which debugger to open here.

    ``PYTHONBREAKPOINT`` decides, in the form that Python itself reads: ``0`` for
    none, else a callable such as ``ipdb.set_trace``, of which only the module
    counts. Where it is unset, it is IPython's in IPython and Jupyter, and
    elsewhere pdb (or what has taken its name, as pdb++ does).
    """
    wanted = "" if sys.flags.ignore_environment else os.environ.get("PYTHONBREAKPOINT")
    if not wanted:
        return usual()
    if wanted == "0":
        return Choice("none")
    module = wanted.rpartition(".")[0]
    if module.partition(".")[0] in _IPYTHONS:
        return Choice("ipython", module)
    # A bare name is a builtin: `breakpoint` itself, so what it does by default.
    return Choice("module", module) if module not in ("", "pdb") else Choice("pdb")


def usual() -> Choice:
    """The debugger to open if none was chosen."""
    return Choice("ipython" if running_shell() is not None else "pdb")


def cell_running() -> int | None:
    """The number of the cell that runs in IPython or Jupyter; None elsewhere."""
    shell = running_shell()
    return None if shell is None else int(shell.execution_count)


def can_prompt() -> bool:
    """Whether a debugger could read commands from somebody; never raises.

    True in a Jupyter kernel whose front end takes input, and elsewhere where
    stdin and stdout are a terminal that this process is in the foreground of.
    """
    if choose().kind == "none":
        return False
    kernel = getattr(running_shell(), "kernel", None)
    if kernel is not None:
        return _kernel_takes_input(kernel)
    return is_terminal(sys.stdin) and is_terminal(sys.stdout) and _in_foreground()


def _kernel_takes_input(kernel: Any) -> bool:
    """Whether the request that runs now came from a front end that takes input."""
    # Private: ipykernel/kernelbase.py sets it for each execute request.
    return bool(getattr(kernel, "_allow_stdin", False))


def _in_foreground() -> bool:
    """Whether reading from the terminal would not stop this process (``cmd &``)."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, ValueError, OSError):
        return True  # no job control here: Windows, or a stream with no descriptor
