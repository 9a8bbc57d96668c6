"""Why tasks do not move, on clusters that are whole: live, and from a dump."""

from __future__ import annotations

import functools
import re
import sys

import pytest
from distributed import (
    Client,
    Event,
    Lock,
    MultiLock,
    Semaphore,
    futures_of,
    wait,
    worker_client,
)
from peek_tasks import outer
from watching import (
    clear_history,
    drop_inner,
    known_keys,
    unchanged,
    wait_until,
)
from why_looks import codes, flag, from_dump, same_words, why_until
from why_tasks import (
    dive,
    fail_then_loop,
    first,
    inc,
    loop_until,
    partition,
    wait_for,
)

import dbgkit
from dbgkit.errors import DbgkitError, NoFailure, WrongTarget


@pytest.fixture
def client(processes_client):
    # Of failures that are alike, of earlier tests too, only some keys are given.
    processes_client.run_on_scheduler(clear_history)
    return processes_client


def divide(a, b):
    return a / b


def submits_and_waits():
    with worker_client() as inside:
        return inside.submit(divide, 1, 0, key="inner").result()


def states_of(dask_scheduler, keys):
    tasks = dask_scheduler.tasks
    return [tasks[key].state if key in tasks else "unknown" for key in keys]


def test_failed(client, tmp_path):
    future = client.submit(divide, 1, 0, key="divide-1")
    wait(future)
    with unchanged(client):
        found = dbgkit.why(future)
    assert (found.cause, found.key) == ("failed", "divide-1")
    assert "ZeroDivisionError: division by zero" in found.summary
    assert any("in divide" in line for line in found.evidence)
    assert "dbgkit.debug('divide-1')" in found.advice[0]
    assert not found.healthy
    same_words(found, from_dump(client, tmp_path, "divide-1"))


def test_cascaded_names_the_task_that_failed(client, tmp_path):
    bad = client.submit(divide, 1, 0, key=("divide", 2))
    fell = client.submit(inc, bad, key="fell")
    wait(fell)
    found = dbgkit.why("fell")
    assert (found.cause, found.key) == ("cascaded", ("divide", 2))
    assert found.chain == ("fell", ("divide", 2))
    same_words(found, from_dump(client, tmp_path, "fell"))


def test_of_many_failures_one_is_named_and_the_rest_is_counted(client, tmp_path):
    futures = client.map(divide, [1, 2, 3], [0, 0, 0], key="divide")
    fell = client.submit(inc, futures[0], key="fell")
    wait([*futures, fell])
    found = dbgkit.why()
    assert (found.cause, found.others) == ("failed", ())
    assert "3 more tasks have failed, directly or because a dependency failed" in (
        found.evidence
    )
    assert "dbgkit.failures() lists all 4, by root cause" in found.advice
    same_words(found, from_dump(client, tmp_path))


def same_failure(client):
    """The failure that why and locate name, each asked for nothing in particular."""
    found = dbgkit.why(client=client)
    told = next(one for one in (found, *found.others) if one.cause == "failed")
    failure = dbgkit.locate(client=client)
    assert told.key == failure.key
    groups = dbgkit.failures(client=client).groups
    assert any(failure.key in group.keys for group in groups)
    return told


def fails(client, key):
    future = client.submit(divide, 1, 0, key=key, pure=False)
    wait(future)
    return future


def test_of_one_computation_the_earliest_failure_is_named(client, tmp_path):
    with flag(tmp_path) as path:  # what is submitted meanwhile is one computation
        runs = client.submit(loop_until, path, key="runs")
        wait_until(lambda: runs.key in str(client.processing()), "it runs")
        held = [fails(client, key) for key in ("early", "middle", "late")]
        assert same_failure(client).key == "early"
        del held[0]
        wait_until(lambda: dbgkit.why("early").cause == "unknown-key", "it is gone")
        assert same_failure(client).key == "middle"
        same_words(dbgkit.why(), from_dump(client, tmp_path))


