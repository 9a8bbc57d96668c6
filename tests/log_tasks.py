"""Tasks for the tests of logs and of the cluster's fitness for debugging."""

from __future__ import annotations


def complain(text):
    raise ValueError(text)


def fail_with_block(size):
    block = bytearray(size)
    raise ValueError(f"cannot take {len(block)} bytes")


def recurse(depth):
    """Fail below so many frames of its own."""
    if depth == 0:
        raise ValueError("at the bottom")
    return recurse(depth - 1)
