"""``interact`` at the prompt of a stopped task, within its session.

Python's own ``code.interact`` reads and shows through the process's standard streams.
"""

from __future__ import annotations

import ast
import codeop
import traceback
from typing import Any

from ..common.aborting import Aborted
from ..common.parsing import parsed
from .live_box import Box
from .live_prompt import GoOn, Interrupted

FILE = "<console>"


class _Left(BaseException):
    """``exit()`` was typed."""


class _Leave:
    """``exit`` and ``quit``."""

    def __repr__(self) -> str:
        return "exit() or Ctrl-D ends this"

    def __call__(self, code: Any = None) -> None:
        raise _Left


class Console:
    """An interpreter in a namespace."""

    def __init__(self, space: dict[str, Any], box: Box) -> None:
        leave = _Leave()
        self.space = {"exit": leave, "quit": leave, **space}
        self.box = box

    def interact(self) -> None:
        """Read and run until the input ends."""
        self.box.write("*interactive: exit() or Ctrl-D ends it*\n")
        source = ""
        while True:
            try:
                line = self.box.line("... " if source else ">>> ")
                source = self._run(f"{source}\n{line}" if source else line)
            except (EOFError, _Left):
                break
            except Interrupted:
                source = ""
                self.box.write("KeyboardInterrupt\n")
        self.box.write("*end of interactive*\n")

    def _run(self, source: str) -> str:
        """Run a statement; returns what is still incomplete."""
        try:
            if codeop.compile_command(source, FILE, "single") is None:
                return source
            for statement in parsed(source).body:
                self._run_one(statement)
        except (GoOn, Aborted, Interrupted, _Left):
            raise
        except BaseException as error:  # whatever was typed
            frames = error.__traceback__
            while frames and frames.tb_frame.f_code.co_filename != FILE:
                frames = frames.tb_next
            text = "".join(traceback.format_exception(type(error), error, frames))
            self.box.write(text)
        return ""

    def _run_one(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Expr):
            expression = compile(ast.Expression(statement.value), FILE, "eval")
            value = eval(expression, self.space)
            if value is not None:
                self.box.write(f"{value!r}\n")
                self.space["_"] = value
        else:
            exec(compile(ast.Module([statement], []), FILE, "exec"), self.space)


def described(error: BaseException) -> str:
    """An exception in one line."""
    return traceback.format_exception_only(type(error), error)[-1].strip()
