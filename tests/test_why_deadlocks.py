"""Tasks that wait for each other, or for a lock that is never released."""

from __future__ import annotations

import dask
import pytest
from conftest import own_cluster
from deadlock_tasks import (
    Holding,
    hold_and_submit,
    inc,
    release_kept,
    submit_and_wait,
    submit_bound,
    take,
    take_and_die,
    take_and_end,
    take_and_keep,
    take_and_wait,
    take_both,
    take_both_of,
    take_for,
    use_shared,
    wait_without_a_thread,
)
from distributed import Client, Event, Lock, wait
from watching import unchanged, wait_until
from why_looks import codes, why_until

import dbgkit


@pytest.fixture(scope="module")
def one_thread_each():
    """A cluster of two workers, each with one thread."""
    with own_cluster(threads_per_worker=1) as client:
        yield client.cluster


@pytest.fixture
def client(one_thread_each):
    """A client of it; what is stuck at the end goes with its workers."""
    with Client(one_thread_each) as client:
        yield client
        client.restart()


@pytest.fixture
def workers(client):
    return sorted(client.scheduler_info(n_workers=-1)["workers"])


def text_of(explanation):
    return "\n".join((explanation.summary, *explanation.evidence, *explanation.advice))


def runs(client, key):
    wait_until(lambda: key in str(client.processing()), f"{key} runs")


# -- a task waits for one that needs its thread ------------------------------------


@pytest.mark.parametrize(
    "how", ["result", "exception", "gather", "wait", "as_completed"]
)
def test_tasks_that_wait_for_what_they_submitted(client, workers, how):
    outer = [
        client.submit(
            submit_and_wait, how, workers=worker, key=f"outer-{n}", pure=False
        )
        for n, worker in enumerate(workers)
    ]
    found = why_until("deadlock", client=client)
    with unchanged(client, settled=False):
        found = dbgkit.why(client=client)
    assert codes(found) == ["deadlock"]
    assert "outer-0" in text_of(found)
    assert "outer-1" in text_of(found)
    assert f"inner-{how}" in text_of(found)
    assert any("worker_client()" in line for line in found.advice)
    assert not any("wait," in line or line == "wait" for line in found.advice)
    for target in outer:
        assert dbgkit.why(target).cause == "deadlock"


def test_what_waits_for_it_is_blocked_by_it(client, workers):
    outer = [
        client.submit(
            submit_and_wait, "result", workers=worker, key=f"outer-{n}", pure=False
        )
        for n, worker in enumerate(workers)
    ]
    for number in range(2):
        runs(client, f"outer-{number}")
    after = client.submit(inc, outer[0], key="after")
    queued = client.submit(inc, 1, key="queued")
    found = why_until("waiting-on", after)
    wait_until(lambda: dbgkit.why(after).because == "deadlock", "it is a deadlock")
    found = dbgkit.why(after)
    assert "'after' waits for 'outer-0'" in found.summary
    assert dbgkit.why(queued).cause == "deadlock"
    assert "deadlock" in codes(dbgkit.why([after, queued]))


@pytest.mark.parametrize("how", ["worker_client", "secede", "compute"])
def test_no_deadlock_where_the_thread_is_given_back(client, workers, how):
    futures = [
        client.submit(wait_without_a_thread, how, workers=worker, pure=False)
        for worker in workers
    ]
    assert client.gather(futures) == [2, 2]


def test_no_deadlock_where_the_wait_ends_by_itself(client, workers):
    outer = [
        client.submit(
            submit_and_wait, "result", timeout="20 s", workers=worker, pure=False
        )
        for worker in workers
    ]
    wait_until(lambda: dbgkit.why(outer[0]).cause == "running", "both run")
    assert "deadlock" not in codes(dbgkit.why(client=client))


def test_no_deadlock_while_another_worker_can_run_it(client, workers):
    future = client.submit(submit_and_wait, "result", workers=workers[0], pure=False)
    assert future.result(timeout=30) == 1


def test_no_deadlock_while_one_thread_goes_on(client, workers):
    Event("goes-on").clear()
    outer = client.submit(
        submit_and_wait, "result", workers=workers[0], key="outer", pure=False
    )
    other = client.submit(
        take_and_wait, "free", "goes-on", workers=workers[1], key="other"
    )
    runs(client, "outer")
    runs(client, "other")
    wait_until(lambda: "inner-result" in str(client.processing()), "it is submitted")
    assert "deadlock" not in codes(dbgkit.why(client=client))
    Event("goes-on").set()
    wait([outer, other])


# -- locks ---------------------------------------------------------------------------


def test_locks_that_are_taken_crosswise(client, workers):
    one = client.submit(take_both, "x", "y", "1", "2", workers=workers[0], key="one")
    two = client.submit(take_both, "y", "x", "2", "1", workers=workers[1], key="two")
    found = why_until("deadlock", client=client)
    assert codes(found) == ["deadlock"]
    text = text_of(found)
    for part in ("'one'", "'two'", "lock 'x'", "lock 'y'", *workers):
        assert part in text
    assert any("same order" in line for line in found.advice)
    assert dbgkit.why(one).summary == dbgkit.why(two).summary == found.summary


def test_a_lock_and_a_future(client, workers):
    held = client.submit(hold_and_submit, "mixed", workers=workers[0], key="holds")
    found = why_until("deadlock", client=client)
    assert "'holds'" in text_of(found)
    assert "'needs-mixed'" in text_of(found)
    assert held.status == "pending"


