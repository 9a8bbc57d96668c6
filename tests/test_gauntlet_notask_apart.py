"""A scheduler and a worker that are processes of their own, as on a real cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack

import distributed
import pandas as pd
import pytest
from commands import dask_command, environment
from distributed import Client
from watching import forgotten, wait_until

import dbgkit
from dbgkit import errors

TESTS = os.path.dirname(__file__)


@pytest.fixture
def apart(tmp_path):
    """A client; the scheduler's process."""
    file = tmp_path / "scheduler.json"
    options = ["--no-dashboard", "--scheduler-file", str(file)]
    with ExitStack() as stack:
        scheduler, _ = (
            stack.enter_context(
                dask_command([sys.executable], tmp_path, *command, *options, path=TESTS)
            )
            for command in (
                ("scheduler", "--port", "0"),
                ("worker", "--nthreads", "2", "--no-nanny"),
            )
        )
        wait_until(file.exists, "the scheduler's file")
        client = stack.enter_context(Client(scheduler_file=str(file), timeout=30))
        client.wait_for_workers(1, timeout=60)
        yield client, scheduler


def raised(call):
    """The exception of a call, with its frames."""
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def test_a_module_that_the_cluster_has_not(apart, tmp_path, monkeypatch):
    """The advice works: it is uploaded, and the same call comes through."""
    file = tmp_path / "mine" / "only_here.py"
    file.parent.mkdir()
    file.write_text("def double(value):\n    return 2 * value\n")
    monkeypatch.syspath_prepend(file.parent)
    import only_here

    client, _ = apart
    exception = raised(lambda: client.submit(only_here.double, 2).result(timeout=30))
    with pytest.raises(errors.NoTask, match="could not read the graph") as caught:
        dbgkit.locate(exception)
    assert "client.upload_file('only_here.py')" in str(caught.value)
    client.upload_file(str(file))
    assert client.submit(only_here.double, 2, pure=False).result(timeout=30) == 4


def test_a_repartition_that_computes(apart):
    import dask.dataframe as dd
    from test_gauntlet_notask_clusters import part, tasks_begun

    client, _ = apart
    data = pd.DataFrame({"x": range(20)})
    frame = dd.from_pandas(data, npartitions=4).map_partitions(part, meta=data)
    for call in (
        lambda: frame.repartition(partition_size="1MB").compute(),
        lambda: frame.repartition(partition_size="2MB").npartitions,
        lambda: len(frame.repartition(partition_size="3MB")),
    ):
        exception = raised(call)
        forgotten(client)
        before = len(tasks_begun(client))
        failure = dbgkit.locate(exception)
        assert len(tasks_begun(client)) == before
        assert failure.name == 'step "part" on partition 2 (of 4, counted from 0)'
        assert dbgkit.replay(exception).outcome == "same"


def test_a_scheduler_that_was_killed(apart):
    client, scheduler = apart
    future = client.submit(time.sleep, 5, key="slept")
    wait_until(lambda: any(client.processing().values()), "it runs", 15)
    scheduler.kill()
    exception = raised(lambda: future.result(timeout=30))
    began = time.monotonic()
    with pytest.raises(
        errors.SchedulerGone, match="was lost while waiting for 'slept'"
    ):
        dbgkit.locate(exception)
    assert time.monotonic() - began < 3
    for target in (future, "slept"):
        began = time.monotonic()
        with pytest.raises((errors.SchedulerGone, errors.NoFailure)):
            dbgkit.locate(target, client=client)
        assert time.monotonic() - began < 12


SCRIPT = """
from distributed import Client

def start():
    return Client(n_workers=1, threads_per_worker=1, dashboard_address=":0")

client = start()
print(client.submit(len, "ab").result())
"""


def run_script(tmp_path, text):
    script = tmp_path / "script.py"
    script.write_text(text)
    return script, subprocess.run(
        [sys.executable, "-m", "dbgkit", "run", str(script)],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )


gives_up = pytest.mark.skipif(
    int(distributed.__version__.split(".")[0]) < 2026,
    reason="a LocalCluster whose workers cannot start waited for ever then",
)


@gives_up
def test_a_script_without_a_main_guard(tmp_path):
    script, done = run_script(tmp_path, SCRIPT)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"dbgkit: workers could not start, because each of them runs {script} "
        'again, with its line 7: put that line under if __name__ == "__main__":'
    ]


def test_a_script_with_a_main_guard_runs(tmp_path):
    guarded = SCRIPT.replace("client = start()", 'if __name__ == "__main__":')
    guarded = guarded.replace(
        "print(client.submit", "    client = start()\n    print(client.submit"
    )
    _, done = run_script(tmp_path, guarded)
    assert (done.returncode, done.stdout) == (0, "2\n")


@gives_up
def test_a_script_that_fails_in_its_worker_processes_is_told_of(tmp_path):
    """What is no missing guard is printed as before."""
    text = SCRIPT.replace(
        "def start", 'if __name__ == "__mp_main__":\n    1 / 0\n\ndef start'
    )
    guarded = text.replace("client = start()", 'if __name__ == "__main__":')
    guarded = guarded.replace("print(client", "    client = start()\n    print(client")
    _, done = run_script(tmp_path, guarded)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "failed to start" in done.stderr


def test_the_hook_of_new_processes_is_taken_off():
    from multiprocessing import spawn

    from dbgkit.frontends.cli.guard import quiet_without_guard

    before = spawn.get_preparation_data
    with quiet_without_guard():
        assert spawn.get_preparation_data is not before
    assert spawn.get_preparation_data is before
