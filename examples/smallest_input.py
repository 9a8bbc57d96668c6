"""Two rows among a hundred thousand that do not go together.

Each station reports its readings, and one reading was sent twice. ``pivot`` complains
about duplicate entries, and does not say which. ``dbgkit.shrink`` leaves out all that
is not needed for the failure, and names the two rows and the lines of their files.

Run it with ``python examples/smallest_input.py``. In a notebook it is ``%dbg_shrink``;
of a job elsewhere, ``dbgkit shrink --scheduler ADDRESS``.
"""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from pathlib import Path

import dask.dataframe as dd
from distributed import Client, LocalCluster

import dbgkit


def warmest(readings):
    """The warmest station's value of each hour."""
    by_hour = readings.pivot(index="hour", columns="station", values="value")
    return by_hour.max(axis=1)


def write_readings(folder, *, days=4, stations=100, hours=250):
    """Write the readings; on the third day the gateway sent one of them again."""
    choose = random.Random(7)
    for day in range(days):
        rows = [
            f"{hour},station-{station},{choose.gauss(20, 5):.1f}"
            for hour in range(hours)
            for station in range(stations)
        ]
        if day == 2:
            rows.insert(20_000, rows[1_234])
        lines = ["hour,station,value", *rows]
        Path(folder, f"day-{day}.csv").write_text("\n".join(lines) + "\n")


def main():
    folder = tempfile.mkdtemp(prefix="readings-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_readings(folder)

    readings = dd.read_csv(f"{folder}/day-*.csv")
    hours = readings.map_partitions(warmest, meta=(None, float))

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster):
        try:
            hours.compute()
        except ValueError as error:
            shrunk = dbgkit.shrink(error)
            print(shrunk)
            with dbgkit.replay(shrunk) as replay:
                print("On these rows alone it fails in the same way:", replay.outcome)


if __name__ == "__main__":
    main()
