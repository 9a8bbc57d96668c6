"""A scheduler that is restarted in the middle of a call: one clear line each.

Dask's client connects to the new one by itself, and has cancelled all its futures.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import wait
from schedulers import COMMANDS, GONE, WHERE, hold, looked, own_scheduler, ratio
from watching import wait_until

import dbgkit
from dbgkit import errors
from dbgkit.cluster import connection

RESTARTED = "was restarted during this call"
AGAIN = "submit the work again, or pass the exception"


def raised(call, *args, **options):
    """What a call raises; or an assertion that tells what it returned."""
    try:
        returned = call(*args, **options)
    except errors.DbgkitError as error:
        return error
    raise AssertionError(f"nothing was raised: {returned!r}")


@pytest.fixture(scope="module", autouse=True)
def patient():
    """On a busy machine, too, the client is back in time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "RECONNECTING", 30.0)
        yield


def is_told(line):
    """Whether a command says it: its client may not be back in time on a busy machine.

    Then nobody knows yet that there is another scheduler.
    """
    return (RESTARTED in line and AGAIN in line) or GONE in line


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """How calls and commands ended whose scheduler restarted as they computed inputs.

    By name: how a command has ended; or what a call raised or returned; and as
    "left" what there is of ours in the client, and on the new scheduler.
    """
    with own_scheduler(tmp_path_factory.mktemp("restarted")) as cluster:
        cluster.stand_by()
        found = dict(looked(cluster, cluster.restart, ancestors=["ancestors"]))
        cluster.let_go()
        wait_until(lambda: cluster.client.status == "running", "it is connected again")
        wait_until(lambda: not cluster.known(), "all tasks are forgotten")
        found["left"] = dict(cluster.client.futures)
        yield found


@pytest.mark.parametrize("where", COMMANDS)
def test_from_the_command_line(looks, where):
    done = looks[f"{COMMANDS[where]} {where}"]
    assert done.code == 2, done
    (line,) = [one for one in done.err.splitlines() if one.startswith("Error: ")]
    assert is_told(line)
    assert "Traceback" not in done.err
    assert not done.out


def test_from_a_script(looks):
    """Its own exit code and traceback, and a line why there is no more than that."""
    done = looks["run"]
    assert done.code == 1, done
    told = [one for one in done.err.splitlines() if one.startswith("dbgkit: ")]
    assert is_told(told[-1])
    assert "ZeroDivisionError" in done.err


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("target", ["call", "forgotten"])
def test_from_a_call(looks, target, where):
    error = looks[f"{target} {where}"]
    assert isinstance(error, errors.SchedulerGone), error
    assert RESTARTED in str(error)
    assert AGAIN in str(error)
    assert "\n" not in str(error)


def test_what_runs_all_in_its_own_process_goes_on(looks):
    assert looks["call ancestors"].outcome == "same"
    assert looks["ancestors"].code == 1, looks["ancestors"]  # as it fails again
    assert "outcome same" in looks["ancestors"].out


def test_no_future_is_left(looks):
    assert looks["left"] == {}


@pytest.fixture
def cluster(tmp_path):
    with own_scheduler(tmp_path) as cluster:
        yield cluster


def test_an_exception_with_its_graph_is_replayed_by_the_new_one(cluster):
    exception = cluster.raised()
    assert dbgkit.locate(exception).key
    cluster.restarted()
    cluster.start_worker()
    for where in WHERE:
        assert dbgkit.replay(exception, where=where).outcome == "same"
    wait_until(lambda: not cluster.known(), "all tasks are forgotten")


def test_what_the_scheduler_alone_knew_went_with_it(cluster):
    future = cluster.failed("known")
    located, brought = dbgkit.locate(future), dbgkit.replay(future).failure
    assert brought.evidence.visit["tasks"]
    cluster.restarted()
    cluster.start_worker()
    error = raised(dbgkit.replay, located)
    assert isinstance(error, errors.SchedulerGone)
    assert "the scheduler was restarted since 'bad-known' was located" in str(error)
    assert AGAIN in str(error)
    error = raised(dbgkit.replay, future)
    assert isinstance(error, errors.SchedulerGone)
    assert "'bad-known' was lost when the client lost its scheduler" in str(error)
    assert AGAIN in str(error)
    # Its run specs are here: so the new scheduler can compute its input.
    for where in WHERE:
        assert dbgkit.replay(brought, where=where).outcome == "same"


