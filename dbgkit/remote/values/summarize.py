"""Values and frames in a bounded text, whatever they are.

Stands by itself (with its siblings), so that it can be sent to a worker as source.
numpy, pandas and pyarrow are used where they are loaded, and never imported.
"""

from __future__ import annotations

import linecache
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..common.codes import file_of_frame, fingerprint
from ..common.exceptions import args_of, group_class, members_of
from ..common.frames import (
    Place,
    is_machinery,
    is_own,
    own_index,
    package_of,
    walk,
)
from ..common.objects import class_attribute, instance_dict, is_a, type_name
from ..secrets.redact import hides_value, numbered_lines, redact_cut, redact_text
from ..secrets.values import HIDDEN
from .arrays import describe_numpy, is_numbers
from .builtins import Walker
from .labelled import describe_sparse, describe_torch, describe_xarray
from .tables import describe_arrow, describe_pandas
from .walk import Budget

if TYPE_CHECKING:
    from ..common.wire_recordings import FrameForm, ValueForm

__all__ = ["OMITTED", "Budget", "summarize", "summarize_frames", "type_name"]

OMITTED = "<omitted>"  # the filename of an entry that stands for frames left out

NAME, _FILENAME = 200, 4_096  # characters of a function's or variable's, and a file's


# Only what is loaded already is known: these libraries are never imported from here.
_LIBRARIES = (
    ("numpy", describe_numpy),
    ("pandas", describe_pandas),
    ("pyarrow", describe_arrow),
    ("xarray", describe_xarray),
    ("scipy.sparse", describe_sparse),
    ("torch", describe_torch),
)


class _Redacting(Walker):
    """The walk with all its tellers, and with secrets hidden."""

    def describe(self, value: Any) -> str | None:
        for library, describe in _LIBRARIES:
            if library in sys.modules:
                found = describe(value, type(value), self)
                if found is not None:
                    return found
        return None

    def hides(self, level: int, value: Any) -> bool:
        return hides_value(level, value, is_numbers)

    def redacted(self, text: str) -> str:
        names, values = self.budget.secret_names, self.budget.secret_values
        return redact_text(text, extra=names, values=values)

    def cut_to(self, text: str, limit: int) -> tuple[str, bool]:
        names, values = self.budget.secret_names, self.budget.secret_values
        return redact_cut(text, limit, extra=names, values=values)


def summarize(value: Any, *, name: str = "", budget: Budget | None = None) -> ValueForm:
    """What a value is, in a bounded text, within a bounded time.

    Nothing of its own is called; a variable's ``name`` that sounds like a secret hides
    it. `model.ValueSummary.from_wire` reads what it gives.

    Examples
    --------
    >>> summarize({"a": [1, 2.5], "password": "x"})["text"]
    "{'a': [1, 2.5], 'password': <hidden>}"
    """
    budget = budget or Budget()
    kind = type_name(type(value))
    walker = _Redacting(budget)
    if name and walker.hides_named(name, value):
        return {"type": kind, "text": HIDDEN, "cut": False, "hidden": True}
    kept, cut = walker.cut_to(walker.tell(value), budget.chars)
    hidden = kept.strip("b'\"") == HIDDEN
    kept = f"{kept}…" if cut else kept
    return {"type": kind, "text": kept, "cut": cut or walker.cut, "hidden": hidden}


# --- messages of exceptions -------------------------------------------------

# Characters that are looked at; it is cut after it was redacted, and there has to be
# more than is looked at for that (redact.redact_cut), or half a secret is none.
_LONGEST = 6_000
_NOTES = 5
# Whose own ``__str__`` makes the message of these attributes.
_TELLING = (
    (SyntaxError, ("msg", "filename", "lineno")),
    (ImportError, ("msg",)),
    (UnicodeEncodeError, ("encoding", "reason")),
    (UnicodeDecodeError, ("encoding", "reason")),
    (UnicodeTranslateError, ("reason",)),
)


