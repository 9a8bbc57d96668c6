"""A task that is looked into while it runs: breakpoint() on a worker.

One of four estimates does not settle within fifty steps. Its loop has a
``breakpoint()`` for that case, and the task waits there, on its worker, for whoever
enters it: type::

    python examples/live_breakpoint.py

The prompt is in ``estimate``: ``p start, value, step`` for how far it is, ``w``, and
``!value = 1.0`` to mend it; ``c`` lets it go on. Without a terminal, what waits is
printed, and goes on as the block ends. To look into it with VS Code, or another editor
that speaks the Debug Adapter Protocol, which needs ``pip install debugpy``::

    python examples/live_breakpoint.py --editor
"""

from __future__ import annotations

import sys
import time

from distributed import Client, LocalCluster

import dbgkit


def slope(value):
    return 2 * value or 1e9  # never zero


def estimate(start):
    value, step = start, 0
    while abs(value * value - 2) > 1e-9 and step < 1_000:
        step += 1
        value -= (value * value - 2) / slope(value)
        if step == 50:  # by now it should have settled
            breakpoint()
    return value


def main():
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        with dbgkit.live():
            starts = [3.0, 1.0, -1e30, 2.0]
            futures = client.map(estimate, starts, key="estimate")
            while not (waiting := dbgkit.attach()):
                time.sleep(0.05)
            debugger = "debugpy" if "--editor" in sys.argv else "pdb"
            for stop in waiting:
                dbgkit.attach(stop, debugger=debugger)
        print([round(value, 6) for value in client.gather(futures)])


if __name__ == "__main__":
    main()
