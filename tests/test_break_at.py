"""``dbgkit.break_at``: where tasks stop without a ``breakpoint()``, and for whom."""

from __future__ import annotations

import asyncio
import collections
import functools
import multiprocessing
import operator
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor

import break_at_tasks
import cloudpickle
import dask
import dask.bag
import pytest
from break_at_tasks import (
    DOUBLED_LINE,
    SUMMED_LINE,
    Counter,
    awaiting,
    calls_ratio,
    doubled,
    halved,
    helped,
    ratio,
    summed,
)
from distributed import Client, Event, wait
from live_sessions import enter, entered, nothing_left, stop_of, waiting
from watching import LIMIT, wait_until

import dbgkit
from dbgkit.errors import NotHere, WrongTarget

HAS_LINES = sys.version_info >= (3, 12)
lines = pytest.mark.skipif(not HAS_LINES, reason="lines need Python 3.12")
MODULE = "break_at_tasks.py"


@pytest.fixture
def here(client):
    """A client of each of the shared clusters, on which nothing is left."""
    yield client
    bare(client)


@pytest.fixture(params=["by reference", "by value"])
def travelling(request):
    """Have the tasks' functions travel so."""
    if request.param == "by value":
        cloudpickle.register_pickle_by_value(break_at_tasks)
    yield request.param
    if request.param == "by value":
        cloudpickle.unregister_pickle_by_value(break_at_tasks)


def traces(dask_worker):
    """What `break_at` may have left on a worker; runs there."""
    import sys

    monitoring = getattr(sys, "monitoring", None)
    return {
        # Others', such as coverage's, are theirs.
        "tools": [
            number
            for number in range(6)
            if monitoring and "dbgkit" in str(monitoring.get_tool(number))
        ],
        "specs": [
            key
            for key, ts in dask_worker.state.tasks.items()
            if type(ts.run_spec).__name__ == "Breaking"
        ],
    }


def bare(client):
    """Nothing of any use of `break_at` is left on a cluster."""
    nothing_left(client)
    found = client.run(traces).values()
    assert all(each["specs"] == [] for each in found)
    assert all(each["tools"] == [] for each in found)


def why_passed():
    """How many have passed, at whatever line, by prefix and reason."""
    found = collections.Counter()
    for each in dbgkit.attach().passed:
        found[each.prefix, each.why] += each.count
    return found


# -- at the start --------------------------------------------------------------------


def test_a_key_stops_at_the_first_line_of_its_own_code(here, travelling):
    with dbgkit.break_at("first-1"):
        future = here.submit(doubled, 3, key="first-1")
        found = stop_of(here, "first-1")
        assert found.source == "y = x * 2" and "in doubled" in found.line
        said, how = enter(here, found, "p x", "n", "p y", "n", "c")
        assert "\n3\n" in said and "\n6\n" in said and "return y + 1" in said
        assert how == "continued"
        assert future.result(LIMIT) == 7


@pytest.mark.parametrize("place", [("tuple-key", 0), "('tuple-key', 0)", "tuple-key"])
def test_a_key_in_any_spelling_and_its_prefix(here, place):
    with dbgkit.break_at(place):
        future = here.submit(doubled, 3, key=("tuple-key", 0))
        enter(here, stop_of(here, ("tuple-key", 0)), "c")
        assert future.result(LIMIT) == 7


def test_one_task_of_a_prefix_and_worker_stops_and_the_rest_is_counted(here):
    with dbgkit.break_at("many"):
        futures = here.map(doubled, range(30), key=[f"many-{i}" for i in range(30)])
        other = here.submit(doubled, 5, key="another-1")
        found = waiting(here, 2)
        assert len({each.worker for each in found}) == 2
        assert other.result(LIMIT) == 11
        wait([f for f in futures if f.key not in {each.key for each in found}], LIMIT)
        why = ("many", "as many tasks as wanted have stopped")
        wait_until(lambda: why_passed().get(why) == 28, "28 have passed")
    assert here.gather(futures) == [2 * x + 1 for x in range(30)]


def _knows(dask_scheduler, key):
    return key in dask_scheduler.tasks


