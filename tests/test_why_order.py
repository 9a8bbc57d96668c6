"""What blocks comes first: of several causes the one that most tasks wait for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from distributed import wait
from watching import clear_history, wait_until
from why_looks import codes, flag, from_dump, same_words, why_until
from why_tasks import first, inc, loop_until

import dbgkit
from dbgkit.diagnose.why import slow


@pytest.fixture
def client(processes_client):
    processes_client.run_on_scheduler(clear_history)
    return processes_client


@pytest.fixture
def soon(monkeypatch):
    """What runs for a moment has run for long."""
    monkeypatch.setattr(slow, "BRIEF", 0.2)
    monkeypatch.setattr(slow, "LONG", 0.2)


def divide(a, b):
    return a / b


def fails(client):
    future = client.submit(divide, 1, 0, key="bad")
    wait(future)
    return future


def occupies(client, path, name):
    """Tasks that hold all four threads until a file is there."""
    keys = [f"{name}-{i}" for i in range(4)]
    return client.map(loop_until, [path] * 4, key=keys)


def dumped_like(client, tmp_path, found, target=None, others=True):
    """A dump knows the time by what is in it: by the workers' last heartbeats."""

    def same():
        return from_dump(client, tmp_path, target).cause == found.cause

    wait_until(same, "a heartbeat")
    dumped = from_dump(client, tmp_path, target)
    same_words(found, dumped if others else replace(dumped, others=()))


def until(client, condition, what):
    found = []

    def holds():
        found[:] = [dbgkit.why(client=client)]
        return condition(found[0])

    wait_until(holds, what)
    return found[0]


def test_what_holds_all_threads_comes_before_what_has_failed(client, tmp_path, soon):
    with flag(tmp_path) as path:
        bad = fails(client)
        hogs = occupies(client, path, "hog")
        many = client.map(inc, range(30), key=[f"many-{i}" for i in range(30)])

        def all_run(found):
            start, end = "4 tasks ('hog-", "; 30 tasks cannot go on"
            return found.summary.startswith(start) and found.summary.endswith(end)

        found = until(client, all_run, "all have run for long")
        assert codes(found)[:2] == ["running", "failed"]
        assert "wait" not in found.advice[0]
        assert "all 2 threads of" in str(found.evidence)
        # Which of those that are queued is named differs.
        dumped_like(client, tmp_path, replace(found, others=()), others=False)
    wait([*hogs, *many])
    assert bad


def test_what_just_runs_comes_after_what_has_failed(client, tmp_path):
    with flag(tmp_path) as path:
        bad = fails(client)
        runs = client.submit(loop_until, path, key="runs")
        after = client.submit(inc, runs, key="after")
        found = until(client, lambda found: len(codes(found)) == 2, "it runs")
        assert codes(found) == ["failed", "running"]
        same_words(found, from_dump(client, tmp_path))
    wait(after)
    assert bad


def test_a_task_that_is_far_slower_than_its_like(client, tmp_path, soon):
    quick = client.map(loop_until, ["/"] * 3, key=[f"loop-{i}" for i in range(3)])
    wait(quick)
    with flag(tmp_path) as path:
        bad = fails(client)
        slow_one = client.submit(loop_until, path, key="loop-9")
        after = client.map(first, [slow_one] * 5, range(5), key="after")
        last = client.submit(sum, after, key="last")
        found = why_until("slow-task")
        assert codes(found) == ["slow-task", "failed"]
        assert not found.healthy
        assert "others named 'loop'; 6 tasks cannot go on" in found.summary
        assert "6 tasks wait for it" in found.evidence
        assert any(" in loop_until: " in line for line in found.evidence)
        # What it does now: with its values, and in several samples.
        assert any(
            line.startswith("at that line path = ") and "inputs = ()" in line
            for line in found.evidence
        )
        often = r"at \S*why_tasks.py:\d+ in \d of 5 samples, one every 0.05 s"
        assert any(re.fullmatch(often, line) for line in found.evidence)
        assert "dbgkit.peek('loop-9', times=20)" in found.advice[0]
        dumped_like(client, tmp_path, found)
        found = dbgkit.why(last)
        assert (found.cause, found.because) == ("waiting-on", "slow-task")
        assert found.key == "loop-9"
        assert not found.healthy
        dumped_like(client, tmp_path, found, "last")
    client.cancel([last, *after])
    wait([*quick, slow_one])
    assert bad


