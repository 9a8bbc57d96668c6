"""The gauntlet: what cannot be had gets an error of its own, with advice.

Nothing hangs, and nothing on the cluster changes.
"""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager

import hard_tasks as tasks
import pytest
from distributed import Client, Event, wait
from watching import LIMIT, entered, forgotten, unchanged, wait_until

import dbgkit
from dbgkit import errors
from dbgkit.model import Notice, Plan


@contextmanager
def refused(kind, match, within=15.0):
    """Expect an error of ours, with advice, within a time; yields what was caught."""
    start = time.monotonic()
    with pytest.raises(errors.DbgkitError, match=match) as caught:
        yield caught
    assert type(caught.value) is kind
    assert caught.value.hint
    assert time.monotonic() - start < within


@pytest.fixture
def failed(client):
    future = client.submit(tasks.ask_worker, 4, pure=False)
    wait(future, timeout=30)
    return future


VERBS = [dbgkit.locate, dbgkit.replay]


# -- keys and futures without a failure ----------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("key", ["no-such-key", ("no-such-key", 3), "('no-such', 3)"])
def test_an_unknown_key(client, verb, key):
    with unchanged(client), refused(errors.UnknownKey, "no-such") as caught:
        verb(key)
    assert caught.value.key == key


class Unreadable:
    """What is of a module that is not there on the scheduler."""

    def __reduce__(self):
        return operator.methodcaller("x"), (None,)

    def __dask_tokenize__(self):
        return "unreadable"


def test_a_graph_that_the_scheduler_could_not_read(processes_client):
    future = processes_client.submit(len, Unreadable(), key="unread")
    with pytest.raises(RuntimeError) as caught:
        future.result()
    for target in (future, "unread", caught.value):
        with refused(errors.NoTask, "could not read the graph: AttributeError: "):
            dbgkit.debug(target, prompt=False)


def test_an_unknown_key_that_is_nearly_a_known_one(client, failed):
    with refused(errors.UnknownKey, "did you mean"):
        dbgkit.locate(failed.key[:-1])


@pytest.mark.parametrize("verb", VERBS)
def test_a_key_that_the_scheduler_has_forgotten(client, failed, verb):
    key = failed.key
    failed.release()
    forgotten(client)
    with unchanged(client):
        if verb is dbgkit.locate:
            assert verb(key).found_in == "history"
            return
        with refused(errors.UnknownKey, "has forgotten the task"):
            verb(key)


@pytest.mark.parametrize("verb", VERBS)
def test_a_task_that_waits_for_a_resource(client, verb):
    future = client.submit(tasks.inc, 1, resources={"NOBODY_HAS": 1}, pure=False)
    wait_for_state(client, future.key, "no-worker")
    with (
        unchanged(client, settled=False),
        refused(errors.NotFailed, "'no-worker'.*why") as caught,
    ):
        verb(future)
    assert caught.value.state == "no-worker"
    future.cancel()


@pytest.mark.parametrize("verb", VERBS)
def test_a_task_that_runs_and_one_that_waits_for_it(client, verb):
    event = Event("dbgkit-test-run", client=client)
    future = client.submit(tasks.wait_for, "dbgkit-test-run", pure=False)
    after = client.submit(tasks.inc, future, pure=False)
    held = Event("dbgkit-test-run-held", client=client)
    assert held.wait(30)
    held.clear()
    wait_for_state(client, after.key, "waiting")
    for target, state in ((future, "processing"), (after.key, "waiting")):
        with (
            unchanged(client, settled=False),
            refused(errors.NotFailed, "why") as caught,
        ):
            verb(target)
        assert caught.value.state == state
    event.set()
    wait([future], timeout=30)
    event.clear()


def wait_for_state(client, key, state):
    def found(dask_scheduler):
        ts = dask_scheduler.tasks.get(key)
        return ts is not None and ts.state == state

    wait_until(lambda: client.run_on_scheduler(found), f"{key} to be {state}")


def test_a_finished_task_has_not_failed(client):
    future = client.submit(tasks.inc, 1, pure=False)
    wait(future, timeout=30)
    with unchanged(client):
        for target in (future, future.key):
            with refused(errors.NotFailed, "finished.*replay") as caught:
                dbgkit.locate(target)
            assert caught.value.state == "finished"


@pytest.mark.parametrize("where", ["here", "process"])
def test_a_finished_task_is_replayed_on_request(client, where):
    value = client.submit(tasks.inc, 1, pure=False)
    future = client.submit(tasks.inc, value, pure=False)
    wait(future, timeout=30)
    with unchanged(client):
        replay = dbgkit.replay(future, where=where)
        assert (replay.failure.key, replay.outcome) == (future.key, "passed")
        assert any("had not failed" in note for note in replay.notes)
        if where == "here":
            assert replay.result == 3
            assert replay.inputs == {value.key: 2}