def test_of_several_computations_the_newest_is_meant(client):
    held = [fails(client, "former")]
    wait_until(lambda: not any(client.processing().values()), "it is idle")
    futures = client.map(divide, [1, 2, 3], [0, 0, 0], key="newer")
    wait(futures)
    keys = [each.key for each in futures]
    assert same_failure(client).key in keys
    del futures
    gone = ["unknown"] * len(keys)
    states = functools.partial(client.run_on_scheduler, states_of, keys=keys)
    wait_until(lambda: states() == gone, "they go")
    assert same_failure(client).key == "former"
    assert held


def test_ones_own_failures_come_before_those_of_others(client):
    own = fails(client, "own")
    with Client(client.scheduler.address, set_as_default=False) as other:
        theirs = fails(other, "theirs")
        assert same_failure(client).key == "own"
        assert same_failure(other).key == "theirs"
        with Client(client.scheduler.address, set_as_default=False) as beside:
            assert same_failure(beside).key == "theirs"  # that of any: the newest
        assert own and theirs


def test_what_a_task_had_submitted_is_named_and_the_way_there(client):
    outer = client.submit(submits_and_waits, key="outer")
    wait(outer)
    found = same_failure(client)
    assert found.key == "inner"
    way = "it was submitted by 'outer', which failed because of it"
    assert way in found.evidence
    del outer

    def let_go():
        client.run(drop_inner)
        return not known_keys(client)

    wait_until(let_go, "the inner task is forgotten")


def test_what_waits_for_a_task_that_runs_is_healthy(client, tmp_path):
    with flag(tmp_path) as path:
        runs = client.submit(loop_until, path, key="runs")
        found = why_until("waiting-on", client.submit(inc, runs, key="waits"))
        assert (found.because, found.key, found.healthy) == ("running", "runs", True)
        told = found.to_json()
        assert (told["because"], told["others"]) == ("running", [])


def test_finished(client, tmp_path):
    future = client.submit(inc, 1, key="inc-1")
    wait(future)
    found = dbgkit.why(future)
    assert (found.cause, found.healthy) == ("finished", True)
    same_words(found, from_dump(client, tmp_path, "inc-1"))


def test_released(client, tmp_path):
    """What has been used and is not wanted by itself any more."""
    used = client.submit(inc, 1, key="used")
    user = client.submit(inc, used, key="user")
    wait(user)
    del used
    found = why_until("released", "used")
    assert (found.key, found.healthy) == ("used", True)
    assert "nothing needs the result" in found.summary
    same_words(found, from_dump(client, tmp_path, "used"))
    assert dbgkit.why("user").cause == "finished"


def test_unknown_key_says_what_the_log_still_tells(client, tmp_path):
    never = dbgkit.why("never-1")
    assert never.cause == "unknown-key"
    same_words(never, from_dump(client, tmp_path, "never-1"))
    future = client.submit(inc, 1, key="let-go")
    wait(future)
    del future
    found = why_until("unknown-key", "let-go")
    assert "forgotten at" in found.evidence[0]
    same_words(found, from_dump(client, tmp_path, "let-go"))


def test_resources_unmet_names_what_the_nearest_worker_lacks(client, tmp_path):
    future = client.submit(inc, 1, resources={"GPU": 2}, key=("gpu", 0))
    found = why_until("resources-unmet", future)
    assert "GPU=2" in found.summary
    assert found.evidence[0] == "GPU: no worker has any"
    assert not found.healthy
    for spelled in (("gpu", 0), "('gpu', 0)"):
        same_words(found, from_dump(client, tmp_path, spelled))


def test_restrictions_unmet_names_the_nearest_worker(client, tmp_path):
    future = client.submit(inc, 1, workers=["tcp://127.0.0.1:1"], key="far")
    found = why_until("restrictions-unmet", future)
    assert "only on tcp://127.0.0.1:1" in found.summary
    assert any("on the same host" in line for line in found.evidence)
    same_words(found, from_dump(client, tmp_path, "far"))


