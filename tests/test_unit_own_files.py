"""Files of ours where others can write: whose they are, what is made of others'."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import stat
import tempfile
import threading
import time
from pathlib import Path

import hostile_files
import psutil
import pytest
from hostile_files import OTHER, as_root, hung, within

from dbgkit.diagnose.deaths.explain import death_from_fact
from dbgkit.remote.common.boxes import SIZE, own_box, read_box, read_boxes_of
from dbgkit.remote.common.own_files import NotOwn, OwnFolder
from dbgkit.remote.common.own_thread import TooSlow, apart, in_time
from dbgkit.remote.scheduler.deaths import removal_fact, unpack_keys
from dbgkit.remote.scheduler.deaths_store import DeathStore
from dbgkit.remote.worker.black_box import BlackBox
from dbgkit.remote.worker.black_box_folders import folder_in, make_file
from dbgkit.remote.worker.pool_files import PoolFiles, leave

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners"),
]

WORKER, SCHEDULER = "tcp://10.0.0.1:1", "tcp://10.0.0.1:9"


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, which is empty."""
    found = tmp_path / "temporary"
    found.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(found))
    return found


@pytest.fixture
def usual(temporary):
    """Where the folder for boxes is, once it is there."""
    return folder_in(str(temporary))


@pytest.fixture
def box(temporary):
    """A box with one task, and a crash."""
    found = BlackBox(WORKER, "", SCHEDULER, crashes=False)
    found.begin("x-1", 10)
    with OwnFolder(os.path.dirname(found.path)) as there:
        name = f"{os.path.basename(found.path)}.stack"
        there.create(name, f"{found.nonce}\nFatal".encode()).close()
    yield found
    found.close(for_good=True)


# -- the folder ------------------------------------------------------------------------


def of_others(path):
    os.mkdir(path, 0o700)
    os.chown(path, OTHER, OTHER)


def open_to_all(path):
    os.mkdir(path)
    os.chmod(path, 0o1777)


def open_to_group(path):
    os.mkdir(path)
    os.chmod(path, 0o770)


def linked(path):
    os.mkdir(f"{path}-target", 0o700)
    os.symlink(f"{path}-target", path)


FOLDERS = {
    of_others: "belongs to user 54321",
    open_to_all: "others can write to it (mode 1777)",
    open_to_group: "others can write to it (mode 770)",
    linked: "it is a link, not a folder",
    hostile_files.loose_link: "it is a link, not a folder",
    hostile_files.pipe: "it is a pipe, not a folder",
    hostile_files.empty: "it is a file, not a folder",
    hostile_files.unix_socket: "it is a socket, not a folder",
}


@as_root
@pytest.mark.parametrize("make", FOLDERS, ids=lambda make: make.__name__)
def test_a_folder_that_is_not_ours_is_not_the_end(make, usual, temporary):
    make(usual)
    before = os.lstat(usual)
    with within(5.0):
        box = BlackBox(WORKER, "", SCHEDULER, crashes=True)
    private = os.path.dirname(box.path)
    assert os.path.dirname(private) == str(temporary) and private != usual
    assert stat.S_IMODE(os.stat(private).st_mode) == 0o700
    assert box.refused.startswith(usual) and FOLDERS[make] in box.refused
    box.begin("x-1", 10)
    assert [t["key"] for t in own_box(box.path, box.nonce)["tasks"]] == [b"\xa3x-1"]
    box.close(for_good=True)
    assert not os.path.exists(private)
    assert os.lstat(usual)[:3] == before[:3] and os.lstat(usual).st_uid == before.st_uid
    if os.path.isdir(usual):
        assert not os.listdir(usual)


def test_a_folder_of_ours_is_taken_and_goes_with_the_last_box(usual, temporary):
    first = BlackBox(WORKER, "", SCHEDULER, crashes=False)
    second = BlackBox(WORKER, "", SCHEDULER, crashes=False)
    assert {os.path.dirname(each.path) for each in (first, second)} == {usual}
    assert first.refused == second.refused == "" and first.nonce != second.nonce
    first.close(for_good=False)
    second.close(for_good=False)
    assert not list(temporary.iterdir())


def test_names_that_are_taken_lead_to_a_private_folder(usual):
    os.mkdir(usual, 0o700)
    for number in range(1, 100):
        os.symlink("/nowhere", os.path.join(usual, f"1-1.00.{number}"))
    os.symlink("/nowhere", os.path.join(usual, "1-1.00"))
    made = make_file("1-1.00")
    made.file.close()
    assert os.path.dirname(made.path) != usual and "taken" in made.refused