@pytest.mark.parametrize("end", ["release", "cancel"])
def test_an_exception_whose_task_was_let_go_of(client, failed, end):
    with pytest.raises(ValueError, match="cannot take 4") as raised:
        failed.result()
    getattr(failed, end)()
    forgotten(client)
    with unchanged(client):
        failure = dbgkit.locate(raised.value)
        assert (failure.key, failure.found_in) == (None, "exception")
        with refused(errors.NoTask, "none of the futures"):
            dbgkit.replay(raised.value)


def test_the_exception_of_a_wait_for_a_cancelled_task(client):
    future = client.submit(tasks.inc, 1, resources={"NOBODY_HAS": 1}, pure=False)
    wait_for_state(client, future.key, "no-worker")
    future.cancel()
    forgotten(client)
    with pytest.raises(CancelledError) as raised:
        future.result()
    with unchanged(client), refused(errors.Cancelled, "cancelled"):
        dbgkit.locate(raised.value)


@pytest.mark.parametrize("verb", VERBS)
def test_a_cancelled_future(client, verb):
    future = client.submit(tasks.inc, 1, resources={"NOBODY_HAS": 1}, pure=False)
    wait_for_state(client, future.key, "no-worker")
    future.cancel()
    forgotten(client)
    with unchanged(client), refused(errors.Cancelled, "cancelled"):
        verb(future)


# -- inputs --------------------------------------------------------------------


@pytest.fixture
def sized(client):
    """A failed task with a small and a large input, both in memory."""
    small = client.submit(tasks.make_bytes, 1_000, key="small", pure=False)
    large = client.submit(tasks.make_bytes, 5_000_000, key="large", pure=False)
    future = client.submit(sum_of, small, large, key="summed", pure=False)
    wait(future, timeout=30)
    return future, small, large


def sum_of(one, other):
    sizes = len(one), len(other)
    raise ValueError(f"cannot sum {sizes}")


@pytest.mark.parametrize("options", [{}, {"where": "process"}, {"dry_run": True}])
def test_inputs_over_the_limit_are_not_pulled(client, sized, options):
    told = []
    before = sent(client)
    with (
        unchanged(client),
        refused(errors.InputsTooLarge, r"'large' \(4.77 MiB\).*raise max_bytes"),
    ):
        dbgkit.replay(sized[0], max_bytes="1 MB", notify=told.append, **options)
    assert told == []
    assert sent(client) == before


def sent(client):
    """How often workers have given data away."""

    def count(dask_worker):
        return dask_worker.transfer_outgoing_count_total

    return sum(client.run(count).values())


def test_inputs_within_the_limit_are_pulled(client, sized):
    with unchanged(client):
        replay = dbgkit.replay(sized[0], max_bytes="6 MB")
        assert (replay.failure.key, replay.outcome) == ("summed", "same")
        assert replay.plan.pull_bytes >= 5_001_000
        entered(replay, "sum_of", sizes=(1_000, 5_000_000))


def test_inputs_that_turn_out_too_large_are_not_pulled(client, sized):
    future, small, large = sized
    small.release()
    large.release()
    del small, large, sized
    wait_until(lambda: set(client.futures) == {"summed"}, "the inputs to go")
    with unchanged(client), refused(errors.InputsTooLarge, "raise max_bytes"):
        dbgkit.replay(future, max_bytes="1 MB")


@pytest.mark.filterwarnings("ignore:Sending large graph:UserWarning")
def test_literals_over_the_limit_are_not_brought(client):
    future = client.submit(tasks.fail_with_bytes, os.urandom(3_000_000), pure=False)
    wait(future, timeout=30)
    with unchanged(client):
        assert dbgkit.locate(future).key == future.key
        with refused(errors.InputsTooLarge, "run spec.*raise max_bytes"):
            dbgkit.replay(future, max_bytes="1 MB")
        replay = dbgkit.replay(future, max_bytes="4 MB")
        assert replay.outcome == "same"
        entered(replay, "fail_with_bytes", size=3_000_000)


@pytest.mark.parametrize("recompute", [None, False])
def test_recomputing_is_refused_where_it_is_not_wanted(client, recompute):
    value = client.submit(tasks.inc, 1, key="input", pure=False)
    future = client.submit(tasks.ask_worker, value, pure=False)
    wait(future, timeout=30)
    value.release()
    wait_for_state(client, "input", "released")
    with unchanged(client):
        if recompute is None:
            assert dbgkit.replay(future).plan.recompute == ("input",)
        else:
            with refused(errors.RecomputeRefused, "1 task"):
                dbgkit.replay(future, recompute=recompute)


