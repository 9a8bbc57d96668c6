"""In a script, `with Client()` has closed the client before the failure is seen."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

JOBS = """
import json
import dask, dask.array as da, dask.bag as db, dask.dataframe as dd
import numpy as np, pandas as pd
from distributed import Client, LocalCluster
import dbgkit
from dbgkit.remote.common.frames import own_index, walk

def inc(x):
    return x + 1

def ratio(a, b):
    return a / b

def at(x, bad):
    if x == bad:
        raise ValueError(f"cannot take {x}")
    return x

def chunk(block):
    largest = block.max()
    if (block == 13).any():
        raise ValueError("a bad value")
    return block + 0 * largest

def part(frame):
    rows = len(frame)
    if (frame["x"] == 13).any():
        raise ValueError("a bad row")
    return frame

def make():
    frame = dd.from_pandas(pd.DataFrame({"x": range(20)}), npartitions=4)
    x = da.arange(20, chunks=5) * 1
    return {
        "delayed": dask.delayed(ratio)(dask.delayed(inc)(4), dask.delayed(inc)(-1)),
        "bag": db.from_sequence(range(20), npartitions=4).map(at, 13),
        "array": x.map_blocks(chunk, meta=np.array((), dtype=x.dtype)),
        "dataframe": frame.map_partitions(part, meta=frame._meta),
    }

def tell(kind, erred, again):
    frames = [frame for frame, _ in walk(again.exception.__traceback__)]
    frame = frames[own_index([f.f_code.co_filename for f in frames])]
    print("TOLD", json.dumps({
        "kind": kind,
        "located": str(again.failure.key) == erred,
        "outcome": again.outcome,
        "function": frame.f_code.co_name,
        "locals": {n: v for n, v in frame.f_locals.items() if type(v) is int},
        "notes": list(again.notes),
    }))

def newest(cluster):
    return str(cluster.scheduler.erred_tasks[0].key)
"""

EXPECTED = {
    "delayed": ("ratio", {"a": 5, "b": 0}),
    "bag": ("at", {"x": 13, "bad": 13}),
    "array": ("chunk", {}),
    "dataframe": ("part", {"rows": 5}),
}


@pytest.fixture
def run(tmp_path):
    """Run a script of the jobs and some more; gives what it came to."""

    def run(body):
        path = tmp_path / "job.py"
        path.write_text(JOBS + textwrap.dedent(body))
        return subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run


def told(done, kinds=tuple(EXPECTED)):
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    rows = [json.loads(line[5:]) for line in lines]
    assert [row["kind"] for row in rows] == list(kinds)
    return rows


def check(row):
    function, values = EXPECTED[row["kind"]]
    assert row["located"], row
    assert (row["function"], row["outcome"]) == (function, "same")
    assert values.items() <= row["locals"].items()


@pytest.mark.parametrize("processes", [True, False])
def test_captured_as_the_client_closes(run, processes):
    done = run(
        f"""
        from dbgkit.api.debugging import capture

        if __name__ == "__main__":
            with LocalCluster(processes={processes}, n_workers=1,
                              dashboard_address=":0") as cluster, capture():
                for kind, job in make().items():
                    try:
                        with Client(cluster):
                            job.compute()
                    except Exception as error:
                        tell(kind, newest(cluster), dbgkit.replay(error))
        """
    )
    for row in told(done):
        check(row)


@pytest.mark.parametrize("processes", [True, False])
def test_of_a_client_that_has_closed_the_graph_is_enough(run, processes):
    done = run(
        f"""
        if __name__ == "__main__":
            with LocalCluster(processes={processes}, n_workers=1,
                              dashboard_address=":0") as cluster:
                for kind, job in make().items():
                    try:
                        with Client(cluster.scheduler_address):
                            job.compute()
                    except Exception as error:
                        tell(kind, newest(cluster), dbgkit.replay(error))
        """
    )
    for row in told(done):
        check(row)
        assert any("client is closed" in note for note in row["notes"])


@pytest.mark.parametrize("processes", [True, False])
def test_of_a_local_cluster_that_has_closed_the_history_is_still_read(run, processes):
    # A cluster for each: of worker processes that takes its time.
    kinds = list(EXPECTED)[: 1 if processes else 4]
    done = run(
        f"""
        if __name__ == "__main__":
            for kind, job in list(make().items())[:{len(kinds)}]:
                try:
                    with Client(processes={processes}, n_workers=1,
                                dashboard_address=":0") as client:
                        cluster = client.cluster
                        job.compute()
                except Exception as error:
                    tell(kind, newest(cluster), dbgkit.replay(error))
        """
    )
    for row in told(done, kinds):
        check(row)
        assert any("cluster is closed" in note for note in row["notes"])
        assert not any("which task" in note for note in row["notes"])


@pytest.mark.parametrize("processes", [True, False])
def test_debugging_reports_and_lets_the_exception_go_on(run, processes):
    done = run(
        f"""
        if __name__ == "__main__":
            with dbgkit.debugging():
                with Client(processes={processes}, n_workers=1,
                            dashboard_address=":0"):
                    make()["delayed"].compute()
        """
    )
    assert done.returncode == 1
    assert "return a / b" in done.stdout
    assert "ZeroDivisionError: division by zero" in done.stderr
    lines = [line.split() for line in done.stdout.replace("│", " ").splitlines()]
    assert any(line[:1] == ["a"] and "5" in line for line in lines)
    assert any(line[:1] == ["b"] and "0" in line for line in lines)


def test_debugging_in_an_asynchronous_script(run):
    done = run(
        """
        import asyncio

        async def main():
            async with dbgkit.debugging():
                async with Client(asynchronous=True, n_workers=1, processes=False,
                                  dashboard_address=":0") as client:
                    await client.submit(ratio, 5, 0)

        if __name__ == "__main__":
            asyncio.run(main())
        """
    )
    assert done.returncode == 1
    assert "return a / b" in done.stdout
    assert "ZeroDivisionError: division by zero" in done.stderr


def test_debug_in_an_except_block_inside_of_the_client(run):
    done = run(
        """
        if __name__ == "__main__":
            with Client(processes=False, n_workers=1, dashboard_address=":0"):
                try:
                    make()["delayed"].compute()
                except ZeroDivisionError:
                    dbgkit.debug()
        """
    )
    assert done.returncode == 0, done.stderr
    assert "return a / b" in done.stdout