def test_it_says_that_no_task_is_known_or_that_all_have_run(here):
    with dbgkit.break_at("noted") as armed:
        assert "no task of that key or prefix is known yet" in armed.note
        assert armed.note in repr(armed)
    futures = here.map(doubled, range(3), key=[f"noted-{i}" for i in range(3)])
    wait(futures, LIMIT)
    with dbgkit.break_at("noted") as armed:
        assert armed.note == "all that is known of it has run already (3 tasks)"
    with dbgkit.break_at("noted-1") as armed:
        assert "(1 task)" in armed.note
    with dbgkit.break_at(doubled) as armed:
        assert armed.note == ""
    gate = Event("noted-goes")
    waits = here.submit(gate.wait, key="noted-9")
    wait_until(lambda: here.run_on_scheduler(_knows, key="noted-9"), "it is known")
    with dbgkit.break_at("noted") as armed:
        assert armed.note == ""
    gate.set()
    assert waits.result(LIMIT)


def test_a_function_stops_whatever_the_key(here, travelling):
    with dbgkit.break_at(doubled):
        future = here.submit(doubled, 3, key="anything-1")
        other = here.submit(halved, 3, key="anything-2")
        assert other.result(LIMIT) == 1.5
        assert "\n3\n" in enter(here, stop_of(here, "anything-1"), "p x", "c")[0]
        assert future.result(LIMIT) == 7


@functools.lru_cache
def _cached(x):
    over = x
    return over


def _tripled(x):
    three = x * 3
    return three


def test_a_delayed_or_cached_function_and_a_delayed_value(here):
    delayed = dask.delayed(_tripled)
    value = dask.delayed(doubled)(4)
    uses = {
        "_tripled": (delayed, delayed(3), 9),
        "_cached": (_cached, dask.delayed(_cached)(5), 5),
        repr(value.key): (value, value, 9),
    }
    for text, (place, work, result) in uses.items():
        with dbgkit.break_at(place) as armed:
            assert f"break_at({text})" in repr(armed)
            future = here.compute(work)
            assert enter(here, waiting(here)[0], "c")[1] == "continued"
            assert future.result(10) == result


def test_a_function_within_a_fused_graph(here):
    from dask._task_spec import Task

    first = Task("fused-0", halved, 8)
    second = Task("fused-1", doubled, first.ref())
    fused = Task.fuse(first, second)
    with dbgkit.break_at(doubled):
        future = here.get({"fused-1": fused}, "fused-1", sync=False)
        assert "\n4.0\n" in enter(here, stop_of(here, "fused-1"), "p x", "c")[0]
        assert future.result(LIMIT) == 9


@lines
def test_a_function_stops_wherever_it_is_called(here, travelling):
    with dbgkit.break_at(doubled):
        future = here.submit(helped, 3, key="inner-1")
        for value in (3, 4):  # it stops again, and does not count again
            said, _ = enter(here, stop_of(here, "inner-1"), "p x", "c")
            assert f"\n{value}\n" in said
        assert future.result(LIMIT) == 16


def test_of_a_library_it_stops_in_what_the_task_calls(here):
    from packaging.version import parse

    with dbgkit.break_at("library-1"):
        future = here.submit(parse, "1.2", key="library-1")
        found = stop_of(here, "library-1")
        assert "packaging" in found.line
        enter(here, found, "c")
        assert str(future.result(LIMIT)) == "1.2"


def test_a_task_without_python_code_is_said_to_pass(here):
    with dbgkit.break_at("nocode"):
        assert here.submit(operator.add, 1, 2, key="nocode-1").result(LIMIT) == 3
        why = ("nocode", "it ran no Python code that it could be stopped in")
        wait_until(lambda: why_passed().get(why) == 1, "it is said")


# -- where it fails ------------------------------------------------------------------


def test_where_it_fails_before_that_is_reported(here, travelling):
    with dbgkit.break_at("failing", when="error"):
        fine = here.submit(calls_ratio, 2, key="failing-0")
        assert fine.result(LIMIT) == 0.5
        future = here.submit(calls_ratio, 0, key="failing-1")
        found = stop_of(here, "failing-1")
        assert found.source == "return over / x" and not future.done()
        said, how = enter(
            here,
            found,
            "w",
            "p x, over",
            "u",
            "p before",
            "skip_hidden false",
            "w",
            "c",
        )
        assert "(0, 1)" in said and "calls_ratio" in said and "distributed" in said
        assert how == "continued"
        error = future.exception(LIMIT)
    assert isinstance(error, ZeroDivisionError)
    failure = dbgkit.locate("failing-1")
    assert failure.exception_type == "ZeroDivisionError"
    assert "dbgkit" not in failure.traceback_text.replace("/dbgkit", "")


