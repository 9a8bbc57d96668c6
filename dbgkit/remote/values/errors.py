"""The messages of exceptions, read past what their classes define themselves."""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any

from ..common.objects import class_attribute, instance_dict, is_a
from .builtins import Walker
from .walk import Budget

# Characters that are looked at; it is cut after it was redacted, and there has to be
# more than is looked at for that (redact.redact_cut), or half a secret is none.
_LONGEST = 6_000
_NOTES = 5

_args = BaseException.__dict__["args"].__get__
traceback_of = BaseException.__dict__["__traceback__"].__get__
cause_of = BaseException.__dict__["__cause__"].__get__
context_of = BaseException.__dict__["__context__"].__get__
suppresses_context = BaseException.__dict__["__suppress_context__"].__get__

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
    walker = Walker(budget)
    text = _message(exception, walker)
    space = instance_dict(exception) or {}
    notes = dict.get(space, "__notes__")
    if type(notes) is list:
        told = [note[:_LONGEST] for note in notes[:_NOTES] if type(note) is str]
        text = "\n".join([text, *told])
    return text[:_LONGEST]


def _message(exception: BaseException, walker: Walker) -> str:
    kind = type(exception)
    args = _args(exception)
    builtin = type(class_attribute(kind, "__str__")) is types.WrapperDescriptorType
    if builtin and is_a(kind, OSError):
        told = _system_message(exception, walker)
        if told:
            return told
    if builtin and args and type(args[0]) is str and is_a(kind, _group_class()):
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


def _group_class() -> Any:
    """The class of exception groups; before Python 3.11 of their backport, if used."""
    backport = sys.modules.get("exceptiongroup")
    return getattr(
        builtins, "BaseExceptionGroup", getattr(backport, "BaseExceptionGroup", None)
    )


def members_of(exception: BaseException) -> tuple[BaseException, ...]:
    """The exceptions that a group has; none of what is no group."""
    kind = _group_class()
    if not is_a(type(exception), kind):
        return ()
    found: tuple[BaseException, ...] = kind.__dict__["exceptions"].__get__(exception)
    return found


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
