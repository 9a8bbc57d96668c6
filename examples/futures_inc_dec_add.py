"""A failure upstream of the only future that is still held.

One number of an order was read as text. ``dec`` fails on it, but all that is held is
``total``, two steps further down, and Dask's message says nothing of the order. Type::

    dbgkit run examples/futures_inc_dec_add.py

It stops in ``dec``, the task that failed, not in ``add`` or ``sum``, which never
ran. At the prompt: ``p x`` for the number, ``p type(x)`` for why, ``w``, ``q``.
"""

from __future__ import annotations

from distributed import Client, LocalCluster


def inc(x):
    return x + 1


def dec(x):
    return x - 1


def add(x, y):
    return x + y


def main():
    orders = [(1, 2), (10, "20"), (100, 200)]

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        sums = []
        for received, sent in orders:
            more = client.submit(inc, received)
            less = client.submit(dec, sent)
            sums.append(client.submit(add, more, less))
        total = client.submit(sum, sums)
        del more, less, sums  # what one does not hold, Dask lets go of

        print("The total is", total.result())


if __name__ == "__main__":
    main()