def test_a_folder_with_100_000_files_costs_no_time(usual):
    os.mkdir(usual, 0o700)
    old = time.time() - 100_000
    for number in range(100_000):
        path = os.path.join(usual, f"{number}-1.00")
        os.close(os.open(path, os.O_CREAT, 0o600))
        os.utime(path, (old, old))
    with within(5.0):
        box = BlackBox(WORKER, "", SCHEDULER, crashes=False)
        box.close(for_good=True)


@as_root
def test_a_private_folder_of_a_dead_worker_is_swept(usual, temporary):
    of_others(usual)
    left = temporary / f"{os.path.basename(usual)}-abc"
    left.mkdir(mode=0o700)
    box = left / "999999999-1.00"
    hostile_files.empty(box)
    os.utime(box, (0, 0))
    BlackBox(WORKER, "", SCHEDULER, crashes=False).close(for_good=False)
    assert not left.exists()


# -- the box ---------------------------------------------------------------------------


def of_another(path):
    Path(path).write_bytes(bytes(SIZE))
    os.chmod(path, 0o600)
    os.chown(path, OTHER, OTHER)


def writable(path):
    Path(path).write_bytes(bytes(SIZE))
    os.chmod(path, 0o666)


BOXES = {
    hostile_files.pipe: "it is a pipe, not a file",
    hostile_files.link: "it is a link, not a file",
    hostile_files.loose_link: "it is a link, not a file",
    hostile_files.folder: "it is a folder, not a file",
    hostile_files.unix_socket: "it is a socket, not a file",
    hostile_files.endless: "it is a device, not a file",
    hostile_files.huge: "it is not a black box",
    hostile_files.empty: "it is not a black box",
    of_another: "belongs to user 54321",
    writable: "others can write to it",
}


@as_root
@pytest.mark.parametrize("make", BOXES, ids=lambda make: make.__name__)
def test_what_stands_in_place_of_a_box_is_named_at_once(make, box):
    kept = f"{box.path}-kept"
    os.rename(box.path, kept)
    make(box.path)
    used = psutil.Process().memory_info().rss
    with within(1.0), pytest.raises(NotOwn) as caught:
        own_box(box.path, box.nonce)
    assert BOXES[make] in caught.value.strerror
    assert caught.value.filename == box.path
    assert psutil.Process().memory_info().rss - used < 50_000_000
    if os.path.isdir(box.path):
        os.rmdir(box.path)
    else:
        os.unlink(box.path)
    os.rename(kept, box.path)


def test_a_box_with_another_nonce_is_not_believed(box):
    assert own_box(box.path, box.nonce)["worker"] == WORKER
    with pytest.raises(NotOwn, match="not the one that the worker made"):
        own_box(box.path, "0" * 32)


def test_a_stack_without_the_nonce_is_not_believed(box):
    assert own_box(box.path)["stack"] == "Fatal"
    Path(f"{box.path}.stack").write_text("Fatal Python error: made up\n")
    assert own_box(box.path)["stack"] == ""


@as_root
@pytest.mark.parametrize("make", BOXES, ids=lambda make: make.__name__)
def test_what_stands_in_place_of_a_stack_is_no_stack(make, box):
    os.unlink(f"{box.path}.stack")
    make(f"{box.path}.stack")
    with within(2.0):
        assert own_box(box.path, box.nonce)["stack"] == ""
    if os.path.isdir(f"{box.path}.stack"):
        os.rmdir(f"{box.path}.stack")


def test_any_bytes_are_a_box_or_none_and_end_in_a_death(box):
    whole, chance = Path(box.path).read_bytes(), random.Random(9)
    # Not the box itself: what is mapped must not be cut.
    path = f"{box.path}.2"
    message = {"worker": WORKER, "expected": False}
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 10, 1_000, 60_000])):
            data[chance.randrange(SIZE)] = chance.randrange(256)
        at = chance.randrange(SIZE - 100)
        data[at : at + 100] = chance.randbytes(100)
        data[1_024:1_032] = chance.randbytes(8)
        if chance.random() < 0.5:
            data[:1_024] = whole[:1_024]  # so that more of it is looked at
        Path(path).write_bytes(data[: chance.choice([SIZE, SIZE, SIZE, 5_000])])
        os.chmod(path, 0o600)
        found = read_box(path)
        if found is None:
            continue
        unpack_keys(found, ["x-1"])
        fact = {**removal_fact(time.time(), message, ""), "box": found}
        assert death_from_fact(fact).verdict
    os.unlink(path)


def ask(boxes):
    return asyncio.run(read_boxes_of(boxes))


def told_of(box):
    """What a worker tells of its box."""
    pid = os.getpid()
    return {"worker": WORKER, "pid": pid, "path": box.path, "nonce": box.nonce}