def test_a_held_input_that_went_is_told_as_such(cluster):
    held = cluster.client.submit(hold, str(cluster.folder), "held", key="held")
    bad = cluster.client.submit(ratio, 1, held, key="bad")
    wait(bad)
    failure = dbgkit.replay(bad).failure
    cluster.restarted()
    cluster.start_worker()
    for where in WHERE:
        error = raised(dbgkit.replay, failure, where=where)
        assert isinstance(error, errors.InputLost)
        assert "input 'held' was lost with the scheduler, which was restarted" in str(
            error
        )


VERBS = {
    "failures": dbgkit.failures,
    "tasks": dbgkit.tasks,
    "doctor": dbgkit.doctor,
    "peek": dbgkit.peek,
    "deaths": dbgkit.deaths,
    "record": dbgkit.record,
    "recordings": dbgkit.recordings,
    "why": lambda: dbgkit.why("bad-asked"),
    "story": lambda: dbgkit.story("bad-asked"),
    "locate": lambda: dbgkit.locate("bad-asked"),
    "replay": lambda: dbgkit.replay("bad-asked"),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """What each verb came to that had asked a scheduler which was then restarted."""
    with (
        own_scheduler(tmp_path_factory.mktemp("asked")) as cluster,
        ThreadPoolExecutor(len(VERBS)) as pool,
    ):
        bad = cluster.failed("asked")
        dbgkit.failures()  # what a first question brings along is there
        cluster.stand_by()
        cluster.stop_answering()
        calls = {name: pool.submit(raised, verb) for name, verb in VERBS.items()}

        def under_way():
            over = sum(call.done() for call in calls.values())
            return cluster.waiting() + over >= len(calls)

        wait_until(under_way, "all have asked")
        cluster.restart()
        yield {
            name: call.exception(40) or call.result() for name, call in calls.items()
        }
        bad.release()


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_that_is_under_way_says_so(asked, verb):
    error = asked[verb]
    assert isinstance(error, errors.SchedulerGone), error
    assert RESTARTED in str(error)
    assert AGAIN in str(error)


def test_a_recorder_says_that_it_went(cluster):
    said = "the recorder and all that it held are lost"
    with pytest.warns(RuntimeWarning, match=said), dbgkit.record():
        cluster.restarted()
    with dbgkit.record():
        pass


def test_what_leaves_a_recorders_block_is_told_that_it_went(cluster):
    with pytest.raises(ZeroDivisionError) as left, dbgkit.record():
        cluster.restarted()
        ratio(1, 0)
    if hasattr(left.value, "add_note"):  # from Python 3.11 on
        assert "that it held are lost" in left.value.__notes__[0]


@pytest.fixture
def under_way(cluster):
    """A replay that computes its input again; and the cluster."""
    exception = cluster.raised()
    (cluster.folder / "again").touch()
    with ThreadPoolExecutor(1) as pool:
        told = []
        looking = pool.submit(raised, dbgkit.replay, exception, notify=told.append)
        wait_until(lambda: cluster.runs() or looking.done(), "it computes again")
        yield cluster, looking, told
        cluster.let_go()
    assert not cluster.client.futures
    wait_until(lambda: not cluster.known(), "all tasks are forgotten")
    (cluster.folder / "again").unlink()
    assert dbgkit.replay(exception).outcome == "same"


def test_a_connection_that_was_cut_for_a_moment(under_way):
    """The scheduler is the same one, and has forgotten what the client wanted."""
    cluster, looking, told = under_way
    comm = cluster.client.scheduler_comm.comm
    cluster.client.loop.add_callback(comm.abort)
    error = looking.result(30)
    assert isinstance(error, errors.SchedulerGone)
    assert "the connection to the scheduler was lost for a moment" in str(error)
    assert "try again: it is back" in str(error)
    done = [each for each in told if isinstance(each, dbgkit.model.Progress)]
    assert all(each.done < each.total for each in done)


def test_a_cluster_that_is_restarted_by_its_client(under_way):
    cluster, looking, _ = under_way
    cluster.client.restart(wait_for_workers=False)
    error = looking.result(30)
    assert isinstance(error, errors.Cancelled)
    assert "the cluster was restarted (client.restart()" in str(error)
    cluster.start_worker()
