"""One place where tasks are to stop: whether a task, or some code, is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from itertools import count
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from ..common.codes import file_of_frame, fingerprint, is_dynamic, spans
from ..common.frames import is_own

if TYPE_CHECKING:
    from ..common.wire_live import Arming, AtForm, CodeForm

START, ERROR, LINE = "start", "error", "line"
_UNREADABLE = "cannot be read by Python " + sys.version.partition(" ")[0]


class At:
    """One use of ``break_at``, on one worker."""

    def __init__(self, token: str, arming: Arming) -> None:
        self.token = token
        self.arming = arming
        self.form: AtForm = arming["at"]
        self.when = self.form["when"]
        self.line = self.form["line"]
        self.keys = frozenset(self.form["keys"])
        self.prefix = self.form["prefix"]
        self.file = _normal(self.form["file"])
        self.codes = self.form["codes"]
        self.log = self.form["log"]
        self.expression = _compiled(self.log)
        self._condition = _compiled(self.form["condition"])
        self._has_condition = bool(self.form["condition"])
        self._arrivals = count(1)
        self.reports = count(1)  # of values of ``log``

    @property
    def is_choosy(self) -> bool:
        """Whether it looks at a task's values, or counts, before it stops one."""
        return bool(self.log) or self._has_condition or self.form["hits"] > 1

    @property
    def is_by_task(self) -> bool:
        """Whether it goes by keys, rather than by code."""
        return bool(self.keys or self.prefix)

    def is_of(self, key: Any, prefix: str) -> bool:
        """Whether a task may stop there, as far as its key says."""
        return not self.is_by_task or prefix == self.prefix or key in self.keys

    def holds(self, frame: FrameType) -> tuple[bool, str]:
        """Whether a task that is there is to stop now; counts its hits.

        And what its condition raised: one that fails stops it, as better than to miss
        it, and that is said there.
        """
        raised = ""
        if self._has_condition and self._condition is None:
            raised = f"its condition {_UNREADABLE}"
        elif self._condition is not None:
            try:
                if not _value(self._condition, frame):
                    return False, ""
            except Exception as error:  # the user's own code
                raised = f"its condition raised {type(error).__name__}"
        return next(self._arrivals) >= self.form["hits"], raised

    def value_in(self, frame: FrameType, tell: Callable[[Any], str]) -> str:
        """What ``log`` comes to in a frame, as a text; else what it raised."""
        try:
            if self.expression is None:
                return _UNREADABLE
            return tell(_value(self.expression, frame))
        except Exception as error:  # the user's own code
            return f"raised {type(error).__name__}"

    # -- by code ---------------------------------------------------------------

    def is_in(self, code: CodeType, frame: FrameType) -> bool:
        """Whether it is in some code, which a frame is about to run."""
        if self.when == LINE and not spans(code, self.line):
            return False
        if self.codes:
            return self.is_function(code, frame.f_globals)
        return self.is_file(frame) if self.file else is_own(code.co_filename)

    def is_function(self, code: CodeType, spaces: dict[str, Any]) -> bool:
        """Whether some code is a wanted function's, or one of its inner functions."""
        named = [each for each in self.codes if each["name"] == code.co_name]
        return any(_is_code(each, code, spaces) for each in named)

    def is_file(self, frame: FrameType) -> bool:
        """Whether code is of the wanted file, by the name that it has over here."""
        names = {frame.f_code.co_filename, file_of_frame(frame)}
        return any(is_path_of(self.file, name) for name in names)

    def passes(self, frames: Iterable[tuple[FrameType, int]]) -> bool:
        """Whether an exception went through it, by its traceback's frames."""
        if self.is_by_task:
            return True
        return any(
            self.is_function(frame.f_code, frame.f_globals)
            if self.codes
            else line == self.line and self.is_file(frame)
            for frame, line in frames
        )


def is_path_of(given: str, known: str) -> bool:
    """Whether a path is that of a file, as its end says: its root may be another one.

    >>> is_path_of("jobs/load.py", "/home/me/jobs/load.py")
    True
    >>> is_path_of("load.py", "/home/me/overload.py")
    False
    """
    known = _normal(known)
    return known == given or known.endswith(f"/{given.lstrip('/')}")


def _normal(path: str) -> str:
    path = os.path.normpath(path).replace("\\", "/") if path else ""
    return path.removeprefix("./")


def _is_code(form: CodeForm, code: CodeType, spaces: dict[str, Any]) -> bool:
    if code.co_firstlineno == form["first"] and fingerprint(code) == form["mark"]:
        return True
    # Another version of Python, or of the module, than the client has.
    module = form["module"]
    if module != spaces.get("__name__") or module == "__main__":
        return False
    if is_dynamic(code.co_filename):
        return False
    path: str = getattr(code, "co_qualname", form["path"])  # Python 3.11
    return path == form["path"]


def _value(expression: CodeType, frame: FrameType) -> Any:
    """The value of an expression, whose inner functions see all names too."""
    has_inner = any(isinstance(each, CodeType) for each in expression.co_consts)
    if not has_inner:
        return eval(expression, frame.f_globals, frame.f_locals)
    return eval(expression, {**frame.f_globals, **frame.f_locals})


def _compiled(text: str) -> CodeType | None:
    """The code of an expression; None where this Python cannot read it."""
    try:
        return compile(text, "<dbgkit break_at>", "eval") if text else None
    except (SyntaxError, ValueError):
        return None
