"""Copies by value, of what cloudpickle can copy and of what it cannot."""

from __future__ import annotations

import functools
import pickle
import threading

import cloudpickle
import pytest

from dbgkit.replays.by_value import dumps_by_value

SCRIPT = """
import functools

@functools.lru_cache(maxsize=7, typed=True)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def both(n):
    return fib(n), fib

class Kept:
    @functools.cache
    def method(self):
        return 7
"""


@functools.lru_cache
def named(a):
    return a


@pytest.fixture
def script():
    space = {"__name__": "__main__"}
    exec(SCRIPT, space)
    return space


def test_cloudpickle_copies_no_cached_function_of_another_script(script):
    """Once it does, `dumps_by_value` is not needed any more."""
    with pytest.raises(pickle.PicklingError):
        cloudpickle.dumps(script["both"])


def test_cached_functions_are_copied_with_empty_caches(script, caplog):
    script["fib"](20)
    both = pickle.loads(dumps_by_value(script["both"]))
    value, fib = both(20)
    assert value == 6765 and fib is not script["fib"]
    # It calls itself, and not another copy.
    assert fib.__wrapped__.__globals__["fib"] is fib
    assert fib.cache_parameters() == {"maxsize": 7, "typed": True}
    assert fib.cache_info().currsize <= 7
    assert (fib.__name__, fib.__module__) == ("fib", "__main__")
    assert pickle.loads(dumps_by_value(script["Kept"]))().method() == 7
    assert not caplog.records


def test_what_has_a_name_goes_by_its_name():
    assert pickle.loads(dumps_by_value(named)) is named
    assert pickle.loads(dumps_by_value(lambda: named))() is named


def test_what_cannot_be_copied_is_raised_and_not_logged(script, caplog):
    for value in (threading.Lock(), (script["fib"], threading.Lock())):
        with pytest.raises(TypeError, match="lock"):
            dumps_by_value(value)
    assert not caplog.records