def test_waiting_on_is_followed_to_the_end_of_the_chain(client, tmp_path):
    end = client.submit(inc, 1, resources={"GPU": 1}, key="end")
    chain = [end]
    for i in range(5):
        chain.append(client.submit(inc, chain[-1], key=("step", i)))
    found = why_until("waiting-on", chain[-1])
    assert found.key == "end"
    assert found.chain == (*(("step", i) for i in reversed(range(5))), "end")
    assert (found.because, found.others) == ("resources-unmet", ())
    assert not found.healthy
    assert "GPU=1" in found.summary
    same_words(found, from_dump(client, tmp_path, ("step", 4)))


def test_several_ends_are_counted_and_ranked(client, tmp_path):
    with flag(tmp_path) as path:
        runs = client.submit(loop_until, path, key="runs")
        why_until("running", runs)
        ends = [
            client.submit(inc, i, resources={"GPU": 1}, key=f"end-{i}")
            for i in range(7)
        ]
        asked = client.submit(first, runs, *ends, key="asked")
        found = why_until("waiting-on", asked)
        assert codes(found) == ["waiting-on", "resources-unmet", "running"]
        assert any(line == "it is blocked by 8 tasks in all" for line in found.evidence)
        assert "7 tasks" in found.summary


def test_a_long_chain_is_cut_and_counted(client):
    end = client.submit(inc, 1, resources={"GPU": 1}, key="end")
    futures = [end]
    for i in range(300):
        futures.append(client.submit(inc, futures[-1], key=("step", i)))
    found = why_until("waiting-on", futures[-1])
    assert (found.key, len(found.chain)) == ("end", 100)
    assert any("293 more" in line for line in found.evidence)


def test_running_has_the_call_stack_and_the_prefix_average(client, tmp_path):
    quick = client.submit(loop_until, "/", key="loop_until-1")
    wait(quick)
    with flag(tmp_path) as path:
        future = client.submit(loop_until, path, key="loop_until-2")
        found = why_until("running", future)
        assert found.healthy
        assert re.fullmatch(
            r"'loop_until-2' has (been running for \d.* s|just begun); "
            r"others named 'loop_until' took \d.* s on average",
            found.evidence[0],
        )
        assert any("in loop_until: " in line for line in found.evidence)
        same_words(found, from_dump(client, tmp_path, "loop_until-2"))


