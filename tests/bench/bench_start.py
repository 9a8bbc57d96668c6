"""What starting dbgkit costs: the extension of IPython, the first replay, a command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory

from bench_kit import Figure, bench_client, clock, failed, interleave
from bench_kit import median as mid
from bench_kit import milliseconds as ms
from distributed import Client

VERBS = ("failures", "why", "tasks", "doctor", "deaths")
_LOAD = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
start = time.perf_counter()
shell.run_line_magic("load_ext", "dbgkit")
took = time.perf_counter() - start
new = {each.partition(".")[0] for each in set(sys.modules) - before}
print(took, len(new & {"dask", "distributed"}))
"""
_REPLAYS = """
import statistics, sys, time
from distributed import Client, wait
with Client(sys.argv[1]) as client:
    future = client.submit(divmod, 1, 0)
    wait(future)
    took = []
    for _ in range(16):
        start = time.perf_counter()
        import dbgkit
        with dbgkit.replay(future) as again:
            assert again.outcome == "same", again.outcome
        took.append(time.perf_counter() - start)
print(took[0], statistics.median(took[1:]))
"""
_BARE = "import sys; from distributed import Client; Client(sys.argv[1]).close()"


def run(*command: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run Python with arguments, in a process that finds what this one finds."""
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode in codes, done.stderr
    return done.stdout.strip()


@contextmanager
def scheduler() -> Iterator[str]:
    """Address of a scheduler in a process of its own, which nobody has asked yet."""
    command = (sys.executable, "-m", "distributed.cli.dask_scheduler")
    with TemporaryDirectory() as folder:
        file = os.path.join(folder, "scheduler.json")
        started = subprocess.Popen(
            [*command, "--port", "0", "--no-dashboard", "--scheduler-file", file],
            stderr=subprocess.DEVNULL,
        )
        try:
            with Client(scheduler_file=file, timeout=60) as client:
                yield client.scheduler.address
        finally:
            started.terminate()
            started.wait(60)


def commands(rounds: int) -> Iterator[Figure]:
    """Whole processes of the commands, beside a client that connects and closes."""
    asked, alone = [], []
    for _ in range(rounds):
        with scheduler() as address:
            alone.append(clock(run, "-c", _BARE, address))
            asked.append(clock(command, "failures", address))
    yield ratio("the first question to a scheduler", asked, alone, 1.3)
    with bench_client() as client:
        address = client.scheduler.address
        future = failed(client, divmod, 1, 0)
        for verb in VERBS:
            ours, bare = interleave(
                rounds,
                partial(clock, command, verb, address),
                partial(clock, run, "-c", _BARE, address),
            )
            yield ratio(f"dbgkit {verb}", ours, bare, 1.2)
        assert future.status == "error"


def command(verb: str, address: str) -> None:
    """Run a command; its exit code may say that something is wrong."""
    run("-m", "dbgkit", verb, "--scheduler", address, codes=(0, 1))


def ratio(what: str, ours: list[float], bare: list[float], bar: float) -> Figure:
    """Of the fastest: whatever else the machine does only ever adds to a process."""
    fastest = min(ours), min(bare)
    value = fastest[0] / fastest[1]
    return Figure(f"{what} / a bare client", value, bar, detail=ms(*fastest))


def measure(quick: bool = False) -> list[Figure]:
    rounds = 3 if quick else 7
    loaded = [run("-c", _LOAD).split() for _ in range(rounds)]
    figures = [
        Figure(
            "%load_ext dbgkit over bare IPython",
            mid([float(took) for took, _ in loaded]) * 1e3,
            60,
            unit="ms",
        ),
        Figure(
            "%load_ext dbgkit: of dask, distributed imported",
            int(loaded[0][1]),
            0,
            exact=True,
        ),
    ]
    with bench_client() as client:
        address = client.scheduler.address
        told = [run("-c", _REPLAYS, address).split() for _ in range(3)]
    first, later = (mid([float(each[at]) for each in told]) for at in (0, 1))
    replays = Figure(
        "first replay of a session, imports included / later ones",
        first / later,
        60,
        detail=ms(first, later),
    )
    return [*figures, replays, *commands(rounds)]
