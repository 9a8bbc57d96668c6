"""Values that are wrong wherever they stand, places in nested data, and limits."""

from __future__ import annotations

import copy
import os
import pickletools
import sys
import time
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

resource: Any = None
with suppress(ImportError):  # not on Windows
    import resource

GONE = object()  # for a field that is taken out


def examples(count: int) -> Any:
    """As many examples as here, or as ``DBGKIT_EXAMPLES`` says, which draws others.

    The usual ones are the same in each run.
    """
    wanted = os.environ.get("DBGKIT_EXAMPLES")
    return settings(
        max_examples=int(wanted or count),
        derandomize=not wanted,
        deadline=None,
        database=None,
        # Clusters and files are shared by examples, and are as they were after each.
        suppress_health_check=list(HealthCheck),
    )


def _nested(depth: int) -> Any:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


WRONG = st.one_of(
    st.just(GONE),
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            2**63,
            -(2**63),
            1.5,
            float("nan"),
            float("inf"),
            -1e300,
            1e18,
            "",
            "x",
            "\ud800",
            "\x1b[31m",
            b"\xff",
            [],
            [1],
            [[]],
            ["x"],
            {},
            {"a": 1},
            {1: 2},
            {"key": {}},
            _nested(300),
        ]
    ),
    st.text(max_size=5),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
)


def places(value: Any, path: Any = ()) -> Any:
    """Paths of all that is nested in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, each in inner:
        yield (*path, name)
        if isinstance(each, (dict, list, tuple)):
            yield from places(each, (*path, name))


def with_wrong(value: Any, path: Any, wrong: Any) -> Any:
    """A copy of nested data with another value at a place, or without it."""
    if not path:
        return wrong
    found = copy.copy(value) if isinstance(value, dict) else list(value)
    name, *rest = path
    if wrong is GONE and not rest:
        del found[name]
    else:
        found[name] = with_wrong(value[name], rest, wrong)
    return found


@st.composite
def damaged(draw: Any, data: Any) -> Any:
    """Bytes that are cut, flipped, doubled, or have others in between."""
    at = draw(st.integers(0, len(data)))
    how = draw(st.sampled_from(["cut", "flip", "double", "insert", "huge"]))
    if how == "cut":
        return data[:at]
    if how == "double":
        end = draw(st.integers(at, len(data)))
        return data[:end] + data[at:]
    if how == "insert":
        return data[:at] + draw(st.binary(max_size=20)) + data[at:]
    if how == "huge":  # counts, as msgpack has them
        count = draw(st.sampled_from([b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"]))
        return data[:at] + count + b"\xff\xff\xff\xff" + data[at + 5 :]
    bits = draw(st.integers(1, 255))
    if at == len(data):
        return data + bytes([bits])
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


def takes_no_room_for_its_memo(data: Any) -> Any:
    """Whether a pickle, however damaged, has no place in its memo beyond reason.

    Python's unpickler makes room for all places up to that one, before it looks
    whether anything is there: gigabytes for four bytes. Nobody else can prevent it.
    """
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("PUT", "LONG_BINPUT") and (argument or 0) > 1_000_000:
                return False
    except ValueError:
        pass  # so far it is read
    return True


@contextmanager
def bounded(seconds: float = 10.0, nbytes: int = 200_000_000) -> Any:
    """Fail if what happens inside takes longer, or the process grows by more."""
    start, before = time.monotonic(), _peak()
    yield
    took, grown = time.monotonic() - start, _peak() - before
    assert took < seconds, f"{took:.1f} s"
    assert grown < nbytes, f"{grown:,} bytes"


def _peak() -> Any:
    """The most memory that this process ever had; 0 where that is not known."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