def test_a_plan_that_is_declined(client, failed):
    def decline(event):
        return not isinstance(event, Plan)

    with (
        unchanged(client),
        pytest.raises(errors.Declined, match="declined"),
    ):
        dbgkit.replay(failed, notify=decline)


@pytest.mark.parametrize("scope", ["task", "ancestors"])
def test_scattered_data_whose_worker_died_is_lost_for_good(harmable, scope):
    with harmable(n_workers=1, threads_per_worker=1) as client:
        (data,) = client.scatter([[1, 2, 3]], hash=False)
        (name,) = client.who_has([data])
        future = client.submit(fail_with_list, data, pure=False)
        wait(future, timeout=30)
        kill_workers(client)
        wait_until(lambda: data.status != "finished", "the data to be lost")
        with (
            unchanged(client, settled=False),
            refused(errors.InputLost, "lost permanently") as caught,
        ):
            dbgkit.replay(future, scope=scope)
        assert caught.value.key == name


def fail_with_list(values):
    raise ValueError("cannot take them")


def test_data_that_is_computed_again_after_its_worker_died(harmable):
    with harmable(n_workers=1, threads_per_worker=1) as client:
        value = client.submit(tasks.inc, 1, pure=False)
        future = client.submit(tasks.fail_with, value, pure=False)
        wait(future, timeout=30)
        kill_workers(client)
        wait(value, timeout=30)
        with unchanged(client):
            replay = dbgkit.replay(future)
            assert (replay.failure.key, replay.outcome) == (future.key, "same")
            entered(replay, "fail_with", address=2)


def kill_workers(client):
    """Kill all workers; their nannies start others."""
    old = client.run(os.getpid)
    for pid in old.values():
        os.kill(pid, signal.SIGKILL)

    def others():
        workers = client.run_on_scheduler(pids)
        return workers and not set(workers) & set(old.values())

    wait_until(others, "other workers")


def pids(dask_scheduler):
    return [ws.pid for ws in dask_scheduler.workers.values()]


# -- code that is not here -----------------------------------------------------


def test_a_run_spec_that_needs_a_module_that_is_not_here(apart, tmp_path, monkeypatch):
    client, _ = apart
    (tmp_path / "dbgkit_test_gone.py").write_text(
        "def fail(x):\n    raise ValueError(f'cannot take {x}')\n"
    )
    folder = str(tmp_path)
    client.run(add_folder, folder)
    client.run_on_scheduler(add_folder, folder)
    with monkeypatch.context() as patched:
        patched.syspath_prepend(folder)
        import dbgkit_test_gone

        future = client.submit(dbgkit_test_gone.fail, 4, pure=False)
        wait(future, timeout=30)
    monkeypatch.delitem(sys.modules, "dbgkit_test_gone")
    with unchanged(client):
        assert dbgkit.locate(future).message == "cannot take 4"
        for where in ("here", "process"):
            with refused(errors.RunSpecUnreadable, "no module") as caught:
                dbgkit.replay(future, where=where)
            assert caught.value.missing == "dbgkit_test_gone"


def add_folder(folder):
    sys.path.insert(0, folder)


# -- targets and options -------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("target", [object(), [object()], {"x": object()}, print, True])
def test_a_target_of_a_wrong_type(client, verb, target):
    with unchanged(client), refused(errors.WrongTarget, "unsupported target.*pass"):
        verb(target)


def test_a_list_of_nothing(client):
    with unchanged(client), refused(errors.NoFailure, "pass"):
        dbgkit.locate([])


def test_a_client_of_a_wrong_type(failed):
    with refused(errors.WrongTarget, "a Client or an address"):
        dbgkit.locate(failed, client=3)


@pytest.mark.parametrize(
    "options", [{"where": "there"}, {"scope": "all"}, {"times": 0}, {"times": 1.5}]
)
def test_an_option_that_does_not_exist(client, failed, options):
    name = next(iter(options))
    with unchanged(client), pytest.raises(ValueError, match=f"{name}="):
        dbgkit.replay(failed, **options)


