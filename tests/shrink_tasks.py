"""Tasks whose failure depends on a part of their input, and inputs for them."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pandas as pd

ROWS, BAD, TWIN = 2_000, 1_234, 77


def table(**changed):
    """A frame of seven columns; ``column=value`` is what the bad row has."""
    frame = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "name": [f"n{number}" for number in range(ROWS)],
            "value": np.linspace(0, 1, ROWS),
            "weight": np.arange(ROWS) + 1.0,
            "group": np.arange(ROWS) % 5,
            "day": ["2020-01-01"] * ROWS,
            "amount": ["1.5"] * ROWS,
        }
    ).astype({"name": object, "day": object, "amount": object})
    for column, value in changed.items():
        frame.loc[BAD, column] = value
    return frame


# --- pandas -----------------------------------------------------------------------


def amounts_to_numbers(frame):
    return pd.to_numeric(frame.amount)


def amounts_as_floats(frame):
    return frame.amount.astype(float)


def days_to_dates(frame):
    return pd.to_datetime(frame.day, format="%Y-%m-%d")


def weights_as_integers(frame):
    return frame.weight.astype(int)


def shares(frame):
    return frame.apply(lambda row: 1 / int(row.weight), axis=1)


def names_upper(frame):
    return frame.name.map(lambda name: name.upper())


def known_names(frame):
    known = {f"n{number}": number for number in range(ROWS)}
    return frame.name.map(lambda name: known[name])


def pivoted(frame):
    return frame.assign(one=1).pivot(index="id", columns="one", values="value")


def indexed(frame):
    return pd.concat([frame.set_index("id")], verify_integrity=True)


def reindexed(frame):
    return frame.set_index("id").reindex(range(10))


def joined(left, right):
    return left.merge(right, on="id", validate="one_to_one")


def appended(first, second):
    return pd.concat([first, second]).amount.astype(float)


def all_columns_to_numbers(frame):
    for column in frame:
        pd.to_numeric(frame[column])


def ratios(above, below):
    assert len(above) == len(below), "not of one length"
    if (below.to_numpy() == 0).any():
        raise ZeroDivisionError("a ratio to nothing")
    return above / below


def heaviest(frame):
    return frame[frame.weight > 10**9].iloc[0]


# --- others -----------------------------------------------------------------------


def total(rows):
    return sum(row["x"] for row in rows)


def list_the_bad(rows):
    bad = [row["name"] for row in rows if row["x"] < 0]
    if bad:
        raise ValueError(f"bad rows: {bad}")


def print_the_bad(rows):
    bad = [row["name"] for row in rows if row["x"] < 0]
    if bad:
        raise ValueError(f"{len(bad)} bad rows: " + " ".join(bad))


def named_rows(count=1_000, bad=range(7, 1_000, 100)):
    return [{"name": f"n{i}", "x": -1 if i in bad else 1, "y": 0} for i in range(count)]


def floats(words):
    return [float(word) for word in words]


def in_place(rows):
    """Fails where it finds -1; each run takes the first row away, and adds one."""
    rows.pop(0)
    rows.append(0)
    if -1 in rows:
        raise ValueError("there is a -1")


def too_many(rows):
    if len(rows) >= 300:
        raise MemoryError("too many rows")


def first_row(rows):
    return rows[0] if len(rows) > 10**6 else [][0]


def any_two(rows):
    """Fails with two rows, whichever they are, and with a -1 among any number."""
    if len(rows) == 2 or -1 in rows:
        raise ValueError("singular")


def sometimes(rows, counter):
    """Fails on its first run alone."""
    with open(counter, "a+") as file:
        file.write("x")
        file.seek(0)
        if len(file.read()) == 1:
            raise ValueError("not again")


def parsed(text):
    return json.loads(text)


def raise_slowly(rows):
    time.sleep(0.05)
    if -1 in rows:
        raise ValueError("there is a -1")


def killed_by(rows):
    if -1 in rows:
        os.kill(os.getpid(), signal.SIGKILL)


def hangs_on_some(rows):
    """Fails with a -1; with that and exactly half of the rows it never ends."""
    if -1 in rows and len(rows) == 500:
        while True:
            time.sleep(0.01)
    if -1 in rows:
        raise ValueError("there is a -1")


def kills_on_some(rows):
    """Fails with a -1; with that and exactly half of the rows its process dies."""
    if -1 in rows and len(rows) == 500:
        os._exit(3)
    if -1 in rows:
        raise ValueError("there is a -1")


def with_minus_one(count=1_000, at=700):
    return [-1 if number == at else number for number in range(count)]
