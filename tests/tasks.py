"""What the tests run as tasks: a module that workers import too."""

from __future__ import annotations

import distributed


def inc(x):
    return x + 1


def add(x, y):
    return x + y


def total(values):
    return sum(values)


def ratio(a, b):
    return a / b


def pops(values):
    last = values.pop()
    return last / len(values)


def boom(x):
    doubled = x * 2
    raise ValueError(f"cannot take {x}")
    return doubled


def boom_at(x, bad):
    """Fail on one value only."""
    if x == bad:
        raise ValueError(f"cannot take {x}")
    return x


def boom_of_two_kinds(x):
    """Ten of a thousand fail: 7 with a ValueError, 3 with a KeyError."""
    if x % 100 == 42:
        if x > 700:
            raise KeyError(f"no record {x}")
        raise ValueError(f"cannot take {x}")
    return x


def boom_slowly(x):
    """Fail, each with a message of its own, in letters so that none looks alike."""
    raise ValueError("cannot take " + "".join(chr(97 + int(d)) for d in str(x)))


def bad_chunk(block):
    """Fail on the chunk that holds 13."""
    largest = block.max()
    if (block == 13).any():
        raise ValueError(f"a bad value among {block.size}")
    return block + largest * 0


def bad_part(frame):
    """Fail on the partition that holds 13."""
    rows = len(frame)
    if (frame["x"] == 13).any():
        raise ValueError(f"a bad row among {rows}")
    return frame


def append(values, value):
    """Change the input in place, and fail if that was done before."""
    values.append(value)
    if len(values) == 3:
        raise ValueError(f"three values: {values}")
    return len(values)


def append_and_fail(values, value):
    """Change the input in place, and fail."""
    values.append(value)
    raise ValueError(f"cannot take {len(values)} values")


def zero_and_fail(values):
    """Change an array in place, where it may be written to, and fail."""
    size = len(values)
    if values.flags.writeable:
        values[:] = 0
    raise ValueError(f"cannot take {size} values")


def same(value):
    return value


def boom_on_records(records, limit):
    raise ValueError(f"cannot take {len(records)} records")


def boom_with_size(values):
    size = len(values)
    raise ValueError(f"cannot take {size} values")


def read_number(path):
    """Fails once the file is gone."""
    with open(path) as file:
        return int(file.read())


def wait_for(name):
    """Return once nobody else holds a lock."""
    with distributed.Lock(name):
        return None
