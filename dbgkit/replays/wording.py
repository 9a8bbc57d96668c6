"""Do two exception texts say the same, even under another version of Python?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dbgkit.remote.common.texts import normalise, type_and_message

_LONGEST = 10_000  # characters: what is longer was cut here, or on its way
_CUT = 9_000  # of which so many are compared
_MOST_PARTS = 1_000

# Classes that have two names, by the Python's version.
_CLASSES = {"error": "PatternError"}  # of `re`, before and since 3.13

# What Python's minor versions from 3.10 on put in different words: each of the old
# ways, and of the new, becomes the same text. They apply to messages without numbers.
_REWORDED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), text)
    for pattern, text in (
        # 3.11: integer modulo; 3.13: float modulo; 3.14: all alike
        (
            r"^(?:(?:integer|float|complex)(?: floor)? )?(?:division|modulo|divmod\(\))"
            r"(?: or modulo)?(?: by zero)?$",
            "division by zero",
        ),
        (r"^# cannot be raised to a negative power$", "zero to a negative power"),
        # 3.11
        (
            r"^local variable ('.*') referenced before assignment$",
            r"unbound variable \1",
        ),
        (
            r"^cannot access local variable ('.*') where it is not associated with a "
            r"value$",
            r"unbound variable \1",
        ),
        (
            r"^free variable ('.*') referenced before assignment in enclosing scope$",
            r"unbound variable \1",
        ),
        (
            r"^cannot access free variable ('.*') where it is not associated with a "
            r"value in enclosing scope$",
            r"unbound variable \1",
        ),
        (r"^can't set attribute ('.*')$", r"cannot set \1"),
        (r"^property ('.*') of '.*' object has no setter$", r"cannot set \1"),
        (r"^can't delete attribute ('.*')$", r"cannot delete \1"),
        (r"^property ('.*') of '.*' object has no deleter$", r"cannot delete \1"),
        # 3.12
        (r"^(min|max)\(\) arg is an empty sequence$", r"\1() of nothing"),
        (r"^(min|max)\(\) iterable argument is empty$", r"\1() of nothing"),
        (r" with abstract methods? (.*)$", r" lacking \1"),
        (r" without an implementation for abstract methods? (.*)$", r" lacking \1"),
        # 3.13
        (
            r"^('.*') object has no attribute ('.*') and no __dict__ for setting new "
            r"attributes$",
            r"\1 object has no attribute \2",
        ),
        (r"^('.*') is an invalid keyword argument for (.*)$", r"\2 got \1"),
        (
            r"^(.*) got an unexpected keyword argument ('.*?')(?:\. Did.*)?$",
            r"\1 got \2",
        ),
        (r" \(consider renaming .*\)$", ""),
        (r"^Can't (?:pickle|get) local object", "Can't pickle local object"),
        # 3.14
        (r"^(too many|not enough) values to unpack \(expected.*\)$", r"\1 values"),
        (
            r"^cannot use '.*' as an? (?:dict key|set element) \((unhashable .*)\)$",
            r"\1",
        ),
        (r" is not (?:iterable|a container or iterable)$", " is not iterable"),
        (
            r"^(?:math domain error|expected a (?:positive|nonnegative) input.*)$",
            "math domain error",
        ),
        (r"^(year|month|hour|minute|second|microsecond) must be in .*$", r"\1 out"),
        (r"^day is out of range for month$", "day out"),
        (r"^day # must be in range .* for month .*$", "day out"),
        (r"(?<=protocol) \(missed .* method\)$", ""),
        (
            r"^(?:Illegal trailing comma before end of .*?|Expecting value|Expecting "
            r"property name enclosed in double quotes): line",
            "Expecting: line",
        ),
        (r"^(Exceeds the limit \(#) digits\)", r"\1)"),
        # Where the stack ends depends on what it began with.
        (r"^(maximum recursion depth exceeded).*$", r"\1"),
        (r"^(cannot import name '.*' from '.*') \(.*\)$", r"\1"),
    )
)
# What NumPy 2 and pandas 3 word differently from earlier versions.
_LIBRARIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bnp\.(?:str_|bytes_|bool|u?int#?|float#?)\(([^()]*)\)"), r"\1"),
    (re.compile(r"\bnp\.(True|False)_"), r"\1"),
    (re.compile(r"\bdtype(?:=|: |\()'?(?:object|string|str|O)\b'?\)?"), "dtype=str"),
)
_BRACES = re.compile(r"\{([^{}]+)\}")


def same_class(one: str, other: str) -> bool:
    """Whether two names of classes are one class's."""
    return _CLASSES.get(one, one) == _CLASSES.get(other, other)


def as_worded_now(kind: str, message: str) -> tuple[str, str]:
    """Class and message as current Python has them, if the class has changed.

    Before 3.11, ``with`` said less about an object that is not a context manager.
    """
    if kind == "AttributeError" and message in _ENTERING:
        return "TypeError", _NO_CONTEXT
    if kind == "TypeError" and message.rstrip(")").endswith(_PROTOCOL):
        return "TypeError", _NO_CONTEXT
    return kind, message


_ENTERING = ("__enter__", "__exit__", "__aenter__", "__aexit__")
_PROTOCOL = ("context manager protocol", "__exit__ method", "__aexit__ method")
_NO_CONTEXT = "not a context manager"


def forms_of(message: str, text: str) -> set[str]:
    """The forms of an exception's message: its ``str``, or the one within its ``repr``.

    They differ if the ``str`` is a ``repr`` itself, as that of `KeyError`, and some of
    its quotes are escaped in one and not in the other.
    """
    return {message, type_and_message(text)[1]} if text else {message}


def alike(before: Iterable[str], now: Iterable[str]) -> bool:
    """Whether a form of one message equals a form of the other.

    Numbers, addresses and tokens are ignored, and so are rewordings between versions of
    Python, NumPy or pandas, and the order of a set.
    """
    then, here = list(before), list(now)
    if not {normalise(form) for form in then}.isdisjoint(map(normalise, here)):
        return True
    if not {_plain(form) for form in then}.isdisjoint(map(_plain, here)):
        return True
    return any(_begin_alike(one, other) for one in then for other in here)


def _plain(message: str) -> str:
    """A message in words common to all versions."""
    text = normalise(message)
    for pattern, replacement in (*_LIBRARIES, *_REWORDED):
        text = pattern.sub(replacement, text)
    if text.startswith("Can't instantiate"):
        text = text.replace("'", "")
    return _BRACES.sub(_in_order, text)


def _in_order(found: re.Match[str]) -> str:
    """What is in braces, sorted: a set's order differs between processes."""
    parts = found[1].split(", ", _MOST_PARTS)
    return "{" + ", ".join(sorted(parts)) + "}"


def _begin_alike(one: str, other: str) -> bool:
    """Whether two texts, one of which was cut, begin alike."""
    if min(len(one), len(other)) < _CUT or not (_is_cut(one) or _is_cut(other)):
        return False
    # The last word may be cut: what is left of a number or a token is another.
    then, here = (normalise(text[:_CUT].rsplit(None, 1)[0]) for text in (one, other))
    length = min(len(then), len(here)) - 100
    return then[:length] == here[:length]


def _is_cut(text: str) -> bool:
    return len(text) >= _LONGEST or text.endswith("…")