def test_an_async_function_has_the_line_where_it_awaits(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(outer, path, key="async-1")
        found = why_until("running", future)
        assert any("in outer: await asyncio.wait_for(" in e for e in found.evidence)
        assert any("in inner: await asyncio.sleep(" in e for e in found.evidence)
    wait(future)


def test_worker_saturated_names_what_its_threads_run(client, tmp_path):
    address = min(client.scheduler_info()["workers"])
    with flag(tmp_path) as path:
        # Restricted tasks go to the worker at once, and wait there.
        futures = [
            client.submit(loop_until, path, workers=[address], key=f"busy-{i}")
            for i in range(3)
        ]
        found = why_until("worker-saturated", futures[2])
        assert address in found.summary
        busy = r"2 threads, 3 tasks; running: 'busy-\d' for .* s, 'busy-\d' for .* s"
        assert re.fullmatch(f"{address}: {busy}", found.evidence[0])
        longest = re.match(r"the longest, '(busy-\d)', is at .*", found.evidence[1])
        assert " in loop_until: " in found.evidence[1]
        assert found.advice[1].endswith(f"dbgkit.why('{longest[1]}')")
        same_words(found, from_dump(client, tmp_path, "busy-2"))


def test_queued(client, tmp_path):
    with flag(tmp_path) as path:
        many = [("many", i) for i in range(20)]
        futures = client.map(loop_until, [path] * 20, key=many)
        found = why_until("queued", futures[-1])
        assert found.healthy
        assert any("2 workers with 4 threads" in line for line in found.evidence)
        assert re.search(r"running: \('many', \d+\) for .* s, ", found.evidence[2])
        assert " in loop_until: " in found.evidence[-1]
        assert re.search(r"dbgkit.why\(\('many', \d+\)\)$", found.advice[-1])
        dumped = from_dump(client, tmp_path, futures[-1].key)
        assert (dumped.cause, dumped.summary) == (found.cause, found.summary)


@pytest.mark.parametrize(
    "kind", ["lock", "semaphore", "event", "queue", "variable", "multi-lock"]
)
def test_lock_wait_names_it(client, tmp_path, kind):
    name = f"why-{kind}"
    taken = {
        "lock": lambda: Lock(name),
        "semaphore": lambda: Semaphore(2, name),
        "multi-lock": lambda: MultiLock([name]),
    }.get(kind)
    held = [taken() for _ in range(2 if kind == "semaphore" else 1)] if taken else []
    for each in held:
        each.acquire()
    future = client.submit(wait_for, kind, name, key="waiter")
    try:
        found = why_until("lock-wait", future)
        assert found.summary == f"'waiter' waits for {kind} '{name}'"
        assert any("in wait_for" in line for line in found.evidence)
        # A dump holds neither locks nor call stacks.
        assert from_dump(client, tmp_path, "waiter").cause == "running"
        if kind not in ("variable", "multi-lock"):
            wait_until(
                lambda: f"1 wait for {kind} '{name}'" in str(dbgkit.why().evidence),
                "the scheduler knows the waiter",
            )
    finally:
        for each in held:
            each.release()
        let_go(client, kind, name)
        wait(future)


def let_go(client, kind, name):
    """Set or fill what a task waits for."""
    from distributed import Queue, Variable

    if kind == "event":
        Event(name, client=client).set()
    elif kind == "queue":
        Queue(name, client=client).put(1)
    elif kind == "variable":
        Variable(name, client=client).set(1)


def test_lock_wait_of_the_cluster_counts_waiters_that_are_no_tasks(client):
    lock = Lock("why-held")
    lock.acquire()
    other = Lock("why-held")
    waiting = client.loop.asyncio_loop
    import asyncio

    async def acquire():
        return await other.acquire()

    asking = asyncio.run_coroutine_threadsafe(acquire(), waiting)
    try:
        found = why_until("lock-wait")
        assert found.summary == "1 wait for lock 'why-held'"
        assert any("1 hold it" in line for line in found.evidence)
    finally:
        lock.release()
        assert asking.result(30)
        other.release()


def test_retrying(client, tmp_path):
    with flag(tmp_path) as path:
        future = client.submit(
            fail_then_loop, path, str(tmp_path / "tries"), retries=2, key="again"
        )
        found = why_until("retrying", future)
        assert "1 attempt failed, 1 is left" in found.evidence
        assert found.advice == ("dbgkit.story('again') shows the attempts that failed",)
        same_words(found, from_dump(client, tmp_path, "again"))


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="reads tracebacks of any depth that it allows"
)
def test_client_out_of_step(client, tmp_path):
    """A traceback too deep for the client leaves its future pending for ever."""
    future = client.submit(dive, 0, key="dive-1")
    wait_until(
        lambda: client.run_on_scheduler(states_of, keys=["dive-1"]) == ["erred"],
        "erred on the scheduler",
    )
    found = why_until("client-out-of-step", future)
    assert future.status == "pending"
    assert codes(found) == ["client-out-of-step", "failed"]
    assert "RecursionError" in found.others[0].summary
    assert why_until("client-out-of-step").key == "dive-1"
    dumped = from_dump(client, tmp_path, "dive-1")
    assert (dumped.cause, dumped.summary) == ("failed", found.others[0].summary)


def test_p2p_barrier_and_what_its_missing_inputs_wait_for(client, tmp_path):
    dask = pytest.importorskip("dask")
    dd = pytest.importorskip("dask.dataframe")
    with flag(tmp_path) as path, dask.config.set({"dataframe.shuffle.method": "p2p"}):
        meta = partition("/", 1)
        frame = dd.from_map(partition, [path] * 4, range(4), meta=meta)
        shuffled = frame.shuffle("x", npartitions=4).persist()
        why_until("p2p-barrier", shuffled)
        wait_until(lambda: "running" in codes(dbgkit.why(shuffled)), "it runs")
        found = dbgkit.why(shuffled)
        assert found.key.startswith("shuffle-barrier-")
        assert "inputs are missing" in found.evidence[0]
        assert "running" in codes(found)
        key = futures_of(shuffled)[0].key
        dumped = from_dump(client, tmp_path, key)
        assert (dumped.cause, dumped.summary) == (found.cause, found.summary)
    wait(shuffled)


