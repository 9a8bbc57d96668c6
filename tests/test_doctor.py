"""Is a cluster fit for debugging: each finding on a cluster that gives rise to it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import time

import cloudpickle
import dask
import pytest
import tasks
from dask.distributed import Client, LocalCluster, wait
from distributed.core import Status
from distributed.security import Security
from log_tasks import fail_with_block, recurse
from watching import started_again, unchanged, wait_until

import dbgkit
from dbgkit.diagnose.doctor.versions import check_versions
from dbgkit.remote.common.codes import DYNAMIC


def finding(checkup, check):
    (found,) = [each for each in checkup.findings if each.check == check]
    return found


def dump_of(client, tmp_path):
    client.dump_cluster_state(str(tmp_path / "dump"))
    return str(tmp_path / "dump.msgpack.gz")


def set_status(status, dask_worker):
    dask_worker.status = Status[status]


def set_level(level):
    logging.getLogger("distributed.worker").setLevel(level)


def test_a_healthy_cluster_and_a_dump_of_it(harmable, tmp_path):
    with harmable(n_workers=1) as client:
        live = dbgkit.doctor()
        assert live.healthy
        assert not live.notes
        dumped = dbgkit.doctor(view=dump_of(client, tmp_path))
    assert dumped.healthy
    assert dumped.notes[0].startswith("from a dump, which lacks the client's versions")
    # What a dump holds is told in the same words.
    same = {each.check: each for each in live.findings}
    for check in ("workers", "paused", "nannies", "allowed-failures", "worker-logs"):
        assert finding(dumped, check) == same[check]


def test_all_in_one_process_is_healthy_too(harmable):
    with harmable(n_workers=2, processes=False):
        found = dbgkit.doctor()
    assert found.healthy
    assert finding(found, "nannies").summary == "all run in one process"


def test_memory_that_failed_frames_hold(harmable):
    with harmable(n_workers=1) as client:
        client.run(gc.disable)
        wait(client.map(fail_with_block, [60_000_000, 60_000_001, 60_000_002]))
        found = finding(dbgkit.doctor(), "failed-frames")
        assert found.level == "warning"
        assert "still hold 171." in found.summary
        assert "most of it in fail_with_block" in found.evidence[0]
        assert "gc.collect" in found.advice
        client.run(gc.collect)
        assert finding(dbgkit.doctor(), "failed-frames").level == "ok"


def test_workers_in_one_process_do_not_hold_it_twice(harmable):
    with harmable(n_workers=2, processes=False) as client:
        gc.collect()
        gc.disable()
        try:
            wait(client.submit(fail_with_block, 120_000_000))
            found = finding(dbgkit.doctor(), "failed-frames")
        finally:
            gc.enable()
            gc.collect()
        assert "still hold 114." in found.summary


def test_a_paused_worker(harmable, tmp_path):
    with harmable(n_workers=2, memory_limit=0) as client:
        addresses = sorted(client.scheduler_info()["workers"])
        client.run(set_status, "paused", workers=addresses[:1])

        def found():
            each = finding(dbgkit.doctor(), "paused")
            return each if each.level == "problem" else None

        live = wait_until(found, "the scheduler knows of the pause")
        assert live.summary == "1 of 2 workers are paused"
        assert addresses[0] in live.evidence[0]
        dumped = dbgkit.doctor(view=dump_of(client, tmp_path))
        assert finding(dumped, "paused") == live
        assert dumped.findings[0].level == "problem"
        assert not dumped.healthy


@contextlib.contextmanager
def lone_worker(address, tmp_path):
    """A worker without a nanny, for which another toolz is installed."""
    info = tmp_path / "site" / "toolz-0.0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: toolz\nVersion: 0.0.1\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.filterwarnings("ignore:Mismatched versions")
def test_versions_that_differ_and_a_missing_nanny(harmable, tmp_path):
    with (
        harmable(n_workers=0) as client,
        lone_worker(client.scheduler.address, tmp_path),
    ):
        client.wait_for_workers(1, timeout=30)
        live = dbgkit.doctor()
        dumped = dbgkit.doctor(view=dump_of(client, tmp_path))
    versions = finding(live, "versions")
    assert versions.level == "warning"
    assert versions.summary == "versions differ: toolz"
    assert "0.0.1 (worker tcp://" in versions.evidence[0]
    assert "(client, scheduler" in versions.evidence[0]
    assert finding(dumped, "versions").summary == "versions differ: toolz"
    nannies = finding(live, "nannies")
    assert nannies.summary == "1 of 1 workers have no nanny"
    assert finding(dumped, "nannies") == nannies


@pytest.mark.parametrize(
    ("package", "versions", "level"),
    [
        ("python", ("3.11.7", "3.11.9"), "warning"),
        ("python", ("3.11.7", "3.12.1"), "problem"),
        ("distributed", ("2026.8.0", "2025.4.0"), "problem"),
        ("pandas", ("2.2.0", "3.0.0"), "warning"),
        ("pandas", ("3.0.0", "3.0.0"), "ok"),
        # No task can notice these.
        ("tornado", ("6.4", "6.5.1"), "ok"),
        ("toolz", ("0.12.1", "1.0.0"), "warning"),
        ("msgpack", ("1.0.8", "1.1.0"), "ok"),
    ],
)
def test_how_grave_it_is_that_versions_differ(package, versions, level):
    here, there = ({package: version} for version in versions)
    facts = {
        "scheduler": {},
        "clients": [],
        "workers": [{"address": "tcp://a:1", "packages": there}],
    }
    assert check_versions(facts, here).level == level


def test_lz4_need_not_be_everywhere():
    facts = {"scheduler": {"lz4": "4.3.2"}, "clients": [], "workers": []}
    here = {"python": "3.11"}
    facts["scheduler"]["python"] = "3.11"
    assert check_versions(facts, here).level == "ok"
    facts["scheduler"]["msgpack"] = "1.1.0"
    assert check_versions(facts, here).level == "warning"


def test_the_scheduler_needs_no_pandas():
    facts = {"scheduler": {"python": "3.11"}, "clients": [], "workers": []}
    assert check_versions(facts, {"python": "3.11", "pandas": "3.0"}).level == "ok"


SETTINGS = {
    "distributed.admin.low-level-log-length": 20,
    "distributed.admin.log-length": 50,
    "distributed.admin.max-error-length": 500,
    "distributed.diagnostics.erred-tasks.max-history": 2,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": None,
}


SCRIPT = """
from dask.distributed import Client, fire_and_forget, wait
def divides(x):
    y = x - 1
    return 1 / y