@pytest.mark.parametrize("command", ["n", "s", "r", "unt"])
def test_no_step_leads_on_from_a_failure(here, command):
    with dbgkit.break_at("ending", when="error"):
        future = here.submit(ratio, 0, key="ending-1")
        assert enter(here, stop_of(here, "ending-1"), command)[1] == "continued"
        assert isinstance(future.exception(LIMIT), ZeroDivisionError)


@pytest.mark.parametrize("when", ["start", pytest.param(DOUBLED_LINE, marks=lines)])
def test_what_aborts_a_task_leads_to_its_own_line(here, when):
    with dbgkit.break_at(doubled, when=when):
        future = here.submit(doubled, 3, key="aborts-1")
        enter(here, stop_of(here, "aborts-1"), "abort")
        frames = traceback.extract_tb(future.exception(10).__traceback__)
        assert "doubled" in [each.name for each in frames[-2:]]


def test_a_failure_that_somebody_aborts_fails_where_it_failed(here):
    with dbgkit.break_at(ratio, when="error"):
        future = here.submit(calls_ratio, 0, key="aborted-1")
        assert enter(here, stop_of(here, "aborted-1"), "abort no use")[1] == "aborted"
        error = future.exception(LIMIT)
    assert "no use" in str(error)
    assert isinstance(error, RuntimeError)
    assert "return over / x" in dbgkit.locate("aborted-1").traceback_text


@pytest.mark.parametrize(
    "place", [ratio, f"{MODULE}:{ratio.__code__.co_firstlineno + 2}"]
)
def test_failures_that_went_through_a_place(here, place, travelling):
    with dbgkit.break_at(place, when="error"):
        other = here.submit(operator.truediv, 1, 0, key="elsewhere-1")
        assert isinstance(other.exception(LIMIT), ZeroDivisionError)
        future = here.submit(calls_ratio, 0, key="through-1")
        enter(here, stop_of(here, "through-1"), "c")
        assert isinstance(future.exception(LIMIT), ZeroDivisionError)


def test_each_attempt_stops_and_counts_once(here):
    with dbgkit.break_at("again", when="error"):
        future = here.submit(ratio, 0, key="again-1", retries=1)
        for _ in range(2):
            enter(here, stop_of(here, "again-1"), "c")
        assert isinstance(future.exception(LIMIT), ZeroDivisionError)


def test_a_list_has_the_line_that_raised_and_not_the_one_that_ended_it(here):
    def guarded(x):
        with memoryview(b"x"):
            y = 1 / x
        return y

    with dbgkit.break_at(guarded, when="error"):
        future = here.submit(guarded, 0, key="guarded-1")
        found = stop_of(here, "guarded-1")
        assert found.source == "y = 1 / x"
        enter(here, found, "c")
        assert isinstance(future.exception(LIMIT), ZeroDivisionError)


# -- at a line -----------------------------------------------------------------------


@lines
def test_at_a_line_of_a_file_by_the_end_of_its_path(here, travelling):
    with dbgkit.break_at(f"tests/{MODULE}:{DOUBLED_LINE}"):
        future = here.submit(doubled, 3, key="lines-1")
        said, _ = enter(here, stop_of(here, "lines-1"), "p y", "n", "c")
        assert "\n6\n" in said and "--Return--" in said
        assert future.result(LIMIT) == 7


@lines
def test_a_line_of_a_function_that_is_in_no_file(here):
    space = {}
    exec("def typed(x):\n    y = x\n    return y * 3", space)
    with dbgkit.break_at(space["typed"], when=3):
        future = here.submit(space["typed"], 3, key="typed-1")
        assert "\n3\n" in enter(here, stop_of(here, "typed-1"), "p y", "c")[0]
        assert future.result(LIMIT) == 9


@lines
def test_a_line_of_the_own_file_of_tasks_by_their_prefix(here):
    with dbgkit.break_at("bykey", when=DOUBLED_LINE):
        other = here.submit(doubled, 3, key="other-1")
        assert other.result(LIMIT) == 7
        future = here.submit(doubled, 3, key="bykey-1")
        enter(here, stop_of(here, "bykey-1"), "c")
        assert future.result(LIMIT) == 7


