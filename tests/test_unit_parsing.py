"""Texts that anyone may have written are parsed, in any number of threads."""

from __future__ import annotations

import ast
import gc
import inspect
import sys
import threading
import time

import pytest

from dbgkit.remote.common.parsing import literal, parsed


@pytest.fixture
def interrupted():
    """Other threads have their turn whenever garbage is looked for, as Dask has it."""

    def give_way(phase, info):
        time.sleep(0)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    gc.callbacks.append(give_way)
    yield
    gc.callbacks.remove(give_way)
    sys.setswitchinterval(before)


def test_many_threads_parse_at_once(interrupted):
    source = inspect.getsource(ast)
    whole = ast.dump(ast.parse(source))
    found, errors = [], []

    def parse():
        try:
            found.extend(parsed(source) for _ in range(20))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=parse) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(found) == 80
    assert {ast.dump(tree) == whole for tree in found[::20]} == {True}


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "f(1)",
        "(",
        "",
        "\0",
        "{[]: 1}",
        "(" * 500,
        "-" * 100_000 + "1",
        "1 +",
        "\ud800",
    ],
    ids=lambda text: repr(text[:8]),
)
def test_what_is_no_literal(text):
    with pytest.raises(ValueError):
        literal(text)


@pytest.mark.parametrize("value", [("x", 1), "it's", b"\0", -1.5, [None, {1: {2}}], ""])
def test_literals(value):
    assert literal(f" {value!r}") == value