with Client({!r}) as client:
    future = client.submit(divides, 1)
    fire_and_forget(future)
    wait(future)
"""


@pytest.mark.skipif(
    not hasattr(cloudpickle.cloudpickle, "_code_reduce")
    or DYNAMIC not in inspect.getsource(cloudpickle.cloudpickle._code_reduce),
    reason="cloudpickle 3.1.3 is the first that leaves out the name of the file",
)
def test_what_it_means_that_the_source_is_dynamic_code(harmable):
    with harmable(n_workers=1) as client:
        script = SCRIPT.format(client.scheduler.address)
        subprocess.run([sys.executable, "-"], input=script.encode(), check=True)
        found = finding(dbgkit.doctor(), "source")
    assert found.level == "warning"
    assert "cloudpickle sends functions of notebooks and scripts as" in found.summary
    assert found.evidence == ("line 5 in divides: ZeroDivisionError",)
    assert "functions of a module that workers can import" in found.advice


def test_settings_that_hide_failures(harmable, tmp_path):
    with dask.config.set(SETTINGS), harmable(n_workers=1) as client:
        wait(client.map(tasks.boom, range(20)))
        client.run(set_level, logging.CRITICAL)
        found = dbgkit.doctor()
        dumped = dbgkit.doctor(view=dump_of(client, tmp_path))
    levels = {each.check: each.level for each in found.findings}
    for check in (
        "transition-log",
        "worker-logs",
        "failure-history",
        "tracebacks",
        "allowed-failures",
        "worker-ttl",
    ):
        assert levels[check] == "warning", check
    rolled_over = finding(found, "transition-log")
    assert "has rolled over" in rolled_over.summary
    assert "scheduler: 20" in rolled_over.evidence
    logs = finding(found, "worker-logs").evidence
    assert any(line.endswith("logs no errors") for line in logs)
    assert "a worker: 50" in logs
    assert "remembers only 2 failures" in finding(found, "failure-history").summary
    assert "a worker: 500" in finding(found, "tracebacks").evidence
    assert "has rolled over" in finding(dumped, "transition-log").summary
    assert finding(dumped, "allowed-failures") == finding(found, "allowed-failures")
    assert "a worker: 500" in finding(dumped, "tracebacks").evidence


def test_tracebacks_that_did_not_get_home(harmable):
    with harmable(n_workers=1) as client:
        held = client.submit(recurse, 200, key="deep-1")
        wait(held)
        found = finding(dbgkit.doctor(), "tracebacks")
    assert found.level == "warning"
    assert found.evidence == ("deep-1 arrived without its traceback",)


def test_a_full_history_of_failures(harmable):
    with harmable(n_workers=1, processes=False) as client:
        wait(client.map(tasks.boom, range(120)))
        found = finding(dbgkit.doctor(), "failure-history")
    assert found.level == "warning"
    assert "holds the last 100, since 20" in found.summary


def test_no_worker_at_all(harmable):
    with harmable(n_workers=0):
        found = dbgkit.doctor()
    assert found.findings[0].summary == "no worker is connected"
    assert not found.healthy


def test_a_worker_that_does_not_answer_and_one_that_dies_while_asked(harmable):
    with harmable(n_workers=2) as client:
        address, pid = next(iter(client.run(os.getpid).items()))
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        silent = finding(dbgkit.doctor(timeout="4s"), "workers")
        assert time.monotonic() - began < 6
        assert silent.level == "problem"
        assert silent.summary == "1 of 2 workers do not answer"
        assert silent.evidence == (f"worker {address}: did not answer",)
        os.kill(pid, signal.SIGKILL)
        found = dbgkit.doctor(timeout="10s")
        assert finding(found, "workers").level in ("ok", "problem")
        started_again(client, address, 2)


def test_looking_changes_nothing(client):
    held = client.map(tasks.boom_at, [1, 2, 3], bad=2)
    wait(held)
    with unchanged(client):
        dbgkit.doctor()


def test_an_asynchronous_client_is_awaited(processes):
    async def ask():
        async with Client(processes.scheduler_address, asynchronous=True):
            return await dbgkit.doctor()

    assert finding(asyncio.run(ask()), "workers").level == "ok"


def test_a_cluster_with_tls(tmp_path):
    security = Security.temporary()
    with (
        LocalCluster(
            n_workers=1,
            protocol="tls://",
            security=security,
            dashboard_address=":0",
        ) as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(tasks.boom, 1, key="boom-tls")
        wait(future)
        told = dbgkit.story(future)
        assert any(m.found_in.startswith("tls://") for m in told.moments)
        assert dbgkit.doctor().healthy
        dumped = dbgkit.story("boom-tls", view=dump_of(client, tmp_path))
        assert len(dumped.moments) == len(told.moments)


def test_secrets_of_a_dumps_configuration_are_not_shown(harmable, tmp_path):
    secret = {"my.password": "hunter2", "distributed.admin.max-error-length": "hunter2"}
    with dask.config.set(secret), harmable(n_workers=0, processes=False) as client:
        path = dump_of(client, tmp_path)
    assert "hunter2" not in json.dumps(dbgkit.doctor(view=path).to_json())
