"""Who is stuck, from what workers and the scheduler say: many tasks, odd answers."""

from __future__ import annotations

import time

from dbgkit.diagnose.why.board import Board
from dbgkit.diagnose.why.circles import MOST_JOINED, Circles


def waits(*keys, any_=False, kind="future", name=None, limited=False):
    return {
        "kind": kind,
        "name": name,
        "keys": list(keys),
        "any": any_,
        "limited": limited,
    }


def probe(nthreads, executing, seceded=()):
    rows = [
        [{"key": key, "since": 1.0, "state": "executing", "waits": each, "stack": []}
         for key, each in part]
        for part in (executing, seceded)
    ]  # fmt: skip
    return {"nthreads": nthreads, "executing": rows[0], "seceded": rows[1]}


def blocker(key, places, worker=None, free=0, count=None, bound=False):
    return {
        "key": key,
        "state": "processing" if worker else "queued",
        "worker": worker,
        "bound": bound,
        "places": places,
        "places_count": len(places) if count is None else count,
        "free": free,
    }


def add_future(board, key, *blockers):
    board.futures[key] = {"key": key, "state": "waiting", "blockers": list(blockers)}


def starved(workers, threads, growing=False):
    """A board of workers whose threads all wait for what needs one of them."""
    board = Board(growing)
    places = [f"w{number}" for number in range(workers)]
    for place in places:
        rows = [(f"{place}-{n}", waits(f"in-{place}-{n}")) for n in range(threads)]
        board.add_probe(place, probe(threads, rows))
        for n in range(threads):
            key = f"in-{place}-{n}"
            add_future(board, key, blocker(key, places, place))
    return board


def test_of_many_threads_all_are_stuck_and_quickly_found():
    board = starved(workers=64, threads=8)
    start = time.process_time()
    assert len(board.stuck) == 512 > MOST_JOINED
    assert Circles(board).of("in-w0-0", "w0")
    assert time.process_time() - start < 5


def test_one_thread_that_goes_on_is_enough():
    board = starved(4, 4)
    board.add_probe("w3", probe(4, [(f"w3-{n}", None) for n in range(4)]))
    assert board.stuck == set()


def test_a_thread_that_nothing_runs_on_is_enough():
    board = starved(2, 2)
    board.add_probe("w1", probe(2, [("w1-0", waits("in-w1-0"))]))
    assert board.stuck == set()


def test_workers_that_were_not_asked_may_have_a_thread():
    board = starved(2, 1)
    key = "in-w0-0"
    add_future(board, key, blocker(key, ["w0", "w1"], "w0", count=3))
    assert board.stuck == set()


def test_workers_that_are_on_their_way_may_run_what_is_not_bound():
    assert starved(2, 1).stuck
    assert not starved(2, 1, growing=True).stuck
    board = Board(growing=True)
    board.add_probe("w", probe(1, [("outer", waits("inner"))]))
    add_future(board, "inner", blocker("inner", ["w"], "w", bound=True))
    assert board.stuck == {("w", "outer")}


def test_of_several_one_that_cannot_come_is_enough_unless_any_will_do():
    for any_, stuck in ((False, True), (True, False)):
        board = Board()
        board.add_probe("w", probe(1, [("outer", waits("inner", "other", any_=any_))]))
        add_future(board, "inner", blocker("inner", ["w"], "w", bound=True))
        add_future(board, "other", blocker("other", ["v"], "v", free=1))
        assert bool(board.stuck) is stuck


def test_a_key_that_runs_on_two_workers():
    # The old run of a task that was cancelled is stuck, the new one goes on.
    board = Board()
    board.add_probe("old", probe(1, [("key", waits("inner"))]))
    board.add_probe("new", probe(1, [("key", None)]))
    board.add_probe("w", probe(1, [("after", waits("key"))]))
    add_future(board, "inner", blocker("inner", ["old"], "old", bound=True))
    add_future(board, "key", blocker("key", ["new"], "new", bound=True))
    assert board.stuck == {("old", "key")}


def lock(name, *ids, most=1, timeout=30.0):
    leases = [{"id": id_, "age": 1.0} for id_ in ids]
    return {
        "name": name, "most": most, "leases": leases, "timeout": timeout, "interval": 10
    }  # fmt: skip


def holding(*ids, keys=(), running=None, refreshed=True, own=True, kept=False):
    return {
        "held": [
            {"id": id_, "refreshed": refreshed, "own": own, "kept": kept} for id_ in ids
        ],
        "running": len(keys) if running is None else running,
        "keys": list(keys),
    }


def crosswise(**options):
    """Two tasks that hold a lock each, and want the other's."""
    board = Board()
    for worker, key, wanted in (("v", "one", "b"), ("w", "two", "a")):
        row = (key, waits(kind="lock", name=wanted))
        board.add_probe(worker, probe(1, [row]))
    found = {
        "v": holding("id-a", keys=["one"], **options),
        "w": holding("id-b", keys=["two"], **options),
    }
    for name in "ab":
        board.add_lock(lock(name, f"id-{name}"), found, (), asked=True)
    return board


def test_locks_crosswise():
    board = crosswise()
    assert board.stuck == {("v", "one"), ("w", "two")}
    circle = Circles(board).of("one", "v")
    assert [step.task.key for step in circle] == ["one", "two"]
    assert [step.lock for step in circle] == ["b", "a"]
    assert Circles(board).of("two", "w") == circle


def test_what_is_not_known_of_a_lock_is_no_deadlock():
    assert not crosswise(own=False).stuck  # taken by something else in that process
    assert not crosswise(running=2).stuck  # not all tasks were named
    assert not crosswise(refreshed=False).stuck  # it is taken back


def test_a_lease_that_is_left():
    board = crosswise()
    board.add_lock(lock("a", "id-a", most=2), {}, (), asked=True)
    assert not board.stuck


def test_a_lock_left_behind_is_stuck_unless_something_keeps_it():
    for kept, stuck in ((False, {("w", "task")}), (True, set())):
        board = Board()
        board.add_probe("w", probe(1, [("task", waits(kind="lock", name="a"))]))
        found = {"v": holding("id-a", kept=kept)}
        board.add_lock(lock("a", "id-a"), found, (), asked=True)
        assert board.stuck == stuck


def test_what_has_changed_meanwhile_is_not_stuck():
    before, now = crosswise(), crosswise()
    now.add_lock(
        lock("a", "another"), {"v": holding("another", keys=["one"])}, (), True
    )
    assert now.stuck
    now.still_stuck(before)
    assert now.stuck == set()


def test_a_wait_with_a_limit_ends_by_itself():
    board = Board()
    board.add_probe("w", probe(1, [("outer", waits("inner", limited=True))]))
    add_future(board, "inner", blocker("inner", ["w"], "w", bound=True))
    assert board.stuck == set()


def test_each_tasks_first_future_is_asked_for_first():
    board = Board()
    rows = [("a", waits("a1", "a2")), ("b", waits("b1"))]
    board.add_probe("w", probe(2, rows))
    assert board.unknown_futures() == ["a1", "b1", "a2"]
