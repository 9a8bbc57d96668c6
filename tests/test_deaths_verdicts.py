"""Verdicts on deaths that no test can bring about, and what the kernel counts."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dbgkit.diagnose.deaths.explain import death_from_fact, tell_of
from dbgkit.model import Deaths
from dbgkit.remote.common.boxes import (
    HISTORY,
    LOGGED_LINES,
    MOVING,
    MOVING_AT,
    SIZE,
    SLOTS,
    own_box,
    read_box,
    remove_box,
)
from dbgkit.remote.nanny.deaths import oom_kills
from dbgkit.remote.scheduler.deaths import removal_fact, unpack_keys
from dbgkit.remote.scheduler.deaths_store import DeathStore
from dbgkit.remote.worker.black_box import BlackBox
from dbgkit.remote.worker.black_box_folders import KEPT, make_file
from dbgkit.remote.worker.black_box_logs import MOST
from dbgkit.render.deaths import view_death, view_deaths


def fact(reason="", stimulus="handle-worker-cleanup-1", expected=False, **known):
    """What is known of a worker's end."""
    msg = {
        "worker": "tcp://10.0.0.1:1",
        "expected": expected,
        "stimulus_id": stimulus,
        "processing-tasks": {"x-1"},
    }
    return {**removal_fact(time.time(), msg, reason), "pid": 17, **known}


def report(code, **known):
    """What a nanny reports."""
    return {
        "worker": "tcp://10.0.0.1:1",
        "pid": 17,
        "when": time.time(),
        "code": code,
        "box": None,
        "closed": False,
        "kills": {},
        "lines": [],
        "error": "",
        **known,
    }


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        ({"report": report(3)}, "exit"),
        ({"report": report(-11)}, "signal"),
        ({"report": report(-9)}, "signal"),
        ({"report": report(-9, kills={"cgroup": 1, "host": 1})}, "out-of-memory"),
        ({"report": report(-9, kills={"cgroup": 0, "host": 1})}, "out-of-memory"),
        ({"report": report(-15, kills={"cgroup": 1})}, "signal"),
        ({"report": report(255)}, "unknown"),
        ({"report": report(0)}, "unknown"),
        ({"report": report(0, closed=True)}, "lost-connection"),
        ({"report": report(0), "reason": "nanny-kill"}, "closed-on-purpose"),
        ({"report": report(-9), "reason": "nanny-kill"}, "closed-on-purpose"),
        ({"expected": True}, "closed-on-purpose"),
        ({"reason": "worker-heartbeat-missing"}, "lost-connection"),
        ({"stimulus": "check-worker-ttl-1"}, "lost-connection"),
        ({"reason": "worker-handle-x-fail-hard"}, "exit"),
        ({}, "unknown"),
        ({"nanny": "tcp://10.0.0.1:2"}, "unknown"),
    ],
)
def test_the_verdict_is_never_more_than_the_evidence(known, verdict):
    death = death_from_fact(fact(**known))
    assert death.verdict == verdict
    assert verdict == "unknown" or death.evidence
    assert not death.ran_known and death.queued == ("x-1",)


def test_a_signal_of_another_system_has_its_number():
    death = death_from_fact(fact(report=report(-60)))
    assert death.signal in ("signal 60", "SIGRTMAX-4")


STACK = "Fatal Python error: Segmentation fault\nCurrent thread 0x01 (most recent)"


def box_fact(**known):
    """What a black box says."""
    found = {"sampled": time.time(), "memory": 1, "left_out": 0, "crashes": "on"}
    found |= {"tasks": [], "ended": [], "stack": ""}
    return {**found, "history": [], "logged": [], "unlogged": 0, "stderr": "", **known}


@pytest.mark.parametrize(("code", "kept"), [(-11, True), (255, True), (-9, False)])
def test_a_stack_is_of_the_signal_that_ended_it(code, kept):
    death = death_from_fact(fact(report=report(code, box=box_fact(stack=STACK))))
    assert bool(death.stack) == kept