def test_a_slow_task_that_holds_up_nothing_comes_after_what_has_failed(
    client, tmp_path, monkeypatch
):
    monkeypatch.setattr(slow, "BRIEF", 0.2)
    quick = client.map(loop_until, ["/"] * 3, key=[f"varies-{i}" for i in range(3)])
    wait(quick)
    with flag(tmp_path) as path:
        bad = fails(client)
        longer = client.submit(loop_until, path, key="varies-9")

        def told(found):
            return codes(found) == ["failed", "slow-task"]

        found = until(client, told, "it is slow")
        assert found.others[0].advice[1].startswith("if it is not, ")
    wait(longer)
    assert bad


def test_what_waits_for_threads_that_run_slow_tasks(client, tmp_path, soon):
    quick = client.map(loop_until, ["/"] * 3, key=[f"idler-0{i}" for i in range(3)])
    wait(quick)
    address = min(client.scheduler_info()["workers"])
    with flag(tmp_path) as path:
        hogs = occupies(client, path, "idler")
        queued = client.map(inc, range(30), key=[f"many-{i}" for i in range(30)])
        found = why_until("slow-task", queued[-1])
        assert "run tasks that take far longer than others" in found.summary
        # What is bound to a worker waits there.
        bound = client.submit(inc, 1, workers=[address], key="bound")
        found = why_until("slow-task", bound)
        assert f"'bound' waits for a thread of {address}" in found.summary
        assert any(line.startswith("the longest, 'idler-") for line in found.evidence)
        dumped_like(client, tmp_path, found, "bound")
    wait([*quick, *hogs, *queued, bound])


def test_what_a_task_waits_for_inside_comes_before_it(client, tmp_path):
    with flag(tmp_path) as path:
        outer = client.submit(submits, path, key="outer")
        found = until(client, lambda found: len(codes(found)) == 2, "both run")
        assert codes(found) == ["running", "running"]
        assert (found.key, found.others[0].key) == ("inner", "outer")
        assert "it waits for the result of 'inner'" in found.others[0].evidence
        assert "dbgkit.why('inner')" in found.others[0].advice[0]
    wait(outer)


def submits(path):
    from distributed import get_client

    return get_client().submit(loop_until, path, key="inner").result()


def test_causes_are_in_the_order_of_how_much_waits(client, tmp_path):
    few = client.submit(inc, 1, resources={"GPU": 1}, key="few")
    many = client.submit(inc, 1, workers=["tcp://127.0.0.1:1"], key="many")
    after = client.map(first, [many] * 3, range(3), key="after")
    found = until(client, lambda found: len(codes(found)) == 2, "both")
    assert codes(found) == ["restrictions-unmet", "resources-unmet"]
    assert "3 tasks wait for it" in found.evidence
    same_words(found, from_dump(client, tmp_path))
    more = client.map(first, [few] * 9, range(9), key="more")
    found = why_until("resources-unmet")
    assert "9 tasks wait for it" in found.evidence
    assert after and more


def test_of_very_many_that_wait_some_are_counted(client):
    from dbgkit.remote.scheduler.why_order import MOST_WAITING

    blocked = client.submit(inc, 1, resources={"GPU": 1}, key="blocked")
    count = MOST_WAITING + 10
    keys = [("after", i) for i in range(count)]
    after = client.map(first, [blocked] * count, range(count), key=keys)
    least = f"at least {MOST_WAITING:,} tasks wait for it"
    until(client, lambda found: least in found.evidence, least)
    assert after


# -- what is missing -------------------------------------------------------------------