@lines
def test_in_a_loop_each_round_stops(here):
    with dbgkit.break_at(summed, when=SUMMED_LINE):
        future = here.submit(summed, 3, key="rounds-1")
        for count in range(3):
            said, _ = enter(here, stop_of(here, "rounds-1"), "p 'at', index", "c")
            assert f"('at', {count})" in said
        assert future.result(LIMIT) == 3


@lines
def test_a_line_that_a_step_comes_to_stops_once(here):
    with dbgkit.break_at(doubled), dbgkit.break_at(doubled, when=DOUBLED_LINE):
        future = here.submit(doubled, 3, key="stepped-1")
        said, how = enter(here, stop_of(here, "stepped-1"), "n", "p y", "n", "c")
        assert said.count("-> return y + 1") == 2  # as it came, and as it returned
        assert how in ("continued", "finished") and future.result(LIMIT) == 7


@pytest.mark.skipif(HAS_LINES, reason="Python can")
def test_on_an_older_python_a_line_is_refused_with_the_reason(here):
    with pytest.raises(NotHere, match=r"needs 3.12 or newer \(sys.monitoring\)"):
        dbgkit.break_at(f"{MODULE}:{DOUBLED_LINE}")
    with pytest.raises(NotHere, match="its Python is 3"):
        dbgkit.break_at(doubled, when=DOUBLED_LINE)


# -- which arrival -------------------------------------------------------------------


def test_only_where_a_condition_is_true(here):
    with dbgkit.break_at("chosen", condition="x == 7", most=5):
        futures = here.map(doubled, range(10), key=[f"chosen-{i}" for i in range(10)])
        enter(here, stop_of(here, "chosen-7"), "c")
        assert here.gather(futures) == [2 * x + 1 for x in range(10)]
        assert len(dbgkit.attach()) == 0


def test_inner_functions_of_a_condition_see_all_names(here):
    asked = {"condition": "any(x > each for each in [5])", "most": 9}
    with dbgkit.break_at("halved", **asked):
        futures = here.map(halved, [1, 9], key=["halved-1", "halved-9"])
        assert futures[0].result(10) == 0.5
        said, _ = enter(here, stop_of(here, "halved-9"), "p x", "c")
        assert "9" in said
    assert futures[1].result(10) == 4.5


def test_a_condition_that_raises_stops(here):
    with dbgkit.break_at("raising", condition="nowhere > 1"):
        future = here.submit(doubled, 3, key="raising-1")
        headers = []
        with entered(here, stop_of(here, "raising-1")) as session:
            session.prompt.header = lambda message: headers.append(message) or ""
            session.type("c")
        assert "its condition raised NameError" in headers[0]["header"]
        assert future.result(LIMIT) == 7


def test_from_the_third_arrival_on(here):
    address = next(iter(here.scheduler_info()["workers"]))
    with dbgkit.break_at("third", hits=3, most=100):
        for number in range(2):
            key = f"third-{number}"
            assert (
                here.submit(doubled, 1, key=key, workers=[address]).result(LIMIT) == 3
            )
        future = here.submit(doubled, 1, key="third-2", workers=[address])
        enter(here, stop_of(here, "third-2"), "c")
        assert future.result(LIMIT) == 3


@lines
def test_in_a_loop_from_the_third_round_on(here):
    with dbgkit.break_at(summed, when=SUMMED_LINE, hits=3):
        future = here.submit(summed, 4, key="third-round")
        for count in (2, 3):
            said, _ = enter(here, stop_of(here, "third-round"), "p 'at', index", "c")
            assert f"('at', {count})" in said
        assert future.result(LIMIT) == 6


def test_once_is_once_on_the_whole_cluster(here):
    with dbgkit.break_at("once", once=True, most=100):
        futures = here.map(doubled, range(20), key=[f"once-{i}" for i in range(20)])
        found = waiting(here)[0]
        wait([f for f in futures if f.key != found.key], LIMIT)
        assert len(dbgkit.attach()) == 1
        enter(here, found, "c")
        here.gather(futures)
        del futures
        future = here.submit(doubled, 3, key="once-again")
        assert future.result(LIMIT) == 7