def test_the_whole_cluster(client, tmp_path):
    nothing = why_until("finished")
    assert nothing.healthy
    with flag(tmp_path) as path:
        runs = client.submit(loop_until, path, key="runs")
        gpu = client.submit(inc, 1, resources={"GPU": 1}, key="gpu")
        bad = client.submit(divide, 1, 0, key="bad")
        after = client.submit(inc, gpu, key="after")
        wait(bad)
        wait_until(lambda: len(codes(dbgkit.why())) == 3, "three causes")
        found = dbgkit.why()
        assert codes(found) == ["resources-unmet", "failed", "running"]
        same_words(found, from_dump(client, tmp_path))
    wait(runs)
    del after


def test_a_persisted_collection(client, tmp_path):
    da = pytest.importorskip("dask.array")
    array = da.arange(6, chunks=2)
    with flag(tmp_path) as path:
        blocked = array.map_blocks(
            lambda block: block * bool(loop_until(path)), meta=array._meta
        )
        done = (blocked + 1).persist(optimize_graph=False)
        found = why_until("waiting-on", done)
        assert codes(found)[-1] == "running"
        assert found.healthy
    wait(done)
    assert why_until("finished", done).summary == "all 3 tasks are finished"


def test_keys_that_break_markup_and_shells(client, tmp_path):
    keys = ["[/a/b]", "quote'\"", "line\nbreak", ("t", 1), "häß"]
    futures = [client.submit(inc, 1, resources={"GPU": 1}, key=key) for key in keys]
    wait_until(
        lambda: set(client.run_on_scheduler(states_of, keys=keys)) == {"no-worker"},
        "no worker",
    )
    for key in keys:
        found = dbgkit.why(key)
        assert (found.cause, found.key) == ("resources-unmet", key)
        assert "\n" not in found.summary
        same_words(found, from_dump(client, tmp_path, key))
    del futures


def test_an_address_is_enough(client):
    future = client.submit(inc, 1, resources={"GPU": 1}, key="gpu")
    why_until("resources-unmet", future)
    found = dbgkit.why("gpu", client=client.scheduler.address)
    assert found.cause == "resources-unmet"


def test_an_asynchronous_client_is_awaited(processes):
    import asyncio

    async def ask():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            future = client.submit(inc, 1, resources={"GPU": 1}, key="gpu-async")
            return await dbgkit.why(future)

    assert asyncio.run(ask()).cause in ("resources-unmet", "client-out-of-step")


def test_wrong_targets_and_no_cluster(client, monkeypatch):
    with pytest.raises(WrongTarget):
        dbgkit.why(object())
    with pytest.raises(WrongTarget, match="locate"):
        dbgkit.why(ValueError("no future holds it"))
    with pytest.raises(WrongTarget):
        dbgkit.why([])
    monkeypatch.setattr("dbgkit.api.asking.current_client", lambda: None)
    with pytest.raises(DbgkitError) as error:
        dbgkit.why("x", view="/nowhere/dump.msgpack.gz")
    assert not isinstance(error.value, NoFailure)


def test_private_names_of_dask_are_there(client):
    """Contract: what `remote.scheduler.why_cluster` and `why_ends` read of Dask's."""
    assert client.run_on_scheduler(private_names) == []


def private_names(dask_scheduler):
    extensions = dask_scheduler.extensions
    wanted = [
        (dask_scheduler, "_tick_interval_observed"),
        (dask_scheduler, "_starting_nannies"),
        (extensions["events"], "_waiter_count"),
        (extensions["semaphores"], "metrics"),
        (extensions["semaphores"], "leases"),
        (extensions["semaphores"], "max_leases"),
        (extensions["queues"], "queues"),
        (extensions["multi_locks"], "locks"),
    ]
    return [name for owner, name in wanted if not hasattr(owner, name)]