def test_a_sibling_reads_what_was_told_of_and_says_what_it_cannot(box):
    (found,) = ask([told_of(box)])
    assert found["alive"] and [t["key"] for t in found["tasks"]] == [b"\xa3x-1"]
    (forged,) = ask([{**told_of(box), "nonce": "no"}])
    assert "not the one that the worker made" in forged["unread"]
    assert forged["unread"].startswith(box.path)
    assert ask([{**told_of(box), "path": f"{box.path}-gone"}]) == []


@as_root
def test_a_sibling_waits_once_for_a_file_system_that_hangs(box, temporary):
    with hung(str(temporary / "hung")):
        slow = {**told_of(box), "path": str(temporary / "hung" / "1-1.00")}
        with within(4.0):
            found = ask([slow] * 20)
        assert all("longer than 2 s" in each["unread"] for each in found)
        assert len(found) == 20


# -- what the scheduler believes -------------------------------------------------------


def reported(nonce):
    box = {"nonce": nonce, "tasks": [], "ended": [], "worker": WORKER, "pid": 17}
    return {
        "worker": WORKER,
        "pid": 17,
        "when": time.time(),
        "code": -9,
        "box": box,
        "error": "",
    }


@pytest.mark.parametrize("nonce", ["", "another", None, 7])
def test_a_scheduler_drops_a_box_that_its_worker_has_not_told_of(nonce):
    store = DeathStore("deaths", b"")
    asyncio.run(store.on_box(WORKER, "", 17, "/tmp/box", "right"))
    store.add_report(reported(nonce))
    (report,) = store.reports.values()
    assert report["box"] is None
    assert "that its worker reported" in report["error"]


def test_a_scheduler_drops_a_box_of_which_nobody_has_told():
    store = DeathStore("deaths", b"")
    store.add_report(reported(""))
    (report,) = store.reports.values()
    assert report["box"] is None


def test_a_scheduler_keeps_what_was_told_within_bounds():
    async def tell():
        store = DeathStore("deaths", b"")
        for pid in range(10_100):
            await store.on_box(WORKER, "", pid, "/tmp/box", "n")
        return len(store.boxes)

    assert asyncio.run(tell()) == 10_000


# -- apart from event loops ------------------------------------------------------------


def test_what_comes_too_late_is_handed_to_whom_it_concerns():
    go, late = threading.Event(), []

    def wait():
        go.wait(10)
        return 7

    async def ask():
        with pytest.raises(TooSlow, match=r"longer than 0\.1 s"):
            await apart(wait, limit=0.1, late=late.append)
        go.set()
        while not late:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(ask(), 10))
    assert late == [7]


def test_what_comes_in_time_is_returned_or_raised():
    def fail():
        raise OSError(errno.EIO, "broken")

    assert asyncio.run(apart(divmod, 7, 2, limit=5)) == (3, 1)
    assert in_time(divmod, 7, 2, limit=5) == (3, 1)
    with pytest.raises(OSError, match="broken"):
        asyncio.run(apart(fail, limit=5))
    with pytest.raises(OSError, match="broken"):
        in_time(fail, limit=5)


# -- what children of process pools leave ----------------------------------------------


def test_a_pools_child_leaves_what_is_taken_once(temporary):
    files = PoolFiles()
    path = files.new(str(temporary))
    with pytest.raises(FileNotFoundError):
        files.take(path, 100)
    leave(path, b"recording")
    assert files.take(path, 100) == b"recording"
    assert not os.listdir(files.folder)
    asyncio.run(files.close())
    assert not list(temporary.iterdir())


def made_up(path):
    Path(path).write_bytes(b"x" * 100)
    os.chmod(path, 0o600)


@as_root
@pytest.mark.parametrize(
    "make",
    [made_up, *(each for each in BOXES if each is not hostile_files.folder)],
    ids=lambda make: make.__name__,
)
def test_what_others_put_there_is_not_taken(make, temporary):
    files = PoolFiles()
    path = files.new(str(temporary))
    make(path)
    with within(2.0), pytest.raises(NotOwn):
        files.take(path, 1_000)
    asyncio.run(files.close())


def test_more_than_was_agreed_is_not_taken(temporary):
    files = PoolFiles()
    path = files.new(str(temporary))
    leave(path, b"x" * 1_001)
    with pytest.raises(NotOwn):
        files.take(path, 1_000)
    asyncio.run(files.close())


@as_root
def test_a_file_system_that_hangs_is_waited_for_once(temporary):
    files = PoolFiles()
    files.folder = str(temporary / "hung")
    with hung(files.folder):
        path = os.path.join(files.folder, "x" * 32)
        with within(2.0), pytest.raises(TooSlow):
            files.take(path, 100)
        with within(0.1):
            with pytest.raises(TooSlow):
                files.take(path, 100)
            with pytest.raises(TooSlow):
                files.new(str(temporary))
