"""Three kinds of failures and a task that hangs, explained without a debugger.

Some orders cannot be priced, and what was to be drawn from the rest never comes. No
result is there to look at, but the scheduler knows what happened. Type::

    python examples/states.py

It prints which tasks failed, grouped by cause (``failures``), why the last one does not
move (``why``: the task that it waits for wants a GPU, and no worker has one), the tasks
that are not done (``tasks``), and what happened to one of them (``story``).

From another terminal the same is seen with ``dbgkit failures --scheduler ADDRESS`` and
so on; of a cluster that is gone, from a dump of it.
"""

from __future__ import annotations

from distributed import Client, LocalCluster, wait
from rich import print  # shows tables; Python's own print a line each

import dbgkit

ORDERS = [
    {"total": "12.50", "items": 5},
    {"total": "8.00", "items": 0},
    {"total": "n/a", "items": 2},
    {"items": 3},
    {"total": "n/a", "items": 1},
    {"total": "99.90", "items": 10},
]


def price(order):
    total = float(order["total"])
    return total / order["items"]


def fit(prices):
    return sum(prices) / len(prices)


def draw(model):
    return f"a picture of {model}"


def main():
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        keys = [f"price-{number}" for number in range(len(ORDERS))]
        prices = client.map(price, ORDERS, key=keys)
        wait(prices)
        good = [future for future in prices if future.status == "finished"]
        model = client.submit(fit, good, key="fit-1", resources={"GPU": 1})
        picture = client.submit(draw, model, key="draw-1")

        print("\n[bold]Which tasks failed, and why?[/]")
        report = dbgkit.failures()
        print(report)

        print("\n[bold]Why does the picture not come?[/]")
        print(dbgkit.why(picture))

        print("\n[bold]What else is not done?[/]")
        print(dbgkit.tasks(state=["waiting", "no-worker", "erred"]))

        print("\n[bold]What happened to the first that failed?[/]")
        print(dbgkit.story(report.groups[0]))


if __name__ == "__main__":
    main()
