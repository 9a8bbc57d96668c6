"""A task that stops where it fails, without an edit of its code.

One of six sensors has reported a text among its numbers. The job is a library's, say,
and is not to be edited: ``break_at`` stops the task where it raises, on its worker,
before the failure is reported. Type::

    python examples/break_at_failure.py

The prompt is in ``calibrate``: ``p sensor, value`` for what it stumbled over, ``u`` for
its caller; ``c`` lets it fail. Without a terminal, what waits is printed, and fails as
the block ends.
"""

from __future__ import annotations

import time

from distributed import Client, LocalCluster, wait

import dbgkit

READINGS = [[20.5, 21.0], [19.5, 20.0], [22.0, "n/a"], [18.0, 18.5], [21.5], [20.0]]


def calibrate(sensor, value):
    return round(value * 1.02 - 0.1 * sensor, 3)


def mean(sensor, values):
    total = sum(calibrate(sensor, value) for value in values)
    return total / len(values)


def main():
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        with dbgkit.break_at("mean", when="error"):
            futures = client.map(mean, range(len(READINGS)), READINGS, key="mean")
            while not (waiting := dbgkit.attach()):
                time.sleep(0.05)
            for stop in waiting:
                dbgkit.attach(stop)
        wait(futures)
        print(sorted(future.status for future in futures))


if __name__ == "__main__":
    main()