@pytest.mark.parametrize("kind", ["lock", "semaphore"])
def test_a_lock_whose_task_has_ended(client, workers, kind):
    name = f"left-{kind}"
    client.submit(take_and_end, name, kind, workers=workers[0]).result()
    function = take if kind == "lock" else take_and_end
    arguments = () if kind == "lock" else (kind,)
    waits = client.submit(
        function, name, *arguments, key="waits", pure=False, workers=workers[1]
    )
    found = why_until("deadlock", waits)
    assert workers[0] in text_of(found)
    assert "ended without releasing it" in text_of(found)
    assert not any("find out" in line for line in found.advice)


def test_a_lock_that_a_task_holds_which_goes_on(client, workers):
    Event("release").clear()
    holder = client.submit(
        take_and_wait, "held", "release", workers=workers[0], key="holder"
    )
    wait_until(lambda: Lock("held").locked(), "it is taken")
    waits = client.submit(take, "held", key="waits", pure=False, workers=workers[1])
    found = why_until("lock-wait", waits)
    assert any("'holder'" in line and workers[0] in line for line in found.evidence)
    Event("release").set()
    client.gather([holder, waits])


def test_a_lock_that_this_process_holds(client, workers):
    with Lock("mine"):
        waits = client.submit(take, "mine", key="waits", pure=False)
        found = why_until("lock-wait", waits)
        assert any("this process" in line for line in found.evidence)
    waits.result()


def test_a_lock_that_a_wait_with_a_limit_wants(client, workers):
    client.submit(take_and_end, "limited", workers=workers[0]).result()
    waits = client.submit(take_for, "limited", "30 s", key="waits", pure=False)
    found = why_until("lock-wait", waits)
    assert codes(found) == ["lock-wait"]
    assert any("timeout" in line for line in found.evidence)


def test_a_lock_that_tasks_of_one_process_share():
    # A waiter has the lock at hand as its holder has, and is not taken for it.
    with own_cluster(n_workers=1, threads_per_worker=2) as client:
        for name in ("end", "entered"):
            Event(name).clear()
        holder = client.submit(use_shared, "shared", "end", "entered", key="holder")
        Event("entered").wait(30)
        waiter = client.submit(use_shared, "shared", "end", key="waiter")
        found = why_until("lock-wait", waiter)
        assert codes(found) == ["lock-wait"]
        assert any("one of the tasks" in line for line in found.evidence)
        Event("end").set()
        client.gather([holder, waiter])


@pytest.mark.parametrize("how", ["worker", "actor"])
def test_a_lock_that_something_may_release_still(client, workers, how):
    name = f"kept-{how}"
    if how == "worker":
        client.submit(take_and_keep, name, workers=workers[0]).result()
    else:
        actor = client.submit(Holding, name, actor=True, workers=workers[0]).result()
        actor.take().result()
    waits = client.submit(take, name, key="waits", pure=False, workers=workers[1])
    found = why_until("lock-wait", waits)
    assert codes(found) == ["lock-wait"]
    assert any("something else may do still" in line for line in found.evidence)
    if how == "worker":
        client.submit(release_kept, workers=workers[0]).result()
    else:
        actor.release().result()
    assert waits.result(30) == name


def test_locks_as_arguments_are_taken_back(client, workers):
    # Nobody refreshes them: the scheduler ends the deadlock by itself.
    one, two = Lock("arg-1"), Lock("arg-2")
    for name in ("m1", "m2"):
        Event(name).clear()
    futures = [
        client.submit(take_both_of, one, two, "m1", "m2", workers=workers[0]),
        client.submit(take_both_of, two, one, "m2", "m1", workers=workers[1]),
    ]
    found = why_until("lock-wait", futures[0])
    assert "deadlock" not in codes(dbgkit.why(client=client))
    assert any("takes it back in at most" in line for line in found.evidence)


def test_no_deadlock_where_another_worker_is_about_to_run_it(client, workers):
    Event("busy").clear()
    busy = client.submit(
        take_and_wait, "free-2", "busy", workers=workers[1], key="busy"
    )
    runs(client, "busy")
    outer = client.submit(submit_bound, workers, workers=workers[0], key="outer")
    runs(client, "bound")
    assert "deadlock" not in codes(dbgkit.why(client=client))
    Event("busy").set()
    assert outer.result(30) == 2
    busy.result()


def test_a_task_that_is_bound_to_its_submitters_worker(client, workers):
    outer = client.submit(submit_bound, workers[:1], workers=workers[0], key="outer")
    found = why_until("deadlock", outer)
    assert found.summary == ("'outer' waits for 'bound', which needs its thread")
    assert not any("scale" in line for line in found.advice)


@pytest.mark.parametrize("timeout", ["5 s", "inf"])
def test_a_lock_whose_worker_has_died(timeout):
    settings = {
        "distributed.scheduler.locks.lease-timeout": timeout,
        "distributed.scheduler.locks.lease-validation-interval": "1 s",
        "distributed.scheduler.allowed-failures": 0,
    }
    with dask.config.set(settings), own_cluster(threads_per_worker=1) as client:
        event = Event("taken")
        died = client.submit(take_and_die, "dead", "taken", pure=False)
        event.wait(30)
        wait(died)
        waits = client.submit(take, "dead", key="waits", pure=False)
        found = why_until("lock-wait", waits)
        wanted = "never" if timeout == "inf" else "in at most"
        wait_until(lambda: wanted in text_of(dbgkit.why(waits)), "it is said")
        assert "find out" not in text_of(found)
        if timeout != "inf":
            assert waits.result(60) == "dead"