def message_of(exception: BaseException, budget: Budget) -> str:
    """What ``str`` would give, and the notes; nothing of the user's own is called.

    Where an exception's class has a ``__str__`` of its own, what it was made of.
    """
    walker = _Redacting(budget)
    text = _message(exception, walker)
    space = instance_dict(exception) or {}
    notes = dict.get(space, "__notes__")
    if type(notes) is list:
        kept = [note[:_LONGEST] for note in notes[:_NOTES] if type(note) is str]
        text = "\n".join([text, *kept])
    return text[:_LONGEST]


def _message(exception: BaseException, walker: Walker) -> str:
    kind = type(exception)
    args = args_of(exception)
    builtin = type(class_attribute(kind, "__str__")) is types.WrapperDescriptorType
    if builtin and is_a(kind, OSError):
        text = _system_message(exception, walker)
        if text:
            return text
    if builtin and args and type(args[0]) is str and is_a(kind, group_class()):
        count = len(members_of(exception))
        return f"{args[0][:_LONGEST]} ({count:,} sub-exceptions)"
    for base, names in _TELLING:
        if builtin and is_a(kind, base):
            values = [base.__dict__[name].__get__(exception) for name in names]
            if all(any(type(value) is kind for kind in _PLAIN) for value in values):
                return str(exception)[:_LONGEST]
    if not args:
        return ""
    if len(args) > 1:
        return walker.tell(args)
    first = args[0]
    if type(first) is str and not is_a(kind, KeyError):
        return first[:_LONGEST]
    return walker.tell(first)


_PLAIN = (str, int, type(None))


def _system_message(exception: BaseException, walker: Walker) -> str:
    """``[Errno 2] No such file or directory: 'x'``."""
    number, reason, first, second = (
        OSError.__dict__[name].__get__(exception)
        for name in ("errno", "strerror", "filename", "filename2")
    )
    if number is None or type(reason) is not str:
        return ""
    files = [walker.tell(name) for name in (first, second) if name is not None]
    text = f"[Errno {walker.tell(number)}] {reason[:_LONGEST]}"
    return f"{text}: {' -> '.join(files)}" if files else text


# --- frames -----------------------------------------------------------------


_CONTEXT = 5  # lines of source before and after, within the function


def summarize_frames(
    tb: types.TracebackType | None, budget: Budget | None = None
) -> list[FrameForm]:
    """A traceback's frames with source and locals: see `summarize_places`."""
    return summarize_places(pick_places(tb), budget=budget)


def pick_places(tb: types.TracebackType | None, most: int = 30) -> list[Place | int]:
    """The frames of a traceback to describe; a number stands for so many left out.

    Frames of Dask, asyncio and dbgkit are left out, unless there are no others. Of
    many, the outermost and the innermost are kept, and the user's own innermost.
    """
    return pick_among(list(walk(tb)), most)


def pick_among(found: list[Place], most: int = 30) -> list[Place | int]:
    """As `pick_places`, of the frames of any call stack, outermost first."""
    shown = [pair for pair in found if not is_machinery(file_of_frame(pair[0]))]
    theirs = [pair for pair in found if package_of(file_of_frame(pair[0])) != "dbgkit"]
    places = shown or theirs[-3:]
    if len(places) <= most:
        return list(places)
    first = most // 3
    wanted = {*range(first), *range(len(places) - most + first, len(places))}
    own = own_index([file_of_frame(frame) for frame, _ in places])
    if own is not None:
        wanted.add(own)
    kept: list[Place | int] = []
    following = 0
    for index in sorted(wanted):
        gap = index - following
        kept += [gap, places[index]] if gap else [places[index]]
        following = index + 1
    return kept


def summarize_places(
    places: Sequence[Place | int],
    *,
    max_locals: int = 40,
    seconds: float = 0.3,
    budget: Budget | None = None,
) -> list[FrameForm]:
    """Frames that `pick_places` has picked, with source and locals, in bounded form.

    Parameters
    ----------
    places : sequence
    max_locals : int
        Locals of one frame; with 0 none are read.
    seconds : float
        For all; the innermost frames come first, and locals that there is no time
        for are given by their type.
    budget : Budget, optional
        For each local.

    Returns
    -------
    list of dict
        Outermost first, as `model.FrameSummary.from_wire` reads them. One whose
        filename is `OMITTED` says how many were left out there.
    """
    budget = budget or Budget()
    deadline = perf_counter() + seconds
    frames: list[FrameForm] = []
    for entry in reversed(places):
        if isinstance(entry, int):
            frames.append(_gap(entry))
            continue
        left = max(0.0, deadline - perf_counter())
        frames.append(_frame(*entry, max_locals, left, budget))
    return frames[::-1]