def test_a_value_is_reported_and_nothing_stops(here, capsys):
    with dbgkit.break_at("told", log="{'n': x * 2, 'password': 'tops3cret'}"):
        futures = here.map(doubled, range(5), key=[f"told-{i}" for i in range(5)])
        assert here.gather(futures) == [1, 3, 5, 7, 9]
        assert len(dbgkit.attach()) == 0

        def reported():
            events = [event for _, event in here.get_events("dbgkit-live")]
            found = [e["value"] for e in events if e.get("key") in map(key_of, futures)]
            return len(found) == 5 and found

        values = wait_until(reported, "all have reported")
        assert sorted(values)[0] == "{'n': 0, 'password': <hidden>}"
        said = ""

        def printed():
            nonlocal said
            said += capsys.readouterr().err
            return said.count("'told-") == 5

        wait_until(printed, "all is printed")
    assert "tops3cret" not in said and "in doubled" in said


def test_of_many_values_some_are_printed_and_that_is_said(here, capsys):
    with dbgkit.break_at("telling", log="x"):
        keys = [f"telling-{i}" for i in range(150)]
        futures = here.map(doubled, range(150), key=keys)
        here.gather(futures)
        said = ""

        def printed():
            nonlocal said
            said += capsys.readouterr().err
            return "what else is reported" in said

        wait_until(printed, "a hundred are printed")

        def reported():
            events = [event for _, event in here.get_events("dbgkit-live")]
            return {e.get("key") for e in events} >= {*keys}

        wait_until(reported, "all are events")
    assert said.count("'telling-") == 100


def key_of(future):
    return future.key


def test_an_expression_that_raises_is_reported_as_that(here):
    with dbgkit.break_at("untold", log="nowhere"):
        future = here.submit(doubled, 3, key="untold-1")
        assert future.result(LIMIT) == 7

        def reported():
            events = [event for _, event in here.get_events("dbgkit-live")]
            return [e["value"] for e in events if e.get("key") == "untold-1"]

        assert wait_until(reported, "it is reported") == ["raised NameError"]


# -- whose tasks, and which not ------------------------------------------------------


def test_tasks_of_another_client_run_through_untouched(here, cluster):
    with (
        dbgkit.break_at("theirs", condition="print('looked at') or True"),
        dbgkit.break_at("theirs", log="x"),
        Client(cluster, set_as_default=False) as other,
    ):
        assert other.submit(doubled, 3, key="theirs-1").result(LIMIT) == 7
        assert len(dbgkit.attach()) == 0
        events = [event for _, event in here.get_events("dbgkit-live")]
        assert not [e for e in events if e.get("key") == "theirs-1"]


def test_a_coroutine_is_said_to_pass(here):
    with dbgkit.break_at("waits"):
        assert here.submit(awaiting, 3, key="waits-1").result(LIMIT) == 4
        found = wait_until(lambda: dbgkit.attach().passed, "it is said")
    assert "coroutine" in found[0].why and "in awaiting" in found[0].line


@lines
def test_lines_of_coroutines_and_actors_are_said_to_pass(here):
    with dbgkit.break_at(awaiting), dbgkit.break_at(Counter.add):
        assert here.submit(awaiting, 3, key="coroutine-1").result(LIMIT) == 4
        counter = here.submit(Counter, actor=True).result(LIMIT)
        assert counter.add().result(LIMIT) == 1
        found = wait_until(
            lambda: len(found := dbgkit.attach().passed) == 2 and found, "both are said"
        )
    assert {each.line.rpartition(" ")[2] for each in found} == {"awaiting", "add"}


def test_a_task_in_a_process_pool_is_said_to_pass(harmable):
    def add_pool(dask_worker):
        spawn = multiprocessing.get_context("spawn")
        dask_worker.executors["pool"] = ProcessPoolExecutor(1, mp_context=spawn)

    # Workers that are daemons may have no processes of their own.
    daemons = dask.config.set({"distributed.worker.daemon": False})
    with daemons, harmable(n_workers=1, processes=True) as client:
        client.run(add_pool)
        with dbgkit.break_at("pooled"), dask.annotate(executor="pool"):
            future = client.submit(doubled, 3, key="pooled-1")
            assert future.result(30) == 7
            found = wait_until(lambda: dbgkit.attach().passed, "it is said")
    assert "process pool" in found[0].why