@pytest.fixture
def nothing_at_hand(monkeypatch):
    for name in ("last_exc", "last_value"):
        monkeypatch.delattr(sys, name, raising=False)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("locate()", "there is no exception, and no client"),
        ("replay()", "there is no exception, and no client"),
        ("locate('some-key')", "no client"),
        ("replay('some-key')", "no client"),
    ],
)
def test_no_client_at_all(call, says):
    # In a process of its own: here other tests' clients are current ones.
    done = subprocess.run(
        [sys.executable, "-c", f"import dbgkit; dbgkit.{call}"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("dbgkit.errors.NoFailure")
    assert says in last


def test_a_client_and_nothing_failed(harmable, nothing_at_hand):
    with (
        harmable(n_workers=1, processes=False) as client,
        unchanged(client),
        refused(errors.NoFailure, "no failed task"),
    ):
        dbgkit.locate()


# -- schedulers that are gone --------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_an_address_where_nothing_listens(verb):
    with refused(errors.SchedulerGone, "tcp://127.0.0.1:1.*check the address"):
        verb("some-key", client="tcp://127.0.0.1:1", timeout="2s")


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("no address", errors.WrongTarget, "has no port.*tcp://HOST:8786"),
        ("nowhere://x:1", errors.SchedulerGone, "check the address"),
        ("tcp://", errors.WrongTarget, "has no port.*tcp://HOST:8786"),
    ],
)
def test_an_address_that_is_none(address, error, words):
    with refused(error, words):
        dbgkit.locate("some-key", client=address, timeout="2s")


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_client(cluster, verb):
    client = Client(cluster)
    future = client.submit(tasks.ask_worker, 4, pure=False)
    wait(future, timeout=30)
    key = future.key
    client.close()
    with refused(errors.SchedulerGone, "closed"):
        verb(key, client=client)


@pytest.fixture
def apart(tmp_path):
    """A scheduler and a worker in processes of their own, and a client."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "dask"]
    here = os.path.dirname(__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path[1:]])}
    options = {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    arguments = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = subprocess.Popen(
        [*command, "scheduler", "--port", "0", *arguments], **options
    )
    worker = subprocess.Popen([*command, "worker", "--no-nanny", *arguments], **options)
    try:
        wait_until(file.exists, "the scheduler's file")
        with Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(1, timeout=LIMIT)
            yield client, scheduler
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait(LIMIT)


@pytest.mark.parametrize("target", ["future", "key", "exception"])
def test_a_scheduler_that_was_killed(apart, target):
    client, scheduler = apart
    future = client.submit(tasks.ask_worker, 4, pure=False)
    wait(future, timeout=30)
    with pytest.raises(ValueError) as raised:
        future.result()
    targets = {"future": future, "key": future.key, "exception": raised.value}
    assert dbgkit.locate(future).key == future.key
    scheduler.kill()
    scheduler.wait(LIMIT)
    with refused(errors.SchedulerGone, "check whether|connect"):
        dbgkit.locate(targets[target], timeout="3s")


@pytest.mark.parametrize("verb", VERBS)
def test_a_scheduler_that_is_stopped_and_does_not_answer(apart, verb):
    client, scheduler = apart
    future = client.submit(tasks.ask_worker, 4, pure=False)
    wait(future, timeout=30)
    os.kill(scheduler.pid, signal.SIGSTOP)
    try:
        with refused(errors.WaitTimedOut, "within 1 s.*timeout="):
            verb(future, timeout="1s")
    finally:
        os.kill(scheduler.pid, signal.SIGCONT)
    assert verb(future) is not None


# -- workers that cannot be reached from here ----------------------------------

SCHEDULER_WITH_WORKER = """
import asyncio, sys
from distributed import Scheduler, Worker
from distributed.comm.inproc import global_manager

async def main():
    inside = "inproc://" + global_manager.new_address()
    options = {"dashboard": False, "dashboard_address": None}
    async with Scheduler(host="127.0.0.1", **options) as scheduler:
        # The worker's address holds in this process only, as one behind a gateway
        # holds in its own network only.
        await scheduler.listen(inside)
        async with Worker(inside, nthreads=2, death_timeout=20):
            print(scheduler.address, flush=True)
            await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def gateway():
    here = os.path.dirname(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER_WITH_WORKER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path[1:]])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        # Empty where it could not start within the worker's own limit.
        address = process.stdout.readline().strip()
        assert address.startswith("tcp://")
        with Client(address) as client:
            client.wait_for_workers(1, timeout=LIMIT)
            yield client
    finally:
        process.kill()
        process.communicate()


def test_workers_that_cannot_be_reached_give_through_the_scheduler(gateway):
    value = gateway.submit(tasks.inc, 1, pure=False)
    future = gateway.submit(tasks.fail_with, value, pure=False)
    wait(future, timeout=30)
    told = []
    with unchanged(gateway):
        replay = dbgkit.replay(future, notify=told.append)
        assert (replay.failure.key, replay.outcome) == (future.key, "same")
        entered(replay, "fail_with", address=2)
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert any("the scheduler passes" in text for text in notices)
