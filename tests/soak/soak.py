"""A cluster under load for minutes: is what dbgkit says of it true to the end?

``python tests/soak/soak.py [--minutes 10] [--workers 3] [--seed 1]``

With the recorder on, batches of tasks run of which one in twenty fails, and now and
then a worker is made to die in one of several ways. The script keeps the truth. After
each batch the count of `failures()` is compared with it, after each death the verdict
of `deaths()`. What failed is held for a round of batches and then let go. The memory
of the scheduler and of workers that live long enough is taken throughout, and may not
grow by more than a quarter from the second quarter of the time to the last.

The exit code is 1 if anything was wrong. This is no test of pytest's, and not run by
CI.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import logging
import os
import random
import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import dask
import psutil
from distributed import Client, Future, LocalCluster, wait

import dbgkit
from dbgkit.model.deaths import Death

BATCH = 100  # tasks
ROUND = 50  # batches
FAIL = 0.05
BETWEEN_DEATHS = 20.0  # seconds
NOTICED = 30.0  # seconds for the scheduler and a nanny to tell of a death
STARTED = 180.0  # seconds for a worker to be there again
GROWTH = 1.25
LEAST_GROWTH = 30_000_000  # bytes, which may come and go by themselves
QUIET = {
    "distributed.scheduler.allowed-failures": 0,
    # Of what is forgotten nothing is to be told, so that all counts are certain.
    "distributed.diagnostics.erred-tasks.max-history": 0,
    # So long after a death `SpecCluster` closes the nanny for good if no worker of its
    # name is there just then, be it that another one is about to start.
    "distributed.deploy.lost-worker-timeout": "1 day",
}


class Sour(ValueError):
    """What fails in a batch, in one of several ways."""


def work(batch, number, fails):
    payload = list(range(number % 50))
    if fails:
        raise (Sour, KeyError, ZeroDivisionError)[number % 3](f"batch {batch}")
    return len(payload)


def exits(batch):
    os._exit(3)


def crashes(batch):
    ctypes.string_at(0)


def killed(batch):
    os.kill(os.getpid(), signal.SIGKILL)


# What is done to a worker, and what `deaths()` is to say: verdict, code, signal.
DEATHS = {
    exits: ("exit", 3, ""),
    crashes: ("signal", None, "SIGSEGV"),
    killed: ("signal", None, "SIGKILL"),
}


class Soak:
    """One run: what is true, and what was found wrong."""

    def __init__(self, client: Client, seed: int) -> None:
        self.client = client
        self.random = random.Random(seed)
        self.batches = self.tasks = self.failed = self.died = 0
        # What failed is held for a round: what is forgotten is not counted.
        self.held: list[Future] = []
        self.wrong: list[str] = []
        self.memory: dict[int, list[tuple[float, int]]] = {}

    def batch(self) -> None:
        """Some tasks, and whether `failures` counts those that failed."""
        if self.batches % ROUND == 0:
            self.let_go()
        self.batches += 1
        chosen = [self.random.random() < FAIL for _ in range(BATCH)]
        futures = [
            self.client.submit(
                work, self.batches, number, fails, key=f"work-{self.batches}-{number}"
            )
            for number, fails in enumerate(chosen)
        ]
        wait(futures, timeout=120)
        self.tasks += BATCH
        self.failed += sum(chosen)
        self.held += [
            each for each, fails in zip(futures, chosen, strict=True) if fails
        ]
        report, right = dbgkit.failures(), len(self.held)
        self.check(f"failures() after batch {self.batches}", report.total, right)
        counted = sum(group.count for group in report.groups)
        self.check("what its groups count", counted + report.omitted, right)
        if any(chosen):
            with dbgkit.replay(futures[chosen.index(True)]) as replay:
                self.check("a replay", replay.outcome, "same")

    def let_go(self) -> None:
        """Let go of what failed in this round, until the scheduler has forgotten it."""
        self.held.clear()
        end = time.monotonic() + NOTICED
        while (left := dbgkit.failures().total) and time.monotonic() < end:
            gc.collect()  # frames of a replay hold futures in circles
            time.sleep(0.05)
        self.check(f"failures() let go of before batch {self.batches}", left, 0)

    def death(self) -> None:
        """One worker dies, and whether `deaths` tells of what."""
        self.died += 1
        function = list(DEATHS)[self.died % len(DEATHS)]
        key = f"{function.__name__}-{self.died}"
        future = self.client.submit(function, self.died, key=key)
        wait(future, timeout=120)
        verdict, code, name = DEATHS[function]
        end = time.monotonic() + NOTICED
        told = None
        while told is None and time.monotonic() < end:
            time.sleep(0.5)
            known = dbgkit.deaths().deaths
            told = next((death for death in known if self.ran(death, key)), None)
        if told is None:
            self.wrong.append(f"{key}: no death tells of it")
        else:
            found = (told.verdict, told.exit_code, told.signal)
            self.check(f"deaths() of {key}", found, (verdict, code, name))
        self.held.append(future)
        every = len(self.client.cluster.worker_spec)
        self.client.wait_for_workers(every, timeout=STARTED)

    @staticmethod
    def ran(death: Death, key: str) -> bool:
        return any(task.key == key for task in death.ran)

    def check(self, what: str, found: object, right: object) -> None:
        if found != right:
            self.wrong.append(f"{what}: {found!r}, and right is {right!r}")

    def look_at_memory(self, now: float) -> None:
        """Of this process, with the scheduler, and of each worker."""
        pids = [os.getpid(), *self.client.run(os.getpid).values()]
        for pid in pids:
            try:
                held = psutil.Process(pid).memory_info().rss
            except psutil.Error:
                continue  # it has just died
            self.memory.setdefault(pid, []).append((now, held))

    def growth(self) -> list[str]:
        """Processes that grew too much, of those that lived for half of the time."""
        told = []
        longest = max(rows[-1][0] - rows[0][0] for rows in self.memory.values())
        for pid, rows in self.memory.items():
            if rows[-1][0] - rows[0][0] < longest / 2 or len(rows) < 8:
                continue
            quarter = len(rows) // 4
            before = statistics.median(held for _, held in rows[quarter : 2 * quarter])
            after = statistics.median(held for _, held in rows[-quarter:])
            who = "scheduler and client" if pid == os.getpid() else f"worker {pid}"
            line = f"{who}: {before / 1e6:.0f} MB, then {after / 1e6:.0f} MB"
            print(f"  {line}", flush=True)
            if after > before * GROWTH and after - before > LEAST_GROWTH:
                told.append(f"memory of {line}")
        return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        dask.config.set(QUIET),
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
        dbgkit.record(),
    ):
        soak = Soak(client, options.seed)
        start = time.monotonic()
        end, next_death = start + options.minutes * 60, start + BETWEEN_DEATHS
        while (now := time.monotonic()) < end:
            soak.batch()
            if now > next_death:
                soak.death()
                next_death = now + BETWEEN_DEATHS
                print(
                    f"{now - start:5.0f} s: {soak.tasks:,} tasks, {soak.failed:,} "
                    f"failed, {soak.died} deaths, {len(soak.wrong)} wrong",
                    flush=True,
                )
            soak.look_at_memory(now - start)
        soak.wrong += soak.growth()
    for line in soak.wrong:
        print(f"wrong: {line}")
    print(f"{soak.batches} batches, {soak.died} deaths: {len(soak.wrong)} wrong")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