def test_without_live_a_breakpoint_is_as_before(processes_client):
    from live_tasks import doubled as stopping

    with dbgkit.break_at("unrelated"):
        future = processes_client.submit(stopping, 3, key="as-before")
        assert type(future.exception(LIMIT)).__name__ == "BdbQuit"
    bare(processes_client)


def test_with_live_both_stop_and_each_is_its_own(here):
    from live_tasks import doubled as stopping

    with dbgkit.live(), dbgkit.break_at("twofold"):
        future = here.submit(stopping, 3, key="twofold-1")
        said, _ = enter(here, stop_of(here, "twofold-1"), "p x", "c")
        assert "y = x * 2" in said
        said, _ = enter(here, stop_of(here, "twofold-1"), "p y", "c")
        assert "\n6\n" in said and future.result(LIMIT) == 7


# -- on and off ----------------------------------------------------------------------


def test_nested_uses_and_two_workers_in_one_process_leave_nothing(inproc_client):
    client = inproc_client
    with dbgkit.break_at("nested", most=2) as outer:
        with dbgkit.break_at(doubled), dbgkit.break_at("nested", when="error"):
            futures = [client.submit(doubled, x, key=f"nested-{x}") for x in range(8)]
            for key in {each.key for each in waiting(client, 4)}:
                found = stop_of(client, key)
                assert found.line.endswith(" in doubled")
        assert len(dbgkit.attach().armed) == 1
        assert len(waiting(client, 4)) == 4  # the outer one wants them, too
        assert outer.off().went_on == 4
    assert client.gather(futures) == [2 * x + 1 for x in range(8)]
    bare(client)


def test_one_stop_for_all_that_wants_a_line(here):
    with (
        dbgkit.break_at("shared"),
        dbgkit.break_at(doubled),
        dbgkit.break_at("shared-1"),
    ):
        future = here.submit(doubled, 3, key="shared-1")
        assert enter(here, stop_of(here, "shared-1"), "p x", "c")[1] == "continued"
        assert future.result(LIMIT) == 7


@lines
def test_a_stop_on_the_way_to_the_own_code_leaves_that_armed(here):
    import textwrap

    def shown(x):
        text = textwrap.indent("a", " ")
        return text, x

    def wrapped(x, function=shown):
        return function(x)

    # The library's function is called before the one that is armed as the own code.
    with dbgkit.break_at(textwrap.indent), dbgkit.break_at(shown):
        future = here.submit(wrapped, 3, key="ontheway-1")
        for name in ("shown", "indent"):
            found = stop_of(here, "ontheway-1")
            assert found.line.endswith(f" in {name}")
            enter(here, found, "c")
        assert future.result(LIMIT) == (" a", 3)


@lines
def test_a_tool_is_taken_for_lines_alone_and_given_back(inproc_client):
    def tools():
        return [sys.monitoring.get_tool(number) for number in range(6)]

    before = tools()
    with dbgkit.break_at("some-key"):
        assert tools() == before
        with dbgkit.break_at(doubled):
            assert "dbgkit break_at" in tools()
            with dbgkit.break_at(summed, when=SUMMED_LINE):
                assert tools().count("dbgkit break_at") == 1
            code = doubled.__code__
            future = inproc_client.submit(doubled, 3, key="tooled-1")
            number = tools().index("dbgkit break_at")
            enter(inproc_client, stop_of(inproc_client, "tooled-1"), "c")
            assert sys.monitoring.get_local_events(number, code)
    assert tools() == before
    assert future.result(LIMIT) == 7
    sys.monitoring.use_tool_id(number, "a test")
    assert not sys.monitoring.get_local_events(number, code)
    sys.monitoring.free_tool_id(number)


@lines
def test_without_a_free_tool_it_says_so(inproc_client):
    taken = [t for t in range(6) if sys.monitoring.get_tool(t) is None]
    for tool in taken:
        sys.monitoring.use_tool_id(tool, "a test")
    try:
        with dbgkit.break_at(doubled):
            found = wait_until(lambda: dbgkit.attach().passed, "it is said")
            assert inproc_client.submit(doubled, 3, key="toolless").result(LIMIT) == 7
    finally:
        for tool in taken:
            sys.monitoring.free_tool_id(tool)
    assert "sys.monitoring" in found[0].why and found[0].line == "break_at(doubled)"
    bare(inproc_client)


