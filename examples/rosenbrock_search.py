"""A search that adds points as it goes, until it steps out of bounds.

The search looks for the lowest point of Rosenbrock's valley within a disk, which a
logarithm keeps it inside of. Each point that is lower than the one before sends out
four more, half as far away. The lowest point lies on the edge of the disk, so before
long some points fall outside, and there is no logarithm of a negative number: "math
domain error", at a point that nobody wrote down. Type::

    dbgkit run examples/rosenbrock_search.py

At the prompt: ``p x, y`` for the point, ``p room`` for how far out it is, ``w``,
``q``.
"""

from __future__ import annotations

import math

from distributed import Client, LocalCluster, as_completed

STARTS = [(-1.0, 0.5), (0.0, 0.0), (0.5, 0.75), (0.75, 0.5)]
COMPASS = [(1, 0), (-1, 0), (0, 1), (0, -1)]
GENERATIONS = 5


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def cost(x, y):
    room = 2 - x**2 - y**2
    barrier = -0.01 * math.log(room)
    return rosenbrock(x, y) + barrier


def main():
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        # Of each future: its point, its generation, and the cost it has to beat.
        origin = {client.submit(cost, *point): (point, 0, math.inf) for point in STARTS}
        best = (math.inf, None)
        running = as_completed(origin)
        for future in running:
            (x, y), generation, bar = origin.pop(future)
            value = future.result()
            best = min(best, (value, (x, y)))
            if value >= bar or generation == GENERATIONS:
                continue
            step = 0.5**generation
            for right, up in COMPASS:
                point = (x + right * step, y + up * step)
                further = client.submit(cost, *point)
                if further not in origin:
                    origin[further] = (point, generation + 1, value)
                    running.add(further)
        print("The lowest point found:", best)


if __name__ == "__main__":
    main()
