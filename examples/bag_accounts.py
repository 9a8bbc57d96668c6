"""One broken record among a few thousand, in files of compressed JSON.

Each line of ``accounts-*.json.gz`` is an account, and the writing of one of them was
cut short. ``json.loads`` complains about "line 2 column 1": of a record that it does
not show, in a file that it does not name. Type::

    dbgkit run examples/bag_accounts.py

It stops in ``parse``, not inside the ``json`` module. At the prompt: ``p line`` for
the broken record, ``w``, ``q``. Reading, parsing and adding up run fused, as one
task for each file: the header says that it was the third.
"""

from __future__ import annotations

import atexit
import gzip
import json
import shutil
import tempfile
from pathlib import Path

import dask.bag as db
from distributed import Client, LocalCluster

NAMES = ["Alice", "Bob", "Charlie", "Dan", "Edith", "Frank"]


def parse(line):
    return json.loads(line)


def balance(account):
    return sum(account["transactions"])


def write_accounts(folder, *, files=4, accounts=1000):
    """Write the accounts, the one in the middle of the third file cut short."""
    for number in range(files):
        lines = []
        for index in range(accounts):
            account = {
                "id": number * accounts + index,
                "name": NAMES[index % len(NAMES)],
                "transactions": [(index * step) % 97 - 40 for step in range(1, 6)],
            }
            lines.append(json.dumps(account))
        if number == 2:
            middle = accounts // 2
            lines[middle] = lines[middle][:-12]
        text = "\n".join(lines) + "\n"
        path = Path(folder) / f"accounts-{number}.json.gz"
        path.write_bytes(gzip.compress(text.encode()))


def main():
    folder = tempfile.mkdtemp(prefix="accounts-")
    # Until the process ends, not only until the failure: the files are needed to
    # run the failed task again.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_accounts(folder)

    accounts = db.read_text(f"{folder}/accounts-*.json.gz").map(parse)
    total = accounts.map(balance).sum()

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster):
        print("All accounts together:", total.compute())


if __name__ == "__main__":
    main()
