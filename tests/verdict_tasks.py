"""Tasks whose failures are alike, or only seem so. Standard library alone."""

from __future__ import annotations

import builtins
import functools
import os
import sys
import tempfile
import types
import uuid

# Set in the test's process alone, so that a task does something else there.
HERE = "DBGKIT_TEST_HERE"


def is_here():
    return HERE in os.environ


class BadInput(Exception):
    """An error of the user's own, made of others."""


class Coded(Exception):
    """Told otherwise by ``str`` than by ``repr``; an argument has an address in it."""

    def __init__(self, code):
        super().__init__(code, object())
        self.code = code

    def __str__(self):
        return f"failed with code {self.code}"


def look_up(name):
    if is_here():
        raise PermissionError(f"no access to {name}")
    return {}[name]


def explicit(name):
    try:
        return look_up(name)
    except Exception as error:
        raise BadInput("cannot load") from error


def implicit(name):
    try:
        return look_up(name)
    except Exception:
        raise BadInput("cannot load")  # noqa: B904


def hidden(name):
    try:
        return look_up(name)
    except Exception:
        raise BadInput("cannot load") from None


def deep(name):
    try:
        return explicit(name)
    except BadInput as error:
        raise RuntimeError("step failed") from error


def uncaused(name):
    if is_here():
        raise BadInput("cannot load")
    try:
        return look_up(name)
    except KeyError as error:
        raise BadInput("cannot load") from error


def alike(name):
    """Raised from another in the same way wherever it is run, but for a number."""
    try:
        return {}[f"{name}-{os.getpid()}"]
    except KeyError as error:
        raise BadInput("cannot load") from error


def grouped(name):
    raise builtins.ExceptionGroup("several", [BadInput("one"), _caught(name)])


def _caught(name):
    try:
        look_up(name)
    except Exception as error:
        return error


def other_message(name):
    inner = "disk full" if is_here() else "no such row"
    try:
        raise LookupError(inner)
    except LookupError as error:
        raise BadInput("cannot load") from error


def of_lost(name):
    """Raised from what only has a class where it failed first."""
    lost = LookupError
    if not is_here():
        module = sys.modules.setdefault("only_there", types.ModuleType("only_there"))
        lost = module.Lost = type("Lost", (Exception,), {"__module__": "only_there"})
    try:
        raise lost("no such row")
    except Exception as error:
        raise BadInput("cannot load") from error


def of_lost_elsewhere(name):
    """Raised from what is another class of the same name here, or text."""
    message = "disk full" if is_here() else "no such row"
    lost = type("Lost", (Exception,), {"__module__": __name__})
    if not is_here():
        module = sys.modules.setdefault("only_there", types.ModuleType("only_there"))
        lost = module.Lost = type("Lost", (Exception,), {"__module__": "only_there"})
    try:
        raise lost(message)
    except Exception as error:
        raise BadInput("cannot load") from error


def of_large(name):
    try:
        raise LookupError("x" * 300_000)
    except LookupError as error:
        raise BadInput("cannot load") from error


def of_secret(name):
    secret = "hunter33" if is_here() else "hunter22"
    try:
        look_up_nothing(secret)
    except LookupError as error:
        raise BadInput("cannot load") from error


def look_up_nothing(secret):
    kind = KeyError if is_here() else IndexError
    raise kind(f"password={secret} https://me:{secret}@host/rows")


def number(value):
    inner = "disk full" if is_here() else "no such row"
    try:
        raise LookupError(inner)
    except LookupError as error:
        raise ValueError(f"no number {value}") from error


# -- one failure, told in many ways ---------------------------------------------


# fmt: off
# Which line of a statement stands for it depends on Python's version.


def in_list(values):
    return [
        1
        / value
        for value in values
    ]


def in_nested(values):
    return [
        {
            1
            / value
            for value in values
        }
        for _ in values
    ]


def in_dict(values):
    return {
        value: 1
        / value
        for value in values
    }


def in_generator(values):
    return sum(
        1
        / value
        for value in values
    )


def over_lines(values):
    return (
        dict(one=1)
        .get(
            "one",
        )
        .missing(
            values,
        )
    )


def over_a_header(values):
    for value in dict(
        one=values,
    ).missing(
        1,
    ):
        return value


def in_text(values):
    return f"""
    of one:

    { 1 / values[0] }
    """


# fmt: on


def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@traced
@traced
def decorated(values):
    return 1 / values[0]


class Meter:
    @property
    def ratio(self):
        return 1 / 0

    @staticmethod
    @traced
    def read(values):
        return (lambda meter: meter.ratio)(Meter())


def with_set(values):
    raise ValueError(f"unknown columns: { {str(value) for value in 'abcdefgh'} }")


def with_uuid(values):
    raise ValueError(f"run {uuid.uuid4()} failed")


def with_temporary(values):
    with tempfile.TemporaryDirectory() as folder:
        raise FileNotFoundError(f"no part in {folder}/parts")


def with_address(values):
    raise ValueError(object())


def with_code(values):
    raise Coded(values[0])


def too_long(values):
    raise ValueError("x " * 8_000 + str(os.getpid()))


def long_repr(values):
    raise Coded("y" * 300 + " z" * 9_000)


class Strict(Exception):
    """Cannot be made of a text and another one, so that Dask cuts it in its own way."""

    def __init__(self, one):
        super().__init__(one)


def too_long_of_strict(values):
    raise Strict("bad rows: " + "x " * 8_000)


def silent(value):
    raise ValueError


def recursive(number):
    return _one(number)


def _one(number):
    return _other(number) + 1


def _other(number):
    return _one(number) + 1


def mixed_quotes(values):
    return {}['it\'s a "column"\nof two lines']
