"""Several inputs of one task fail, one after the other: the earliest is its cause."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from distributed import Event, Future, wait
from tasks import same
from watching import state_of, unchanged, wait_until
from why_looks import from_dump, same_words

import dbgkit
from dbgkit.cluster.view import _finish
from dbgkit.remote.common.pacing import Pace
from dbgkit.remote.scheduler.roots import MOST_LINKS, find_roots


def fail_after(name, text):
    """Fail once an event is set."""
    Event(name).wait(60)
    raise ValueError(text)


def fail_twice_after(name, text, tries):
    """Fail at once, and again once an event is set."""
    if tries.exists():
        Event(name).wait(60)
    tries.touch()
    raise ValueError(text)


def fail_until(path, text):
    """Fail until a file is there."""
    if not path.exists():
        raise ValueError(text)
    return text


def collect(*values):
    return len(values)


def blame_of(dask_scheduler, key):
    return dask_scheduler.tasks[key].exception_blame.key


def let_fail(future):
    """Have `fail_after` fail, whose event has the name of its key."""
    event = Event(future.key, client=future.client)
    event.set()
    wait(future)
    event.clear()


@pytest.fixture
def fallen(client):
    """A task that fell of its input 'early', and is blamed on another by now."""
    early = client.submit(fail_after, "early", "the first", key="early")
    late = client.submit(fail_after, "late", "the second", key="late")
    between = client.submit(same, late, key="between")
    future = client.submit(collect, early, between, key="fallen")
    let_fail(early)
    wait(future)
    let_fail(late)
    wait(between)
    return future


def test_the_scheduler_blames_the_failure_that_comes_last(client, fallen):
    """Dask's own answer, which is not taken: see dbgkit/remote/scheduler/roots.py."""
    assert client.run_on_scheduler(blame_of, key="fallen") == "late"
    assert str(fallen.exception()) == "the first"


def test_of_two_inputs_the_one_that_failed_first_is_located(client, fallen):
    with pytest.raises(ValueError, match="the first") as caught:
        fallen.result()
    with unchanged(client):
        for target in (fallen, "fallen", caught.value, [fallen]):
            failure = dbgkit.locate(target)
            assert (failure.key, failure.message) == ("early", "the first")
            assert (failure.asked, failure.others) == ("fallen", ("late",))
            assert str(failure.exception) == "the first"


def test_what_is_replayed_is_what_the_future_holds(client, fallen):
    event = Event("early", client=client)
    event.set()
    with dbgkit.replay(fallen) as replay:
        assert (replay.outcome, str(replay.exception)) == ("same", "the first")
    event.clear()


def test_why_names_the_earliest_and_the_others(client, fallen, tmp_path):
    found = dbgkit.why(fallen)
    assert (found.cause, found.key) == ("cascaded", "early")
    assert found.chain == ("fallen", "early")
    assert "the first" in found.summary
    assert "other dependencies of it failed as well: 'late'" in found.evidence
    assert (found.graph.culprit, found.graph.asked) == ("early", "fallen")
    same_words(found, from_dump(client, tmp_path, "fallen"))


def test_rows_of_tasks_name_the_earliest(client, fallen, tmp_path):
    path = str(tmp_path / "dump")
    client.dump_cluster_state(path)
    for where in ({"client": client}, {"view": f"{path}.msgpack.gz"}):
        rows = dbgkit.tasks(failed=False, **where).rows
        assert {row.key: row.blame for row in rows} == {
            "fallen": "early",
            "between": "late",
        }


def test_the_story_of_the_exception_is_that_of_the_earliest(fallen):
    with pytest.raises(ValueError, match="the first") as caught:
        fallen.result()
    assert dbgkit.story(caught.value).key == "early"


def test_a_task_submitted_later_has_the_failure_that_its_future_holds(client, fallen):
    """What came first does not count, as it was not what failed this task."""
    for number in range(4):
        failed = [Future(key, client) for key in ("early", "late")]
        future = client.submit(collect, *failed, key=f"submitted-{number}")
        wait(future)
        failure = dbgkit.locate(future)
        assert failure.message == str(future.exception())
        assert {failure.key, *failure.others} == {"early", "late"}


