"""A failure that is kept as a file: what failed at night is mended in the morning.

A nightly job adds up what shops have sold, out of files with a line for each sale. One
line has a price that is none. Nobody is there at night, so the failure is saved: type::

    python examples/failure_as_a_file.py FOLDER

Without a folder, all that it writes is removed as it ends.

The next morning the file is opened, on any machine that has dbgkit, and on another
Python too. Nothing of it is run until it is trusted. ``shrink`` finds the one row, and
the line of the file that it came from; ``to_test`` makes it a test, which fails until
``amount`` is mended.

``dbgkit open FOLDER/night.dbgkit`` opens the debugger on what was saved.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import dbgkit

try:
    import dask.dataframe as dd
except ImportError:
    raise SystemExit(
        "this example needs pandas: python -m pip install 'dask[dataframe]'"
    ) from None
from distributed import Client, LocalCluster


def amount(price):
    return round(float(price.removeprefix("EUR ")), 2)


def priced(sales):
    return sales.assign(price=sales["price"].map(amount))


def write_sales(folder):
    folder.mkdir(exist_ok=True)
    for shop in range(4):
        lines = [f"{shop},EUR {sale % 90 + 10}.50" for sale in range(5_000)]
        if shop == 2:
            lines[3_141] = "2,12.50 EUR"
        (folder / f"shop-{shop}.csv").write_text("\n".join(["shop,price", *lines, ""]))


def night(folder, file):
    """The job: it saves what fails, and ends."""
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        sales = dd.read_csv(f"{folder}/*.csv", dtype={"shop": int, "price": str})
        meta = {"shop": int, "price": float}
        total = sales.map_partitions(priced, meta=meta)["price"].sum()
        try:
            print(total.compute())
        except ValueError as error:
            print(dbgkit.save(error, file))


def morning(file, test):
    """Without a cluster: which row it was, and a test of it."""
    bundle = dbgkit.load(file, trust=True)
    smallest = dbgkit.shrink(bundle)
    print(smallest)
    print(f"written to {dbgkit.to_test(smallest, test, overwrite=True)}")


def both(folder):
    write_sales(folder / "sales")
    night(folder / "sales", folder / "night.dbgkit")
    morning(folder / "night.dbgkit", folder / "test_night.py")


def main():
    if len(sys.argv) > 1:
        both(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as folder:
            both(Path(folder))


if __name__ == "__main__":
    main()
