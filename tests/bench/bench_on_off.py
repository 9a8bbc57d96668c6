"""Rounds of the recorder on and off from four clients: what is half, what is left."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter
from typing import Any

from bench_kit import Figure, bench_client
from distributed import Client

import dbgkit
from dbgkit.remote.common.boxes import read_box
from dbgkit.remote.worker.black_box_folders import boxes_in, folder_in

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from on_off_looks import is_gone, is_whole, parts

CLIENTS = 4
LOOKS = 25  # times that all clients pause, and what there is is looked at
KINDS = ("Recorder", "RecordStore", "DeathStore", "DeathWatch", "Switch", "Spread")


def rounds(client: Client, count: int) -> None:
    """Turn it on and off."""
    for _ in range(count):
        dbgkit.record(client=client, timeout="60s").off(keep=False)


def together(clients: list[Client], job: Any, *args: Any) -> list[BaseException]:
    """Run a job for each client in a thread of its own; what was raised."""
    errors: list[BaseException] = []

    def run(client: Client) -> None:
        try:
            job(client, *args)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def held(dask_worker: Any = None) -> dict[str, int]:
    """Objects of ours, threads and open files of a process."""
    gc.collect()
    folder = "/proc/self/fd"
    return {
        "objects": sum(type(each).__name__ in KINDS for each in gc.get_objects()),
        "threads": sum("black box" in each.name for each in threading.enumerate()),
        "files": sum(
            "dbgkit" in os.readlink(f"{folder}/{each}")
            for each in os.listdir(folder)
            if os.path.islink(f"{folder}/{each}")
        ),
    }


def boxes(address: str) -> int:
    """Files of black boxes of a cluster's workers; other clusters have theirs."""
    found = map(read_box, boxes_in([folder_in(tempfile.gettempdir())]))
    return sum(box is not None and box["scheduler"] == address for box in found)


def left(client: Client) -> dict[str, int]:
    """What there still is after the last time that it was turned off."""
    found = parts(client)
    named = sum(len(names) for there in found.values() for names in there.values())
    counts = [*client.run(held).values(), *client.run(held, nanny=True).values()]
    return {
        "plugins, handlers, topics": named,
        "boxes": boxes(client.scheduler.address),
        **{kind: sum(each[kind] for each in counts) for kind in counts[0]},
    }


def measure(quick: bool = False) -> list[Figure]:
    total = 80 if quick else 1_000
    looks = 4 if quick else LOOKS
    halves, errors, took = 0, [], 0.0
    with bench_client(n_workers=2) as client:
        address = client.scheduler.address
        clients = [Client(address, set_as_default=False) for _ in range(CLIENTS)]
        before = left(client)  # as a log that this runs with may be called so
        try:
            for look in range(looks):
                start = perf_counter()
                errors += together(clients, rounds, total // looks // CLIENTS)
                took += perf_counter() - start
                halves += not is_gone(parts(client))
                # And on by some, in whatever order: it is whole.
                some = clients[: 1 + look % CLIENTS]
                errors += together(some, lambda each: dbgkit.record(client=each))
                halves += not is_whole(parts(client))
                errors += together(some, lambda each: rounds(each, 1))
            after = left(client)
            found = {name: after[name] - count for name, count in before.items()}
        finally:
            for each in clients:
                each.close()
    done = total // looks // CLIENTS * looks * CLIENTS
    detail = f"{done} rounds of {CLIENTS} clients, {took / done * 1e3:.3g} ms each"
    return [
        Figure("on and off: calls that failed", len(errors), 0, exact=True),
        Figure("on and off: halves left", halves, 0, detail=detail, exact=True),
        Figure(
            "on and off: left after the last",
            sum(found.values()),
            0,
            detail=", ".join(f"{name} {count}" for name, count in found.items()),
            exact=True,
        ),
    ]
