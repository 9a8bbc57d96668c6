"""Tasks that fail, each with a call of its own inside Dask's wrappers."""

from __future__ import annotations

import os


def ratio(x, y=1):
    return y / (x - 3)


def per_row(frame, limit=0):
    frame = frame.assign(z=frame.x.map(lambda value: 10 / (int(value) - 5)))
    return frame[frame.z > limit]


def grow(items):
    items.append(0)
    raise ValueError(f"{len(items)} items")


def number(text):
    return int(text)


def blockwise(block):
    block += 1  # in place
    raise ArithmeticError(f"sum {block.sum():g}")


def once(path):
    """Fail the first time only."""
    if not os.path.exists(path):
        open(path, "w").close()
        raise OSError("not yet")


async def awaited(x):
    return 1 / x


class Scale:
    """A callable object, with a state."""

    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x / self.by

    def times(self, x):
        return {}[x * self.by]