def test_a_diamond_has_one_cause(client):
    top = client.submit(fail_after, "top", "at the top", key="top")
    sides = [client.submit(same, top, key=f"side-{i}") for i in range(2)]
    bottom = client.submit(collect, *sides, key="bottom")
    let_fail(top)
    wait(bottom)
    failure = dbgkit.locate(bottom)
    assert (failure.key, failure.asked, failure.others) == ("top", "bottom", ())
    assert dbgkit.locate([*sides, bottom]).others == ()


def test_a_long_chain_of_tasks_that_fell_is_followed(client):
    early = client.submit(fail_after, "early", "the first", key="early")
    late = client.submit(fail_after, "late", "the second", key="late")
    between = client.submit(same, late, key="between")
    chain = [client.submit(collect, early, between, key=("step", 0))]
    for i in range(1, 200):
        chain.append(client.submit(same, chain[-1], key=("step", i)))
    let_fail(early)
    wait(chain)
    let_fail(late)
    failure = dbgkit.locate(chain[-1].key)
    assert (failure.key, failure.others) == ("early", ("late",))
    assert dbgkit.why(chain[-1].key).graph.culprit == "early"


def test_what_failed_first_and_was_tried_again_failed_later(client, tmp_path):
    """The last attempt counts, as the task fell because of it."""
    tried = client.submit(
        fail_twice_after, "tried", "twice", tmp_path / "tries", key="tried", retries=1
    )
    wait_until((tmp_path / "tries").exists, "the first attempt")
    once = client.submit(fail_after, "once", "once", key="once")
    between = client.submit(same, tried, key="between")
    fell = client.submit(collect, once, between, key="fell")
    let_fail(once)
    wait(fell)
    let_fail(tried)
    failure = dbgkit.locate(fell)
    assert (failure.key, failure.others) == ("once", ("tried",))
    assert dbgkit.locate(tried).attempts == 2


def test_what_a_retry_healed_is_no_cause(client, tmp_path):
    healed = client.submit(fail_until, tmp_path / "go", "healed", key="healed")
    wait(healed)
    bad = client.submit(fail_until, tmp_path / "never", "bad", key="bad")
    fell = client.submit(collect, healed, bad, key="fell")
    wait([bad, fell])
    (tmp_path / "go").touch()
    fell.retry()

    def is_over():
        states = [client.run_on_scheduler(state_of, key=k) for k in ("healed", "fell")]
        return states == ["memory", "erred"]

    wait_until(is_over, "one is healed, and the rest failed again")
    failure = dbgkit.locate("fell")
    assert (failure.key, failure.others) == ("bad", ())


# -- the limit of what is followed -------------------------------------------


class Task:
    """As much of a TaskState as is looked at."""

    def __init__(self, key, *needs, blame=None, exception=None):
        self.key, self.state = key, "erred"
        self.dependencies = needs
        self.exception = exception
        self.exception_text = exception
        self.exception_blame = blame or self


def roots_above(*starts, texts=()):
    tasks, waiting = {}, list(starts)
    while waiting:
        ts = waiting.pop()
        if ts.key not in tasks:
            tasks[ts.key] = ts
            waiting += ts.dependencies
    log = [(ts.key, "", "erred", {}, "", float(ts.key[-1])) for ts in tasks.values()]
    state = SimpleNamespace(tasks=tasks, erred_tasks=(), transition_log=log)
    return _finish(find_roots(state, starts, Pace(), texts))


def test_past_the_limit_the_scheduler_is_believed():
    early, late = Task("early-1", exception="a"), Task("late-2", exception="b")
    many = [Task(f"many-{i}", late, blame=late) for i in range(MOST_LINKS)]
    fell = Task("fell-3", *many, early, blame=late)
    found = roots_above(fell)
    assert (found.order, found.unfollowed > 0) == ([late], True)
    assert found.way(late) == [fell, late]


def test_a_text_that_a_future_holds_comes_first():
    early, late = Task("early-1", exception="a"), Task("late-2", exception="b")
    fell = Task("fell-3", early, late, blame=late)
    assert roots_above(fell).order == [early, late]
    found = roots_above(fell, texts=["b"])
    assert (found.order, found.others) == ([late, early], [early])
    assert roots_above(fell, texts=["of neither"]).order == [early, late]


def test_a_failure_stays_one_that_is_blamed_on_another_later():
    """As an input that had to be computed again failed this time."""
    again = Task("again-2", exception="b")
    first = Task("first-1", again, exception="a", blame=again)
    assert roots_above(first).order == [first]