def test_each_resource_that_is_missing_is_named(harmable, tmp_path):
    with harmable(n_workers=2, processes=False, resources={"GPU": 1}) as client:
        asked = {
            "more": {"GPU": 2},
            "none": {"TPU": 1},
            "both": {"GPU": 1, "TPU": 2},
        }
        futures = [
            client.submit(inc, 1, resources=wanted, key=key)
            for key, wanted in asked.items()
        ]
        found = {key: why_until("resources-unmet", key) for key in asked}
        nearest = min(client.scheduler_info()["workers"])
        more, none, both = found.values()
        assert more.evidence[0].startswith(
            f"GPU: 2 wanted, the nearest worker {nearest}"
        )
        assert more.evidence[0].endswith(" has 1")
        assert none.evidence == (
            "TPU: no worker has any",
            "other resources that workers have: GPU",
        )
        assert both.evidence == ("TPU: no worker has any",)
        assert '--resources "GPU=1 TPU=2"' in both.advice[0]
        for key in asked:
            same_words(found[key], from_dump(client, tmp_path, key))
        assert futures


def test_what_waits_for_resources_in_use_does_not_wait_for_a_thread(harmable, tmp_path):
    some = {"n_workers": 1, "threads_per_worker": 4, "processes": False}
    with harmable(**some, resources={"GPU": 1}) as client, flag(tmp_path) as path:
        (address,) = client.scheduler_info()["workers"]
        keys = [f"gpu-{i}" for i in range(3)]
        futures = client.map(loop_until, [path] * 3, key=keys, resources={"GPU": 1})
        found = why_until("worker-saturated", futures[2])
        assert found.summary == (
            f"'gpu-2' waits for GPU=1 of {address}, in use by other tasks"
        )
        assert found.advice[0] == "wait, or start workers that have GPU=1"
        same_words(found, from_dump(client, tmp_path, "gpu-2"))
        assert not any("a thread of" in each.summary for each in dbgkit.why().others)
        # The scheduler has let go of what has it, and it runs still.
        client.cancel(futures[0])
        found = why_until("threads-held", futures[2])
        assert found.summary.startswith(f"'gpu-2' waits for GPU=1 of {address}, which")


def test_more_workers_do_not_help_what_is_bound_to_one(client, tmp_path):
    address = min(client.scheduler_info()["workers"])
    with flag(tmp_path) as path:
        bound = [
            client.submit(loop_until, path, workers=[address], key=f"bound-{i}")
            for i in range(3)
        ]
        found = why_until("worker-saturated", bound[2])
        assert f"it may run only on {address}" in found.evidence
        assert "submit without workers=" in found.advice[0]
        assert not any("cluster.scale" in line for line in found.advice)
        same_words(found, from_dump(client, tmp_path, "bound-2"))


def test_resources_that_are_there_but_not_together(harmable, tmp_path):
    with harmable(n_workers=2, processes=False, resources={"GPU": 1}) as client:
        one, other = sorted(client.scheduler_info()["workers"])
        client.run_on_scheduler(give, address=other, resources={"GPU": 0, "MEM": 8.0})
        apart = client.submit(inc, 2, resources={"GPU": 1, "MEM": 2}, key="apart")
        found = why_until("resources-unmet", apart)
        assert found.evidence[0] == "no worker has all of it"
        assert any(one in line and "lacks MEM" in line for line in found.evidence)
        assert any(other in line and "lacks GPU" in line for line in found.evidence)
        same_words(found, from_dump(client, tmp_path, "apart"))
        # It is there, but not where the task may run.
        bound = client.submit(inc, 3, resources={"MEM": 2}, workers=[one], key="bound")
        found = why_until("resources-unmet", bound)
        assert found.summary == "'bound' needs MEM=2, which no such worker has"
        assert f"it may run only on {one}" in found.evidence
        assert any(
            line.startswith(other) and line.endswith("but is none of these")
            for line in found.evidence
        )
        same_words(found, from_dump(client, tmp_path, "bound"))


def give(dask_scheduler, address, resources):
    dask_scheduler.add_resources(worker=address, resources=resources)


def test_the_worker_that_was_asked_for_has_left(harmable):
    with harmable(n_workers=2, processes=False) as client:
        address = min(client.scheduler_info()["workers"])
        client.retire_workers([address])
        gone = lambda: address not in client.scheduler_info()["workers"]  # noqa: E731
        wait_until(gone, "it has left")
        future = client.submit(inc, 1, workers=[address], key="bound")
        found = why_until("restrictions-unmet", future)
        assert found.evidence[0].startswith(f"{address} left at ")
        assert "pass its name or its host" in found.advice[1]
