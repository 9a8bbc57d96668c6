"""A failure that is kept as a file, and looked at and run again without the cluster.

A nightly job divides what each shop has sold by the hours that it was open. One shop
was closed all day. Nobody is there at night, so the failure is saved: type::

    python examples/failure_as_a_file.py

The next morning, on any machine with dbgkit::

    dbgkit open night.dbgkit

opens the debugger in ``per_hour``: ``p shop, sold, hours``. Nothing of the file is run.
Add ``--trust`` to run its call again.
"""

from __future__ import annotations

from distributed import Client, LocalCluster

import dbgkit

SHOPS = {"Kiel": (1200, 10), "Bonn": (0, 0), "Ulm": (840, 8)}


def per_hour(shop, sold, hours):
    return {shop: sold / hours}


def night(path):
    """The job: it saves what fails, and ends."""
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        futures = [client.submit(per_hour, shop, *SHOPS[shop]) for shop in SHOPS]
        try:
            client.gather(futures)
        except ZeroDivisionError as error:
            print(dbgkit.save(error, path))


def main():
    night("night.dbgkit")
    bundle = dbgkit.load("night.dbgkit", trust=True)
    print(dbgkit.replay(bundle).outcome)


if __name__ == "__main__":
    main()
