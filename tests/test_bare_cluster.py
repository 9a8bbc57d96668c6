"""Schedulers and workers with Dask only; two versions of dbgkit on one scheduler."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cloudpickle
import pytest
from commands import dask_command
from distributed import Client, wait
from watching import clear_history, remove_extension, wait_until

import dbgkit
from dbgkit.cluster import extension, shipping
from dbgkit.cluster.extension import extension_name
from dbgkit.cluster.link import Link
from dbgkit.cluster.view import LiveView


@pytest.fixture(scope="module")
def dask_only(tmp_path_factory):
    """A folder with all that is installed here, but for dbgkit."""
    folder = tmp_path_factory.mktemp("dask-only")
    for name in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(name).iterdir():
            link = folder / entry.name
            # .pth files and their modules are how editable installs come in.
            if "dbgkit" in entry.name or "editable" in entry.name or link.exists():
                continue
            link.symlink_to(entry)
    return folder


def started(dask_only, folder, command, *options):
    """One of Dask's own commands, without this Python's site-packages."""
    python = [sys.executable, "-S"]
    return dask_command(python, folder, command, *options, path=dask_only)


@pytest.fixture(scope="module")
def bare(dask_only, tmp_path_factory):
    """A client of such a scheduler, and what starts workers for it."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder = tmp_path_factory.mktemp("bare")
    file = folder / "scheduler.json"
    options = ["--no-dashboard", "--scheduler-file", str(file)]
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(started(dask_only, folder, "scheduler", "--port", "0", *options))
        wait_until(file.exists, "the scheduler's file")
        client = enter(Client(scheduler_file=str(file), timeout=30))

        def more_workers(count):
            """One worker more, under a nanny; once it is there."""
            enter(started(dask_only, folder, "worker", "--nthreads", "1", *options))
            client.wait_for_workers(count, timeout=60)

        more_workers(1)
        yield client, more_workers
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def _by_value():
    """Functions that the cluster cannot import are sent by value."""

    def boom(x):
        raise ValueError(f"cannot take {x}")

    return boom


boom = _by_value()


def has_dbgkit():
    return importlib.util.find_spec("dbgkit") is not None


def present(client):
    """How many failures the scheduler has that it has not forgotten."""
    report = dbgkit.failures(client=client)
    return sum(group.count - group.forgotten for group in report.groups)


def test_nothing_of_dbgkit_is_needed_on_the_cluster(bare):
    client, more_workers = bare
    # GIVEN a cluster without dbgkit, and more than 10 kB of code to send
    assert client.run_on_scheduler(has_dbgkit) is False
    assert set(client.run(has_dbgkit).values()) == {False}
    size = sum(len(text) for _, text in shipping.sources_of("scheduler.extension"))
    assert size > 10_000
    # WHEN asked, THEN it answers
    futures = client.map(boom, range(3), pure=False)
    wait(futures)
    assert present(client) == 3
    assert dbgkit.tasks(client=client, failed=True).matched == 3
    with dbgkit.replay(futures[0]) as replay:
        assert replay.outcome == "same"
    # AND with a worker that joins late
    more_workers(2)
    late = list(client.scheduler_info(n_workers=-1)["workers"])[-1]
    future = client.submit(boom, 10, workers=[late], pure=False)
    wait(future)
    (row,) = dbgkit.tasks(client=client, keys=[future]).rows
    assert row.workers == (late,)
    assert present(client) == 4
    # AND after a nanny has restarted a worker
    pids = client.run(os.getpid)
    client.restart_workers(list(pids)[:1], timeout=60)
    wait_until(lambda: client.run(os.getpid) != pids, "the worker is another process")
    client.wait_for_workers(2, timeout=60)
    futures.append(client.submit(boom, 11, pure=False))
    wait(futures)
    assert present(client) == 5
    # AND after a restart of all
    client.restart(timeout=60)
    again = client.submit(boom, 12, pure=False)
    wait(again)
    assert present(client) == 1
    assert client.run_on_scheduler(has_dbgkit) is False


def test_the_recorder_needs_nothing_on_the_cluster_either(bare):
    client, more_workers = bare
    with dbgkit.record(client=client):
        future = client.submit(boom, 20, pure=False)
        wait(future)
        (recording,) = dbgkit.recordings(future, client=client).recordings
        assert dict(recording.frames[-1].locals)["x"].text == "20"
        # AND on a worker that joins late
        workers = client.scheduler_info(n_workers=-1)["workers"]
        more_workers(len(workers) + 1)
        late = list(client.scheduler_info(n_workers=-1)["workers"])[-1]
        future = client.submit(boom, 21, workers=[late], pure=False)
        wait(future)
        (recording,) = dbgkit.recordings(future, client=client).recordings
        assert recording.worker == late
        assert dict(recording.frames[-1].locals)["x"].text == "21"
    assert client.run_on_scheduler(has_dbgkit) is False


# -- two versions ------------------------------------------------------------


@contextmanager
def other_version(monkeypatch):
    """As a client would be that has another version of the code to send."""
    sources = shipping.sources_of("scheduler.extension")
    with monkeypatch.context() as patch:
        patch.setattr(
            shipping,
            "sources_of",
            lambda module: tuple((n, f"{text}\n# other\n") for n, text in sources),
        )
        patch.setattr(shipping, "digest_of", shipping.digest_of.__wrapped__)
        patch.setattr(extension, "digest_of", shipping.digest_of)
        yield


def test_two_versions_do_not_disturb_each_other(inproc, monkeypatch):
    with (
        Client(inproc) as client,
        Client(inproc.scheduler_address, set_as_default=False) as other,
    ):
        remove_extension(client)
        # Of many groups of failures the report leaves some out.
        client.run_on_scheduler(clear_history)
        future = client.submit(boom, 1, key="of-two-versions")
        wait(future)
        mine = extension_name()
        with other_version(monkeypatch):
            theirs = extension_name()
            assert theirs != mine
            assert LiveView(Link(other, 30)).ask("failures", {})["total"] >= 1
        assert present(client) == 1
        # Both are there, each with its own handlers and its own index.
        plugins, handlers = client.run_on_scheduler(names)
        assert {mine, theirs} <= set(plugins)
        for name in (mine, theirs):
            assert f"{name}-ask" in handlers
        # WHEN one is taken off, THEN the other still answers
        with other_version(monkeypatch):
            remove_extension(other)
        plugins, handlers = client.run_on_scheduler(names)
        assert mine in plugins and theirs not in plugins
        assert not [name for name in handlers if name.startswith(theirs)]
        assert present(client) == 1


def names(dask_scheduler):
    return list(dask_scheduler.plugins), list(dask_scheduler.handlers)
