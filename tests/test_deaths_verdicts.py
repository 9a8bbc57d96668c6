"""Verdicts on deaths that no test can bring about, and what the kernel counts."""

from __future__ import annotations

import time

import pytest

from dbgkit.diagnose.deaths import death_from_fact
from dbgkit.remote.blackbox import BlackBox
from dbgkit.remote.boxes import SLOTS, read_box, remove_box
from dbgkit.remote.deaths_events import removal_fact, unpack_keys
from dbgkit.remote.deaths_nanny import oom_kills

pytestmark = pytest.mark.core


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


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"dbgkit-box-1" + b"\xff" * 66_612])
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
