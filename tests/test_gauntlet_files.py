"""Clusters whose black boxes others can reach: nobody waits, and no lie is told."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import dask
import hostile_files
import psutil
import pytest
from conftest import RECORDER_OFF, own_cluster
from deaths_tasks import PATIENT, gone, loop, running, workers
from distributed import wait
from hostile_files import OTHER, as_root, hung, within
from watching import wait_until

import dbgkit
from dbgkit.remote.common.boxes import SIZE
from dbgkit.remote.worker.black_box_folders import folder_in

pytestmark = as_root

ON = 20.0  # seconds for record() and deaths() on a busy machine; they took for ever


def boxes_there(dask_worker):
    """Path of a worker's black box."""
    plugins = dask_worker.plugins.values()
    return next((each.box.path for each in plugins if getattr(each, "box", None)), "")


@contextmanager
def cluster_in(place, **options):
    """A cluster whose folder for temporary files is this one."""
    before = os.environ.get("TMPDIR")
    variable = {"TMPDIR": str(place)}
    os.environ.update(variable)
    try:
        temporary = {"temporary-directory": str(place / "dask")}
        with (
            dask.config.set({**PATIENT, **RECORDER_OFF, **temporary}),
            # Workers that are forked off would have the folder of what they are forked
            # off.
            own_cluster(threads_per_worker=1, env=variable, **options) as client,
        ):
            yield client
            client.wait_for_workers(options["n_workers"], timeout=60)
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


def kill_while_it_runs(client, key):
    """Kill a worker while it runs a task; returns its address, and the future."""
    never = str(Path(tempfile.gettempdir()) / "never-there")
    future = client.submit(loop, never, key=key, pure=False)
    worker = running(client, key)
    return worker, workers(client)[worker], future


def finding(client, check):
    found = dbgkit.doctor(client=client).findings
    return next((each for each in found if each.check == check), None)


# -- a folder that is not ours ---------------------------------------------------------


def open_to_all(folder):
    """Others' pipes, as many as there are process ids that may come."""
    os.mkdir(folder)
    os.chmod(folder, 0o1777)
    for pid in range(2, 3_000):
        os.mkfifo(os.path.join(folder, f"{pid}-1.00"))


def of_another(folder):
    os.mkdir(folder, 0o700)
    os.chown(folder, OTHER, OTHER)