def test_a_task_that_ended_unheard_is_told_from_one_that_never_ran(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = BlackBox("tcp://10.0.0.1:1", "", "", False)
    made.end(made.begin(("x", 1), 10))  # its slot is taken by the next one
    made.end(made.begin("heard-of", 10))
    made.end(made.begin("x-1", 20))
    found = read_box(made.path)
    made.close(for_good=False)
    unpack_keys(found, ["x-1", "queued-1"])
    known = fact(report=report(-6, box=found))
    known["processing"].append("queued-1")
    death = death_from_fact(known)
    (task,) = death.ran
    assert (task.key, task.ended, task.inputs) == ("x-1", True, 20)
    assert death.queued == ("queued-1",)
    assert death.summary.endswith("after it had run 'x-1'")
    assert "after running it" in tell_of("x-1", [death])


def test_a_name_that_is_the_address_is_shown_once():
    known = fact(name="tcp://10.0.0.1:1", host="10.0.0.1")
    shown = dict(view_death(death_from_fact(known)).lines)["where"]
    assert shown.count("tcp://10.0.0.1:1") == 1


# -- what the scheduler holds ----------------------------------------------------------


def test_what_was_dropped_is_counted():
    store = DeathStore("deaths", b"")
    store.deaths = deque(maxlen=3)
    for number in range(5):
        store.add_removal({"worker": f"tcp://10.0.0.1:{number}", "expected": True})
    told = asyncio.run(store.on_list(limit=2))
    assert [death["worker"][-1] for death in told["deaths"]] == ["4", "3"]
    assert (told["total"], told["omitted"]) == (5, 3)


def test_deaths_stay_alike_where_the_job_was_let_go_of_between_them():
    store = DeathStore("deaths", b"")
    prefix = SimpleNamespace(name="load-it")
    ts = SimpleNamespace(key="load-it-1", prefix=prefix, dependencies=())
    store.scheduler = SimpleNamespace(tasks={"load-it-1": ts})
    for number, key in enumerate(["load-it-1", "load-it-2", ("load-it", 3)]):
        store.executing[f"tcp://10.0.0.1:{number}"] = [(key, 1.0)]
        gone = {"worker": f"tcp://10.0.0.1:{number}", "expected": False}
        store.add_removal({**gone, "processing-tasks": {key}})
    found = [death_from_fact(each) for each in store.deaths]
    assert [task.prefix for each in found for task in each.ran] == ["load-it"] * 3
    (shown,) = view_deaths(Deaths(tuple(found), total=3)).deaths
    assert ("alike", "2 more") in [(word, text[:6]) for word, text in shown.lines]


def test_an_end_that_nobody_noticed_is_told_and_counted():
    store = DeathStore("deaths", b"")
    task = {"key": b"\xa3x-1", "text": "", "start": 0.0, "line": "", "line_at": 0.0}
    task |= {"first": "", "raised": ""}
    task.update(inputs=0, thread=0, coroutine=False)
    found = box_fact(tasks=[task], nonce="n")
    ended = report(3, box=found, name="one", nanny="", when=time.time() - 10)
    asyncio.run(store.on_box(ended["worker"], "", ended["pid"], "/tmp/box", "n"))
    store.add_report(ended)
    told = asyncio.run(store.on_list())
    assert told["total"] == len(told["deaths"]) == 1
    assert death_from_fact(told["deaths"][0]).keys == ("x-1",)
    assert task["key"] == b"\xa3x-1"  # until its worker is removed


# -- boxes on disk ---------------------------------------------------------------------


@pytest.mark.parametrize("first", ["removal", "event"])
def test_a_young_worker_is_told_by_its_process_as_its_nanny_has_an_old_address(first):
    store = DeathStore("deaths", b"")
    store.is_on = True
    known = {"name": 0, "host": "", "nanny": "", "nthreads": 1, "memory_limit": 0}
    for pid in (6, 7):
        ws = SimpleNamespace(pid=pid, metrics={}, last_seen=time.time(), **known)
        store.workers[f"tcp://10.0.0.1:{pid}"] = ws
    event = {"worker": "tcp://10.0.0.1:6", "pid": 7, "rss": 10**9}
    calls = [
        lambda: store.add_removal({"worker": "tcp://10.0.0.1:6", "expected": False}),
        lambda: store.add_removal({"worker": "tcp://10.0.0.1:7", "expected": False}),
        lambda: store.log_event("worker-restart-memory", event),
    ]
    for call in calls if first == "removal" else [calls[0], calls[2], calls[1]]:
        call()
    assert [bool(death["over"]) for death in store.deaths] == [False, True]


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            BlackBox("tcp://10.0.0.1:1", "", "", False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses to cut what is mapped")
def test_a_box_that_is_written_to_is_not_cut_off_by_accident(tmp_path, monkeypatch):
    """Who writes into a map of a file that was cut off dies of SIGBUS."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    box = BlackBox("tcp://10.0.0.1:1", "", "", False)
    try:
        assert os.stat(box.path).st_mode & 0o777 == 0o400
        if os.geteuid():
            with pytest.raises(PermissionError):
                os.truncate(box.path, 0)
        box.end(box.begin("a", 1))
        assert read_box(box.path, box.nonce) is not None
    finally:
        box.close(for_good=False)
    assert not list(tmp_path.rglob("*"))


TWO_BOXES = """
import ctypes, faulthandler, os, sys, time
from dbgkit.remote.worker.black_box import BlackBox
from dbgkit.remote.common.boxes import read_box

def watched(box):
    return read_box(box.path, box.nonce)["crashes"]

first, second = (BlackBox("tcp://10.0.0.1:1", "", name, True) for name in "ab")
assert (watched(first), watched(second)) == ("on", "elsewhere")
second.close(for_good=False)
assert faulthandler.is_enabled() and watched(first) == "on"
second = BlackBox("tcp://10.0.0.1:1", "", "b", True)
first.close(for_good=False)
end = time.monotonic() + 20
while watched(second) != "on" and time.monotonic() < end:
    time.sleep(0.02)
assert faulthandler.is_enabled()
print(second.path, flush=True)
if sys.argv[1] == "crash":
    ctypes.string_at(0)
second.close(for_good=False)
assert not faulthandler.is_enabled()
"""


@pytest.mark.skipif(os.name == "nt", reason="crashes end in other ways there")
@pytest.mark.parametrize("ending", ["crash", "off"])
def test_of_two_versions_the_one_that_stays_gets_the_crashes(tmp_path, ending):
    """There is one place for them in a process, which the first one has."""
    run = subprocess.run(
        [sys.executable, "-c", TWO_BOXES, ending],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if ending == "off":
        assert run.returncode == 0, run.stderr
        assert not list(tmp_path.rglob("*-*.*"))
        return
    box = read_box(run.stdout.strip())
    assert box is not None, run.stderr
    assert box["crashes"] == "on"
    assert "Segmentation fault" in box["stack"]


THE_USERS_OWN = """
import ctypes, faulthandler, os, sys, time
from dbgkit.remote.worker.black_box import BlackBox
from dbgkit.remote.common.boxes import read_box

def watched(box):
    return read_box(box.path, box.nonce)["crashes"]

box = BlackBox("tcp://10.0.0.1:1", "", "", True)
assert watched(box) == "on"
own = open(sys.argv[1], "w")
faulthandler.enable(own)
if sys.argv[2] == "seen":
    end = time.monotonic() + 20
    while watched(box) != "elsewhere":
        assert time.monotonic() < end
        time.sleep(0.02)
box.close(for_good=False)
assert faulthandler.is_enabled()
ctypes.string_at(0)
"""


@pytest.mark.skipif(os.name == "nt", reason="crashes end in other ways there")
@pytest.mark.parametrize("when", ["seen", "at once"])
def test_a_faulthandler_that_the_user_enables_later_stays(tmp_path, when):
    own = tmp_path / "own.txt"
    run = subprocess.run(
        [sys.executable, "-c", THE_USERS_OWN, str(own), when],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == -signal.SIGSEGV, run.stderr
    assert "Segmentation fault" in own.read_text()
    assert not list(tmp_path.rglob("*-*.*"))


MAKE_AND_DIE = """
import os
from dbgkit.remote.worker.black_box import BlackBox
print(BlackBox("tcp://10.0.0.1:1", "", "", False).path, flush=True)
os._exit(0)
"""


def test_a_box_is_kept_for_an_hour_after_the_last_sample(tmp_path, monkeypatch):
    # GIVEN the box of a dead process, the time of its file that of its making
    made = subprocess.run(
        [sys.executable, "-c", MAKE_AND_DIE],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    path = made.stdout.strip()
    os.utime(path, (0, 0))
    # WHEN another worker starts on that host
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    BlackBox("tcp://10.0.0.1:2", "", "", False).close(for_good=False)
    assert os.path.exists(path)
    # THEN it is removed only once its last sample is old
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(MOVING_AT)
        file.write(MOVING.pack(time.time() - 2 * KEPT, 0, 0, 0, 0))
    os.utime(path, (0, 0))
    BlackBox("tcp://10.0.0.1:2", "", "", False).close(for_good=False)
    assert not os.path.exists(path)


@pytest.mark.parametrize("version", [1, 2])
def test_the_kernels_counts_of_out_of_memory_kills(tmp_path, version):
    line, place, name = {
        1: ("4:cpu,memory:/jobs/a\n", "memory/jobs/a", "memory.oom_control"),
        2: ("0::/jobs/a\n", "jobs/a", "memory.events"),
    }[version]
    group = tmp_path / "sys/fs/cgroup" / place
    group.mkdir(parents=True)
    (group / name).write_text("low 0\noom_kill_disable 0\noom_kill 3\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line)
    (tmp_path / "proc/vmstat").write_text("nr_free_pages 7\noom_kill 12\n")
    assert oom_kills(str(tmp_path)) == {"cgroup": 3, "host": 12}


def test_a_system_without_counts_has_none(tmp_path):
    assert oom_kills(str(tmp_path)) == {}


# -- the box itself --------------------------------------------------------------------


@pytest.fixture
def box(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = BlackBox("tcp://10.0.0.1:1", "", "tcp://10.0.0.1:9", crashes=False)
    yield found
    found.close(for_good=True)
    assert list(tmp_path.iterdir()) == []


KEYS = ["x-1", ("x", 1), b"\x00\xff", "é\n'", ("a", ("b", 2.5)), 7, "\ud800"]


@pytest.mark.parametrize("key", KEYS, ids=map(repr, KEYS))
def test_keys_come_back_as_they_were(box, key):
    slot = box.begin(key, 5)
    found = read_box(box.path)
    unpack_keys(found, ())
    (task,) = found["tasks"]
    assert (task["key"], task["inputs"]) == (key, 5)
    box.end(slot)
    assert read_box(box.path)["tasks"] == []


def test_a_key_that_is_too_long_is_found_by_its_beginning(box):
    key = "x" * 5_000
    box.begin(key, 0)
    found = read_box(box.path)
    unpack_keys(found, ["y", key])
    assert found["tasks"][0]["key"] == key
    found = read_box(box.path)
    unpack_keys(found, [])
    assert found["tasks"][0]["key"].startswith("'xxx")


def test_what_has_no_slot_is_counted(box):
    slots = [box.begin(n, 0) for n in range(SLOTS + 3)]
    box.sample()
    found = read_box(box.path)
    assert (len(found["tasks"]), found["left_out"]) == (SLOTS, 3)
    for slot in slots:
        box.end(slot)
    assert read_box(box.path)["tasks"] == []


def test_a_box_that_was_closed_takes_nothing_and_raises_nothing(box):
    slot = box.begin("x", 0)
    box.close(for_good=False)
    box.end(slot)
    assert box.begin("y", 0) == -1
    assert read_box(box.path) is None


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"dbgkit-box-2" + b"\xff" * 66_612])
def test_a_file_that_is_no_box_says_nothing(tmp_path, data):
    path = tmp_path / "17-1.00"
    path.write_bytes(data)
    assert read_box(str(path)) is None
    remove_box(str(path))


def test_its_cost_to_a_task_is_small(box):
    rounds, best = 100, 1.0
    for _ in range(200):  # the machine may be busy with something else
        start = time.perf_counter()
        for _ in range(rounds):
            box.end(box.begin(("x-0123456789abcdef", 12), 1_000))
        best = min(best, (time.perf_counter() - start) / rounds)
    assert best < 10e-6


def test_boxes_come_while_others_take_the_folder_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # GIVEN workers that come and go: the last one's box takes the folder along
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def come_and_go(worker):
        for n in range(1_500):
            made = make_file(f"{worker}-{n}")
            made.file.close()
            remove_box(made.path)
            assert not made.refused

    try:
        with ThreadPoolExecutor(6) as pool:
            # THEN each of them has a box
            assert list(pool.map(come_and_go, range(6))) == [None] * 6
    finally:
        sys.setswitchinterval(before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(5))
def test_a_box_of_any_content_is_read(tmp_path, monkeypatch, seed):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    box = BlackBox("tcp://10.0.0.1:1", "", "", False)
    path, nonce = box.path, box.nonce
    box.close(for_good=False, keep=True)
    assert own_box(path, nonce)["closed"]
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(MOVING_AT)
        file.write(random.Random(seed).randbytes(SIZE - MOVING_AT))
    found = own_box(path, nonce)
    assert len(found["history"]) <= HISTORY and len(found["logged"]) <= LOGGED_LINES
    unpack_keys(found, ["x-1"])
    death = death_from_fact(fact(box=found))
    assert str(death) and death.to_json()


def test_lines_that_differ_in_numbers_take_one_place(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    box = BlackBox("tcp://10.0.0.1:1", "", "", False)
    try:
        box.lines.add(1.0, 40, "the one that matters")
        for number in range(200):
            box.lines.add(2.0 + number, 30, f"worker at {number} %")
        for number in range(LOGGED_LINES - 1):
            box.lines.add(300.0 + number, 30, "other " + "x" * number)
        texts = {line["text"]: line["times"] for line in box.lines.read()}
        assert len(texts) == LOGGED_LINES
        assert texts["worker at 199 %"] == 200
        assert "the one that matters" not in texts  # it was the oldest
    finally:
        box.close(for_good=False)
    assert not list(tmp_path.rglob("*"))


def test_more_lines_than_can_be_noted_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("dbgkit.remote.worker.black_box.EVERY", 3600)
    box = BlackBox("tcp://10.0.0.1:1", "", "", False)
    try:
        room = [box.lines.has_room() for _ in range(MOST + 5)]
        assert (room.count(True), room.count(False)) == (MOST, 5)
        box.sample()
        found = read_box(box.path)
        assert found["unlogged"] == 5 and box.lines.has_room()
        notes = death_from_fact(fact(box=found)).notes
        assert any("5 lines that came too fast" in note for note in notes)
    finally:
        box.close(for_good=False)
