"""A division by zero in one of several Delayed tasks.

``compute()`` says "division by zero", but not which pair of numbers it was: the
task ran in another process, and by the time you read the message its arguments are
gone. Type::

    dbgkit run examples/ratio.py

and, at the prompt, ``p a, b`` for the numbers, ``w`` for where you are, ``q`` to
leave.
"""

from __future__ import annotations

import logging

from dask import delayed
from distributed import Client, LocalCluster


@delayed
def ratio(a, b):
    return a / b


def main():
    ina = [5, 25, 30]
    inb = [5, 0, 6]
    ratios = [ratio(a, b) for a, b in zip(ina, inb, strict=True)]
    total = delayed(sum)(ratios)

    # Without the lines that the workers log of a failed task: they say less.
    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    with cluster, Client(cluster):
        print("The sum of the ratios is", total.compute())


if __name__ == "__main__":
    main()