def _gap(count: int) -> FrameForm:
    return {
        "filename": OMITTED,
        "lineno": 0,
        "function": f"{count:,} more frames",
        "source": [],
        "locals": [],
        "own": False,
        "omitted_locals": 0,
    }


def _frame(
    frame: types.FrameType,
    lineno: int,
    max_locals: int,
    seconds: float,
    budget: Budget,
) -> FrameForm:
    filename, lineno, function = place_of(frame, lineno)
    # Without any, they are not read: before Python 3.13 that writes to the frame.
    variables, omitted = _locals(frame, max_locals) if max_locals else ([], 0)
    deadline = perf_counter() + seconds
    values = []
    for name, value in variables:
        left = min(budget.seconds, deadline - perf_counter())
        one = replace(budget, seconds=left)
        values.append([name[:NAME], summarize(value, name=name, budget=one)])
    source = _source(frame, lineno, budget)
    own = is_own(file_of_frame(frame))
    return {
        "filename": filename,
        "lineno": lineno,
        "function": function,
        "source": source,
        "locals": values,
        "own": own,
        "omitted_locals": omitted,
        "code": code_of(frame) if own or not source else [],
    }


def code_of(frame: types.FrameType) -> list[str]:
    """What leads to a frame's source elsewhere: fingerprint, module, and its file."""
    code = frame.f_code
    if len(code.co_code) > _MOST_CODE or code.co_name == "<module>":
        return []
    module = frame.f_globals.get("__name__")
    return [
        fingerprint(code),
        module[:NAME] if isinstance(module, str) else "",
        file_of_frame(frame)[:_FILENAME],
    ]


_MOST_CODE = 100_000  # bytes: a fingerprint of that takes a millisecond


def place_of(frame: types.FrameType, lineno: int | None) -> tuple[str, int, str]:
    """``(filename, lineno, function)`` of a frame, bounded."""
    code = frame.f_code
    return code.co_filename[:_FILENAME], lineno or 0, code.co_name[:NAME]


# What IPython puts next to the user's own variables.
_SHELL_NAMES = frozenset(("In", "Out", "exit", "quit", "get_ipython", "open"))


def _locals(frame: types.FrameType, limit: int) -> tuple[list[tuple[str, Any]], int]:
    """A frame's variables, and how many were left out."""
    space = frame.f_locals
    if frame.f_code.co_flags & _OPTIMIZED == 0 and type(space) is not dict:
        return [], 0  # a class body whose metaclass brought its own namespace
    module = space is frame.f_globals
    found = []
    for name, value in list(space.items()):
        if type(name) is not str or not name.isidentifier():
            continue  # ``.0``: the iterator of a comprehension
        if module and (name[:1] == "_" or name in _SHELL_NAMES):
            continue
        if module and issubclass(type(value), _DEFINITIONS):
            continue
        found.append((name, value))
    return found[:limit], max(0, len(found) - limit)


_OPTIMIZED = 1  # inspect.CO_OPTIMIZED: the locals are the frame's own
_DEFINITIONS = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)


def _source(frame: types.FrameType, lineno: int, budget: Budget) -> list[list[Any]]:
    """Numbered lines around one line, within its function, secrets hidden."""
    code = frame.f_code
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, frame.f_globals)
    first, last = max(1, lineno - _CONTEXT), min(len(lines), lineno + _CONTEXT)
    if code.co_name != "<module>":
        ends = [line for _, _, line in code.co_lines() if line]
        first = max(first, code.co_firstlineno)
        last = min(last, max([lineno, *ends]))
    if not 0 < lineno <= len(lines):
        return []
    names, values = budget.secret_names, budget.secret_values
    found = numbered_lines(lines, first, last, extra=names, values=values)
    return [list(each) for each in found]
