"""Code that travelled by value: what it costs to find its file again."""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from bench_kit import Figure, bench_client, clock, failed, interleave
from bench_kit import median as mid
from bench_kit import milliseconds as ms
from cloudpickle.cloudpickle import Pickler
from distributed import Client, LocalCluster

import dbgkit
from dbgkit.remote.common.codes import DYNAMIC
from dbgkit.source.finding import _living

FUNCTIONS = 10_000
FILES = 500


@contextmanager
def user_functions(count: int) -> Iterator[dict[str, Any]]:
    """Many functions of ``__main__``, which cloudpickle pickles by value."""
    lines = (f"def f{n}(x):\n    return x / (x - {n})" for n in range(count))
    text = "\n".join(lines)
    space = vars(sys.modules["__main__"])
    before = set(space)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench_userland.py")
        path.write_text(text)
        exec(compile(text, str(path), "exec"), space)
        try:
            yield space
        finally:
            for name in set(space) - before:
                del space[name]


@contextmanager
def real_paths() -> Iterator[None]:
    """Have cloudpickle keep the files of code, as it did before version 3.1.3."""
    table = Pickler._dispatch_table
    own = table[CodeType]

    def reduce(code: CodeType) -> Any:
        make, arguments = own(code)
        kept = (code.co_filename if each == DYNAMIC else each for each in arguments)
        return make, tuple(kept)

    table[CodeType] = reduce
    try:
        yield
    finally:
        table[CodeType] = own


def replayed(future: Any) -> None:
    with dbgkit.replay(future) as again:
        tb = again.exception.__traceback__
        while tb.tb_next:
            tb = tb.tb_next
        assert tb.tb_frame.f_code.co_filename.endswith("bench_userland.py")


def restored(quick: bool) -> Iterator[Figure]:
    with user_functions(FUNCTIONS) as space, bench_client() as client:
        future = failed(client, space["f77"], 77)

        def with_path() -> float:
            with real_paths():
                return clock(replayed, future)

        replayed(future)
        ours, theirs = interleave(
            15 if quick else 60, lambda: clock(replayed, future), with_path
        )
    yield Figure(
        f"replay, source restored, {FUNCTIONS:,} functions / a real path",
        mid(ours) / mid(theirs),
        1.2,
        detail=ms(mid(ours), mid(theirs)),
    )


def scanned(objects: int, bar: float) -> Figure:
    with user_functions(FUNCTIONS):
        kept = [[] for _ in range(objects)]
        gc.collect()
        times = [clock(lambda: list(_living())) for _ in range(5)]
        del kept
    return Figure(
        f"scan for live functions, {objects:,} gc objects", mid(times) * 1e3, bar, "ms"
    )


JOB = """
def ratio(a, b):
    return a / b
"""


def from_terminal(quick: bool) -> Iterator[Figure]:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(JOB, "/nowhere/job.py", "exec"), space)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            lines = (f"def other_{n}(a, b):\n    return a * {n}" for n in range(50))
            Path(folder, f"module_{number}.py").write_text("\n".join(lines))
        Path(folder, "zz_job.py").write_text(JOB)
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=1,
                processes=False,
                protocol="tcp",
                dashboard_address=":0",
                silence_logs=50,
            ) as cluster,
            Client(cluster) as client,
        ):
            future = failed(client, space["ratio"], 1, 0)
            address = cluster.scheduler_address

            def replay(*options: str) -> None:
                words = ["-m", "dbgkit", "replay", "--scheduler", address, *options]
                done = subprocess.run(
                    [sys.executable, *words, str(future.key)],
                    capture_output=True,
                    text=True,
                )
                assert ("return a / b" in done.stdout) == bool(options), done

            ours, without = interleave(
                3 if quick else 9,
                lambda: clock(replay, "--source", folder),
                lambda: clock(replay),
            )
    yield Figure(
        f"replayed from a terminal, --source of {FILES} files / without",
        mid(ours) / mid(without),
        2.0,
        detail=ms(mid(ours), mid(without)),
    )


def measure(quick: bool = False) -> list[Figure]:
    return [
        *restored(quick),
        scanned(100_000, 50.0),
        scanned(300_000 if quick else 3_000_000, 200.0),
        *from_terminal(quick),
    ]