@pytest.fixture
def place(tmp_path):
    """A folder for temporary files; its path is short enough for sockets."""
    found = Path(tempfile.mkdtemp(prefix="files-", dir="/tmp"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.mark.parametrize("make", [open_to_all, of_another, hostile_files.pipe])
def test_who_was_first_changes_nothing_but_the_place(place, make):
    usual = folder_in(str(place))
    make(usual)
    with cluster_in(place, n_workers=2) as client:
        with within(ON):
            recorder = dbgkit.record(client=client)
        paths = client.run(boxes_there)
        folders = {os.path.dirname(path) for path in paths.values()}
        assert usual not in folders and len(folders) == 2
        told = finding(client, "black-boxes")
        assert told.level == "warning" and "2 workers" in told.summary
        assert all(usual in line and str(place) in line for line in told.evidence)
        # WHEN a worker dies THEN its nanny has read its box where that was
        worker, pid, future = kill_while_it_runs(client, "loop-apart")
        os.kill(pid, signal.SIGKILL)
        wait(future)
        with within(ON):
            death = gone(client, worker)
        assert (death.verdict, death.signal) == ("signal", "SIGKILL")
        (task,) = death.ran
        assert task.key == "loop-apart" and task.line.endswith("in loop")
        assert not death.notes
        client.wait_for_workers(2, timeout=60)
        wait_until(lambda: all(client.run(boxes_there).values()), "boxes are back")
        recorder.off()
        left = [each for each in os.listdir(place) if each.startswith("dbgkit-boxes")]
        assert left == [os.path.basename(usual)]


def test_a_usual_folder_is_no_finding(shared):
    assert finding(shared, "black-boxes") is None


def test_a_file_system_that_hangs_keeps_nobody(place):
    usual = folder_in(str(place))
    with cluster_in(place, n_workers=1) as client, hung(usual):
        with within(ON):
            recorder = dbgkit.record(client=client)
        told = finding(client, "recorder")
        assert told.level == "warning"
        assert any("longer than" in line for line in told.evidence)
        # THEN a death is told, though not what ran
        future = client.submit(os._exit, 3, key="leave-1")
        wait(future)
        with within(ON):
            (death,) = dbgkit.deaths(client=client)
        assert (death.verdict, death.exit_code) == ("exit", 3)
        client.wait_for_workers(1, timeout=60)
        with within(ON):
            recorder.off()


def test_a_file_system_that_comes_to_hang_keeps_nobody(place):
    usual = folder_in(str(place))
    with cluster_in(place, n_workers=1) as client:
        recorder = dbgkit.record(client=client)
        worker, pid, future = kill_while_it_runs(client, "loop-hung")
        with hung(usual):
            os.kill(pid, signal.SIGKILL)
            wait(future)
            with within(ON):
                death = gone(client, worker)
                assert death.verdict == "signal"
                assert any("longer than" in note for note in death.notes)
            with within(ON):
                assert dbgkit.doctor(client=client).findings
        client.wait_for_workers(1, timeout=60)
        recorder.off()


# -- a box that is not the worker's ----------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cluster whose workers may die, the recorder on."""
    found = Path(tempfile.mkdtemp(prefix="files-", dir="/tmp"))
    with (
        cluster_in(found, n_workers=2) as client,
        dbgkit.record(client=client),
    ):
        yield client
        client.wait_for_workers(2, timeout=60)
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def client(shared):
    shared.wait_for_workers(2, timeout=60)
    wait_until(lambda: all(shared.run(boxes_there).values()), "all have their boxes")
    return shared


def forged(path, kept):
    """What was there, of another task, under another nonce."""
    data = Path(kept).read_bytes().replace(b"loop-", b"lies-")
    at = data.index(b"nonce") + 7
    Path(path).write_bytes(data[:at] + b"0" * 32 + data[at + 32 :])
    os.chmod(path, 0o600)


def of_others(path, kept):
    shutil.copy(kept, path)
    os.chown(path, OTHER, OTHER)


def link(path, kept):
    os.symlink(kept, path)


def pipe(path, kept):
    os.mkfifo(path, 0o600)


def folder(path, kept):
    os.mkdir(path)


def huge(path, kept):
    hostile_files.huge(path)


def noise(path, kept):
    Path(path).write_bytes(os.urandom(SIZE))
    os.chmod(path, 0o600)


FORGED = {
    forged: "not the one that the worker made",
    of_others: "belongs to user 54321",
    link: "it is a link, not a file",
    pipe: "it is a pipe, not a file",
    folder: "it is a folder, not a file",
    huge: "it is not a black box",
    noise: "it is not a black box",
}


@pytest.mark.parametrize("make", FORGED, ids=lambda make: make.__name__)
def test_what_stands_in_place_of_a_box_is_told_and_not_believed(client, make):
    key = f"loop-{make.__name__}"
    worker, pid, future = kill_while_it_runs(client, key)
    path = client.run(boxes_there, workers=[worker])[worker]
    os.rename(path, f"{path}-kept")
    make(path, f"{path}-kept")
    os.kill(pid, signal.SIGKILL)
    wait(future)
    with within(ON):
        death = gone(client, worker)
    assert (death.verdict, death.signal) == ("signal", "SIGKILL")
    (note,) = (each for each in death.notes if "black box" in each)
    assert FORGED[make] in note and path in note
    assert "lies-" not in str(death) and {*death.keys, *death.queued} == {key}
    with within(ON):
        assert not client.submit(bool, 0, pure=False).result()
    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    os.unlink(f"{path}-kept")


def test_boxes_of_earlier_runs_are_not_taken_for_those_of_now(client):
    worker, pid, future = kill_while_it_runs(client, "loop-now")
    path = client.run(boxes_there, workers=[worker])[worker]
    # GIVEN boxes of processes that had the same id before, and that ran other things
    earlier = [f"{os.path.dirname(path)}/{pid}-{number}.00" for number in range(1, 50)]
    for each in earlier:
        forged(each, path)
    os.kill(pid, signal.SIGKILL)
    wait(future)
    death = gone(client, worker)
    assert death.keys == ("loop-now",) and not death.notes
    for each in earlier:
        os.unlink(each)


def test_a_box_that_was_there_first_is_not_the_workers(client):
    # GIVEN what has the name that a worker's box would have: it takes another one
    worker, pid, future = kill_while_it_runs(client, "loop-second")
    path = client.run(boxes_there, workers=[worker])[worker]

    def again(dask_worker):
        plugins = dask_worker.plugins.values()
        (old,) = (each.box for each in plugins if getattr(each, "box", None))
        new = type(old)(dask_worker.address, dask_worker.nanny, "", False)
        found = new.path
        new.close(for_good=False)
        return found

    (second,) = client.run(again, workers=[worker]).values()
    assert second == f"{path}.2"
    os.kill(pid, signal.SIGKILL)
    wait(future)
    assert gone(client, worker).keys == ("loop-second",)


def test_a_nanny_is_told_of_a_box_although_it_began_to_watch_later(client):
    worker, pid, future = kill_while_it_runs(client, "loop-later")
    nanny = next(
        each
        for each in client.cluster.workers.values()
        if each.worker_address == worker
    )
    ((name, watch),) = nanny.plugins.items()

    async def set_up_again():
        nanny.plugins[name] = again = type(watch)(watch.topic)
        await watch.teardown(nanny)
        await again.setup(nanny)

    client.cluster.sync(set_up_again)
    os.kill(pid, signal.SIGKILL)
    wait(future)
    assert gone(client, worker).keys == ("loop-later",)


def test_no_descriptors_or_threads_are_left_by_reading(client):
    def count():
        here = psutil.Process()
        return here.num_fds()

    before = count()
    for number in range(3):
        worker, pid, future = kill_while_it_runs(client, f"loop-{number}")
        os.kill(pid, signal.SIGKILL)
        wait(future)
        assert gone(client, worker).ran
        client.wait_for_workers(2, timeout=60)
    wait_until(lambda: count() <= before + 6, "no descriptor is left")