def test_a_task_that_runs_as_it_is_taken_off_goes_on(here):
    with dbgkit.break_at("offed"):
        future = here.submit(doubled, 3, key="offed-1")
        stop_of(here, "offed-1")
    assert future.result(LIMIT) == 7


def test_a_trace_function_of_the_task_is_put_back(here):
    def traced(x):
        return sys.gettrace() is None, x

    with dbgkit.break_at("traced"):
        future = here.submit(traced, 3, key="traced-1")
        enter(here, stop_of(here, "traced-1"), "c")
        assert future.result(LIMIT) == (True, 3)


def test_workers_that_join_later_stop_too(harmable):
    with harmable(n_workers=1, processes=True) as client, dbgkit.break_at(doubled):
        client.cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        futures = [
            client.submit(doubled, 3, key=f"joined-{number}", workers=[address])
            for number, address in enumerate(client.scheduler_info()["workers"])
        ]
        waiting(client, 2)
        del futures


def test_with_the_recorder_a_failure_stops_and_is_recorded(client):
    with dbgkit.record(), dbgkit.break_at("recorded", when="error"):
        future = client.submit(calls_ratio, 0, key="recorded-1")
        enter(client, stop_of(client, "recorded-1"), "c")
        assert isinstance(future.exception(LIMIT), ZeroDivisionError)
        found = dbgkit.recordings("recorded-1")
        assert len(found) == 1
    bare(client)


def test_the_recorder_may_come_and_go_while_it_is_armed(client):
    with dbgkit.break_at("between", when="error"):
        address = next(iter(client.scheduler_info()["workers"]))
        with dbgkit.record():
            first = client.submit(ratio, 0, key="between-1", workers=[address])
            enter(client, stop_of(client, "between-1"), "c")
        second = client.submit(ratio, 0, key="between-2", workers=[address])
        wait([first, second], LIMIT)
    with dbgkit.record():
        with dbgkit.break_at("within"):
            third = client.submit(doubled, 3, key="within-1")
            enter(client, stop_of(client, "within-1"), "c")
        assert third.result(LIMIT) == 7
    bare(client)


def test_with_an_asynchronous_client(processes):
    async def use():
        async with Client(processes.scheduler_address, asynchronous=True) as client:
            async with dbgkit.break_at("awaited", log="x") as armed:
                assert "break_at('awaited'" in repr(armed)
                assert await client.submit(doubled, 3, key="awaited-1") == 7
            with pytest.raises(WrongTarget) as refused, dbgkit.break_at("awaited"):
                pass
            assert "async with dbgkit.break_at()" in str(refused.value)

    asyncio.run(use())


# -- what is no place ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "options", "said"),
    [
        (doubled, {"when": "nonsense"}, "when='nonsense' is not one of"),
        (doubled, {"when": 1}, "there is no code at line 1 of doubled"),
        ("a-key", {"when": 0}, "when=0"),
        ("a-key", {"hits": 0}, "hits=0"),
        ("a-key", {"hits": True}, "hits=True"),
        ("a-key", {"condition": "x ="}, "is no expression"),
        ("a-key", {"condition": "await x"}, "is no expression"),
        ("a-key", {"when": 10**20}, "is not one of"),
        ("load.py:0", {}, "there is no such line"),
        ("a-key", {"log": ""}, "an expression is needed"),
        ("a-key", {"most": 0}, "most=0"),
        (f"{break_at_tasks.__file__}:1000", {}, "there is no code at"),
        (f"{break_at_tasks.__file__}:{DOUBLED_LINE}", {"when": 3}, "says the line"),
    ],
)
def test_an_option_that_cannot_be_is_refused_at_once(
    inproc_client, place, options, said
):
    with pytest.raises(ValueError, match=said):
        dbgkit.break_at(place, **options)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (len, "which has no Python code"),
        (None, "no task can stop at a NoneType"),
        (True, "no task can stop at a bool"),
        (["a-key"], "no task can stop at a list"),
        (dask.bag.from_sequence([1]), "no task can stop at a Bag"),
        ("", "an empty text"),
        ("load.py", "is a file without a line"),
    ],
)
def test_what_is_no_place_is_refused_with_what_is(inproc_client, place, said):
    with pytest.raises(WrongTarget, match=said):
        dbgkit.break_at(place)
