"""A column of numbers that, in one month, holds something else.

A year of sales, one partition a month. In October somebody typed "n/a" for a price.
Dask's message quotes the word, and gives a position within the partition, but
does not say which partition it was. Type::

    dbgkit run examples/dataframe_partition.py

It stops in ``with_revenue``, not inside pandas; the header names the partition. At
the prompt: ``p sales.month.unique()`` for the month,
``p sales[sales.price == "n/a"]`` for the row, ``w``, ``q``.
"""

from __future__ import annotations

from distributed import Client, LocalCluster

try:
    import dask.dataframe as dd
    import pandas as pd
except ImportError:
    raise SystemExit(
        "this example needs pandas: python -m pip install 'dask[dataframe]'"
    ) from None

SHOPS = ["Ghent", "Lyon", "Porto"]


def read_month(month):
    """Sales of one month, with prices as they were typed."""
    prices = [f"{(month * 7 + day * 3) % 50 + 0.99:.2f}" for day in range(1, 29)]
    if month == 10:
        prices[13] = "n/a"
    return pd.DataFrame(
        {
            "month": month,
            "shop": [SHOPS[day % len(SHOPS)] for day in range(1, 29)],
            "price": prices,
            "count": [day % 5 + 1 for day in range(1, 29)],
        }
    )


def with_revenue(sales):
    price = pd.to_numeric(sales["price"])
    return sales.assign(revenue=price * sales["count"])


def main():
    year = dd.from_map(read_month, range(1, 13), meta=read_month(1))
    sales = year.map_partitions(with_revenue, meta=with_revenue(read_month(1)))
    by_shop = sales.groupby("shop")["revenue"].sum()

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster):
        print(by_shop.compute())


if __name__ == "__main__":
    main()
