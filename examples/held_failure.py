"""A failure that is entered where it happened: its frames are held on the worker.

One of four sensors has stood still, so that its weight cannot be told. The readings
are too large to send around, and the sensor has forgotten them: a second run would be
another one. So the failure itself is held, with all its values: type::

    python examples/held_failure.py

The prompt is in ``weight``: ``p len(readings)`` and ``p readings[-5:]`` for the
readings, ``exceptions`` for what it was raised from; ``q`` leaves, and ``drop`` frees
its memory. Without a terminal, what is held is printed.
"""

from __future__ import annotations

import random
import time

from distributed import Client, LocalCluster, wait

import dbgkit


def measured(sensor):
    noise = random.Random() if sensor != 2 else None
    return [noise.random() if noise else 0.5 for _ in range(2_000_000)]


def inverse_spread(readings):
    spread = max(readings) - min(readings)
    return 1 / spread


def weight(sensor):
    readings = measured(sensor)
    try:
        return inverse_spread(readings)
    except ZeroDivisionError as error:
        raise ValueError(f"sensor {sensor} has no weight") from error


def main():
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        dbgkit.record(keep_frames="10 min"),
    ):
        futures = client.map(weight, range(4), key="weight")
        wait(futures)
        print([future.status for future in futures])
        while not (held := dbgkit.attach().held):
            time.sleep(0.05)
        for failure in held:
            dbgkit.attach(failure)
        left = len(dbgkit.attach().held)
        print(f"{left} failure is held" if left == 1 else f"{left} failures are held")


if __name__ == "__main__":
    main()
