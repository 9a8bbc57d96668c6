"""Deaths of workers, for real: why, and what ran there."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from datetime import timedelta

import pytest
from deaths_tasks import (
    KEY,
    crash,
    crash_later,
    die,
    gone,
    hang,
    leave,
    loop,
    running,
    workers,
)
from distributed import wait
from watching import wait_until

import dbgkit
from dbgkit.cluster.link import Link
from dbgkit.cluster.shipping import deaths_name
from dbgkit.cluster.view import LiveView
from dbgkit.diagnose.deaths.explain import deaths_of, tell_of
from dbgkit.diagnose.failures import with_deaths
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.outcomes import FailedTask, failed
from dbgkit.model import Deaths, Failure, FailureGroup


@pytest.fixture
def client(mortals):
    """A cluster with both workers there."""
    mortals.wait_for_workers(2, timeout=60)
    return mortals


@pytest.fixture(scope="module")
def left(mortals):
    """A death by exit status 3, of a task with a key that breaks markup."""
    return die(mortals, leave, key=KEY)[1]


@pytest.fixture(scope="module")
def crashed(mortals):
    """A future that failed as its worker crashed, and that death."""
    return die(mortals, crash, key="crash-1")


@pytest.fixture(scope="module")
def killed(mortals, tmp_path_factory):
    """A death by SIGKILL, with two tasks that ran and five that did not."""
    never = str(tmp_path_factory.mktemp("killed") / "never")
    mortals.wait_for_workers(2, timeout=60)
    worker, pid = next(iter(workers(mortals).items()))
    block = mortals.submit(bytes, 5_000_000, key="block", workers=[worker])
    futures = [
        mortals.submit(loop, never, block, key="loop-1", workers=[worker]),
        mortals.submit(hang, never, key="hang-1", workers=[worker]),
    ]
    assert running(mortals, "loop-1", "hang-1") == worker
    futures += [
        mortals.submit(loop, never, key=("queued", n), workers=[worker])
        for n in range(5)
    ]
    wait_until(lambda: len(mortals.processing()[worker]) == 7, "all are there")
    os.kill(pid, signal.SIGKILL)
    wait(futures)
    death = gone(mortals, worker)
    assert death.pid == pid
    return death


def ran(death, key):
    """One of the tasks that ran."""
    return next(task for task in death.ran if task.key == key)


def test_an_exit(left):
    assert (left.verdict, left.exit_code, left.signal) == ("exit", 3, "")
    assert "status 3" in left.evidence[0]
    assert left.memory > 2**20 and left.pid and left.nanny


def test_a_task_that_ran_is_told_with_its_line(left):
    (task,) = left.ran
    assert task.key == KEY
    assert task.line.endswith("in leave")


def test_an_exit_with_status_0_is_no_closing(client):
    _, death = die(client, leave, 0, key="leave-0")
    assert (death.verdict, death.exit_code) == ("exit", 0)


def test_a_crash_leaves_its_stack(crashed):
    _, death = crashed
    assert (death.verdict, death.signal) == ("signal", "SIGSEGV")
    assert "Segmentation fault" in death.stack
    (task,) = death.ran
    assert task.crashed
    assert task.line.startswith(crash.__code__.co_filename) and task.line.endswith(
        "in crash"
    )


def test_failures_tell_the_death(client, crashed):
    future, death = crashed
    groups = dbgkit.failures(client=client).groups
    (group,) = (each for each in groups if future.key in each.keys)
    assert "SIGSEGV" in group.message and "while running it" in group.message
    assert group.location.endswith("in crash")
    assert [each.worker for each in group.deaths] == [death.worker]
    assert json.dumps(dbgkit.failures(client=client).to_json())


def test_failures_tell_the_death_of_what_is_forgotten(client):
    future, death = die(client, leave, 5, key="leave-forgotten")
    future.release()
    wait_until(
        lambda: (
            not client.run_on_scheduler(
                lambda dask_scheduler: "leave-forgotten" in dask_scheduler.tasks
            )
        ),
        "the scheduler forgets it",
    )
    groups = dbgkit.failures(client=client).groups
    (group,) = (each for each in groups if "leave-forgotten" in each.keys)
    assert group.exception_type == "KilledWorker"
    assert "status 5" in group.message and "while running it" in group.message
    assert [each.worker for each in group.deaths] == [death.worker]


def test_why_tells_the_death(client, crashed):
    future, _ = crashed
    told = dbgkit.why(future, client=client)
    assert told.cause == "failed"
    assert "SIGSEGV" in " ".join(told.evidence)


def evidence_of(key, deaths, count):
    end = {
        "code": "failed",
        "key": key,
        "blame": key,
        "state": "erred",
        "count": 1,
        "chain": [key],
        "length": 1,
        "exception_text": "",
        "traceback_text": "",
        "codes": [],
        "shuffle": "",
        "killed": count,
        "erred_on": [],
        "when": None,
        "tried": 1,
        "through": (),
    }
    return failed(Cause(FailedTask(end, deaths), end))[1]


def test_each_death_is_told_once_first_those_where_the_task_ran(crashed):
    """The newest two only had it queued."""
    future, death = crashed
    key = future.key
    ran = [replace(death, summary=f"ran {n}") for n in range(2)]
    queued = [
        replace(death, summary=f"queued {n}", ran=(), queued=(key,)) for n in range(2)
    ]
    told = evidence_of(key, [queued[0], ran[0], queued[1], ran[1]], 5)
    assert told == [
        "4 workers died, 2 of them while running it: ran 0",
        "ran 1",
        "queued 0",
        "2 more workers died while assigned to it",
    ]
    assert evidence_of(key, [queued[0], ran[0]], 2)[1:] == ["queued 0"]


def test_a_group_is_told_by_a_task_that_ran(client, killed):
    """Its example only was queued on the worker that another one of it ended."""
    keys = [("queued", 0), "loop-1"]
    example = Failure(keys[0], "queued", "KilledWorker", "")
    group = FailureGroup(
        exception_type="KilledWorker",
        message="",
        location="",
        count=2,
        cascaded=0,
        forgotten=0,
        workers=(killed.worker,),
        first=None,
        last=None,
        keys=tuple(keys),
        omitted_keys=0,
        example=example,
    )
    view = LiveView(Link(client, 30))
    (told,) = with_deaths([group], view)
    assert told.message.startswith("1 worker died while running it: ")
    assert told.location.endswith("in loop")
    assert [death.worker for death in told.deaths] == [killed.worker]
    (told,) = with_deaths([replace(group, keys=(keys[0],))], view)
    assert told.message.startswith("1 worker died with it queued, while running")


def test_a_group_without_texts_is_told_by_what_fell_at_the_same_moment(client, killed):
    fell = Failure(("queued", 0), "queued", "", "", when=killed.when)
    group = FailureGroup(
        exception_type="",
        message="",
        location="",
        count=2,
        cascaded=0,
        forgotten=2,
        workers=(),
        first=None,
        last=None,
        keys=(("queued", 0), "loop-1"),
        omitted_keys=0,
        example=fell,
    )
    view = LiveView(Link(client, 30))
    (told,) = with_deaths([group], view)
    assert told.message.startswith("1 worker died while running it: ")
    before = replace(fell, when=killed.when - timedelta(hours=1))
    assert with_deaths([replace(group, example=before)], view)[0].deaths == ()


def test_a_kill_from_outside(killed):
    assert (killed.verdict, killed.signal) == ("signal", "SIGKILL")


def test_what_only_was_queued_is_told_from_what_ran(killed):
    assert set(killed.keys) == {"loop-1", "hang-1"}
    assert set(killed.queued) == {("queued", n) for n in range(5)}
    assert killed.queued_count == 5


def test_what_failed_while_it_was_queued_is_told_so(client, killed):
    found = deaths_of(LiveView(Link(client, 30)), [("queued", 3)])
    told = tell_of(("queued", 3), found[("queued", 3)])
    assert "died with it queued, while running" in told and "'loop-1'" in told


def test_an_asynchronous_task_has_its_line(killed):
    assert ran(killed, "hang-1").line.endswith("in hang")


def test_of_several_coroutines_none_is_blamed_for_a_crash(client, tmp_path):
    worker = next(iter(workers(client)))
    never = str(tmp_path / "never")
    waits = client.submit(hang, never, key="turn-hang", workers=[worker])
    assert running(client, "turn-hang") == worker
    crashes = client.submit(crash_later, key="turn-crash", workers=[worker])
    wait([waits, crashes])
    death = gone(client, worker)
    assert set(death.keys) == {"turn-hang", "turn-crash"}
    assert not any(task.crashed for task in death.ran)
    assert ran(death, "turn-hang").line.endswith("in hang")
    assert any("in crash, in one of several tasks" in note for note in death.notes)


def test_a_coroutine_that_waits_is_not_where_a_crash_was(client, tmp_path):
    future = client.submit(hang, str(tmp_path / "never"), key="waits")
    worker = running(client, "waits")
    os.kill(workers(client)[worker], signal.SIGSEGV)  # in the thread of the loop
    wait(future)
    death = gone(client, worker)
    assert death.signal == "SIGSEGV" and "Segmentation fault" in death.stack
    (task,) = death.ran
    assert not task.crashed and task.line.endswith("in hang")


def test_inputs_are_counted(killed):
    assert ran(killed, "loop-1").inputs >= 5_000_000
    assert ran(killed, "hang-1").inputs == 0


def test_two_that_die_at_once_are_told_apart(client, tmp_path):
    never = str(tmp_path / "never")
    pids = workers(client)
    expected = {each: (f"pair-{n}",) for n, each in enumerate(pids)}
    futures = [
        client.submit(loop, never, key=key, workers=[each])
        for each, (key,) in expected.items()
    ]
    for each, (key,) in expected.items():
        assert running(client, key) == each
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    wait(futures)
    deaths = [each for each in dbgkit.deaths(client=client) if each.worker in pids]
    assert {each.worker: each.keys for each in deaths} == expected
    assert {each.worker: each.pid for each in deaths} == pids


def test_a_restart_was_wanted(client):
    worker, _ = workers(client)
    client.restart_workers([worker], timeout=60)
    death = gone(client, worker)
    assert death.verdict == "closed-on-purpose" and death.expected
    assert not death.ran


def test_what_is_left_out_is_counted(client, left, killed):
    deaths = dbgkit.deaths(client=client, limit=1)
    assert len(deaths) == 1
    assert deaths.omitted == deaths.total - 1 > 0


def test_of_those_that_are_alike_the_newest_is_shown(left):
    earlier = [replace(left, when=left.when - timedelta(hours=n)) for n in (1, 2)]
    other = replace(left, exit_code=4, evidence=("another status",))
    told = str(Deaths((left, *earlier, other), total=4))
    assert told.count("2 more ended in the same way, the first at") == 1
    assert told.count(str(left.pid)) < 2 * str(left).count(str(left.pid)) + 2
    assert "another status" in told and told.startswith("4 workers went away")


def test_json_text_and_html(left):
    told = json.loads(json.dumps(Deaths((left,), 1).to_json()))
    assert told["deaths"][0]["verdict"] == "exit"
    for shown in (left, Deaths((left,), 1)):
        bundle = shown._repr_mimebundle_()
        assert "status 3" in bundle["text/plain"] and "[/a]" in bundle["text/plain"]
        assert "&lt;b&gt;" in bundle["text/html"]
        assert "<b>[/a]" not in bundle["text/html"]


# -- whoever else speaks to the scheduler ----------------------------------------------

WRONG_EVENTS = [
    {"action": "remove-worker", "worker": 5},
    {"action": "remove-worker"},
    {"action": "remove-worker", "worker": "tcp://nowhere:1", "processing-tasks": 3},
    {"action": "restart-workers", "workers": 7},
    {"action": "closing-worker", "reason": [1]},
]


@pytest.mark.parametrize("wrong", ["event", "living", "memory", "report", "box"])
def test_what_others_tell_of_deaths_is_no_death(client, wrong):
    before = dbgkit.deaths(client=client)
    (worker, *_) = workers(client)
    if wrong == "event":
        for event in WRONG_EVENTS:
            client.log_event("all", event)
    elif wrong == "living":
        client.log_event("all", {"action": "remove-worker", "worker": worker})
    elif wrong == "memory":
        event = {"worker": worker, "pid": None, "rss": "much"}
        client.log_event("worker-restart-memory", event)
    else:
        report = {"worker": worker, "pid": 7, "code": "three", "when": "now"}
        if wrong == "box":
            box = {"tasks": [{"key": 1}], "ended": [], "nonce": ""}
            report = {**REPORT, "worker": worker, "box": box}
        with pytest.raises(ValueError, match="not a nanny's report"):
            client.run_on_scheduler(tell, name=deaths_name(), report=report)
    after = dbgkit.deaths(client=client)
    assert (after.total, after.deaths) == (before.total, before.deaths)
    assert not any("malformed" in note for note in after.notes)


REPORT = {
    "nanny": "tcp://10.0.0.1:1",
    "name": "forged",
    "pid": 7,
    "when": 1.0,
    "code": 3,
    "closed": False,
    "memory": None,
    "memory_at": None,
    "history": [],
    "kills": {},
    "lines": [],
    "error": "",
}


async def tell(dask_scheduler, name, report):
    """What a nanny's call ends in."""
    await dask_scheduler.handlers[f"{name}-report"](report=report)


def test_of_a_malformed_death_the_others_are_shown(client, left):
    told = client.run_on_scheduler(spoil_one, name=deaths_name())
    assert told > 1
    try:
        found = dbgkit.deaths(client=client)
        assert len(found.deaths) == told - 1
        (note,) = [note for note in found.notes if "malformed" in note]
        assert note.startswith("one of them could not be read")
        assert (found.total, found.omitted) == (len(found.deaths), 0)
    finally:
        client.run_on_scheduler(spoil_one, name=deaths_name(), back=True)


def spoil_one(dask_scheduler, name, back=False):
    """Have one death be of what cannot be; how many there are."""
    store = dask_scheduler.plugins[name]
    store.deaths[0]["processing_count"] = 0 if back else "many"
    return len(store.deaths)
