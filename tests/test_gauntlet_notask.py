"""Exceptions that no task raised: each is told for what it is, and nothing is run."""

from __future__ import annotations

import functools
import operator
import threading
import time
from concurrent.futures import Future as Outcome

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import SchedulerPlugin, WorkerPlugin
from watching import forgotten

import dbgkit
from dbgkit import errors
from dbgkit.targets.unpicklable import find_in_graph
from dbgkit.targets.unpicklable_part import Clock

RAN = []  # what ran in this process
LOCK = threading.Lock()
NO_LOCK = "cannot pickle '_thread.lock' object"


def charge(account, *more, **named):
    RAN.append(account)
    return 1


def closes_over(lock):
    def closed(value):
        with lock:
            return value

    return closed


class Account:
    def __init__(self):
        self.lock = threading.Lock()

    def charge(self, amount):
        RAN.append(amount)
        return amount


class Slotted:
    __slots__ = ("amount", "lock")

    def __init__(self):
        self.amount, self.lock = 1, threading.Lock()


class Stated:
    def __getstate__(self):
        return {"connection": threading.Lock()}


class Stateless:
    def __getstate__(self):
        raise ValueError("it has no state")


class Reduced:
    def __init__(self):
        self.handle = threading.Lock()

    def __reduce__(self):
        return Reduced, (self.handle,)


def raised(call):
    """The exception of a call, with its frames."""
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def told(exception, kind):
    """What is said of an exception that no task raised; nothing is run of it."""
    RAN.clear()
    began = time.monotonic()
    failure = dbgkit.locate(exception)
    assert time.monotonic() - began < 10
    assert (failure.kind, failure.found_in, failure.key) == (kind, "exception", None)
    with pytest.raises(errors.NoTask):
        dbgkit.replay(exception)
    assert RAN == []
    return failure.notes


# -- what cannot be pickled ----------------------------------------------------


def in_a_partial(account):
    return dask.delayed(functools.partial(charge, account))()


def in_a_frame(account):
    return dask.delayed(charge)(pd.DataFrame({"a": [1, 2], "b": [1, account]}))


def in_an_array(account):
    return dask.delayed(charge)(np.array([1, account], dtype=object))


UNSENT = {
    "argument": (lambda: dask.delayed(charge)(Account()), "args[0].lock of 'charge'"),
    "option": (
        lambda: dask.delayed(charge)(1, to=Account()),
        "kwargs['to'].lock of 'charge'",
    ),
    "nested": (
        lambda: dask.delayed(charge)([1, {"a": Account()}]),
        "args[0][1]['a'].lock of 'charge'",
    ),
    "upstream": (
        lambda: dask.delayed(len)(dask.delayed(charge)(Account())),
        "args[0].lock of 'charge'",
    ),
    "generator": (
        lambda: dask.delayed(charge)(each for each in "ab"),
        "args[0] of 'charge' cannot be pickled (a generator",
    ),
    "slots": (lambda: dask.delayed(charge)(Slotted()), "args[0].lock of 'charge'"),
    "state": (
        lambda: dask.delayed(charge)(Stated()),
        "args[0].__getstate__()['connection'] of 'charge'",
    ),
    "reduced": (lambda: dask.delayed(charge)(Reduced()), "args[0].handle of 'charge'"),
    "method": (
        lambda: dask.delayed(Account().charge)(1),
        "func.__self__.lock of 'charge'",
    ),
    "partial": (lambda: in_a_partial(Account()), "func.args[0].lock of 'charge'"),
    "frame": (
        lambda: in_a_frame(Account()),
        "args[0]['b'].iloc[1].lock of 'charge'",
    ),
    "array": (lambda: in_an_array(Account()), "args[0][1].lock of 'charge'"),
}


@pytest.mark.parametrize("case", UNSENT)
def test_what_cannot_be_pickled_is_found_and_nothing_runs(processes_client, case):
    make, where = UNSENT[case]
    exception = raised(make().compute)
    notes = told(exception, "unsent")
    assert notes[0].startswith("nothing was sent, and no task ran: ")
    assert where in notes[0]
    assert case == "generator" or NO_LOCK in notes[0]
    assert "create it inside the task" in notes[1]


def of_a_script(name):
    """A function that travels by value, as those of a script do."""
    space = {"__name__": "__main__", "threading": threading}
    exec(SCRIPT, space)
    return space[name]


SCRIPT = """
LOCK = threading.Lock()

def uses_a_global(value):
    with LOCK:
        return value

def with_default(value, lock=LOCK):
    return value

def uses_deep_inside(value):
    return [(lambda: LOCK)() for _ in range(value)]
"""


@pytest.mark.parametrize(
    ("function", "where"),
    [
        (closes_over(LOCK), "closure variable 'lock' of 'closed'"),
        (of_a_script("uses_a_global"), "global 'LOCK' of 'uses_a_global'"),
        (of_a_script("with_default"), "default 0 of 'with_default'"),
        (of_a_script("uses_deep_inside"), "global 'LOCK' of 'uses_deep_inside'"),
    ],
)
def test_what_a_function_takes_along(processes_client, function, where):
    exception = raised(dask.delayed(function)(1).compute)
    assert f"{where} cannot be pickled" in told(exception, "unsent")[0]


def test_a_state_that_cannot_be_had(processes_client):
    exception = raised(dask.delayed(charge)(Stateless()).compute)
    said = "args[0] of 'charge' cannot be pickled (a "
    assert said in told(exception, "unsent")[0]
    assert "it has no state" in told(exception, "unsent")[0]


def test_what_is_submitted_scattered_and_run(processes_client):
    client, account = processes_client, Account()
    for call, where in [
        (lambda: client.submit(charge, account, pure=False), "args[0].lock"),
        (lambda: client.map(charge, [1, account]), "iterables[0][1].lock of 'charge'"),
        (lambda: client.get_executor().submit(charge, account), "args[0].lock"),
        (lambda: client.scatter(account), "lock of the Account handed to"),
        (lambda: client.run(charge, account), "args[0].lock of what client.run"),
    ]:
        assert where in told(raised(call), "unsent")[0]


def test_what_cannot_be_pickled_is_found_within_its_limit():
    """Of many tasks with one function; and where the time is up, that is said."""
    from dask._task_spec import Task

    function = closes_over(None)
    graph = {("f", i): Task(("f", i), function, i) for i in range(20_000)}
    graph["last-1"] = Task("last-1", charge, Account())
    began = time.monotonic()
    whose, found = find_in_graph(graph, Clock())
    assert (whose, found.path, found.complete) == ("'last'", "args[0].lock", True)
    assert time.monotonic() - began < 2
    late = find_in_graph({"last-1": graph["last-1"]}, Clock())[1]
    assert late.path == "args[0].lock"


def test_debug_enters_what_was_not_sent_as_it_is(processes_client, capsys):
    exception = raised(dask.delayed(charge)(Account()).compute)
    RAN.clear()
    dbgkit.debug(exception, prompt=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "args[0].lock of 'charge' cannot be pickled" in out
    assert "passed" not in out
    assert RAN == []


def returns_an_account(value):
    return Account()


def test_a_result_that_cannot_be_pickled(processes_client):
    future = processes_client.submit(returns_an_account, 1, key="opened")
    notes = told(raised(lambda: future.result(timeout=20)), "result")
    assert "the result of 'opened', a Account, cannot be pickled" in notes[0]
    assert "the task itself has not failed" in notes[0]


# -- what runs without being a task --------------------------------------------


def fails():
    return {}["missing"]


def test_client_run(client):
    notes = told(raised(lambda: client.run(fails)), "run")
    assert notes[0].startswith("client.run called fails() on ")
    assert any(address in notes[0] for address in client.scheduler_info()["workers"])
    notes = told(raised(lambda: client.run_on_scheduler(fails)), "run")
    assert "client.run_on_scheduler called fails() on the scheduler" in notes[0]


def test_what_fails_after_a_run_is_a_task(client):
    def both():
        try:
            client.run(fails)
        except KeyError:
            client.submit(operator.truediv, 1, 0, key="divide").result()

    failure = dbgkit.locate(raised(both))
    assert (failure.kind, failure.key) == ("task", "divide")


class BadWorkerPlugin(WorkerPlugin):
    name = "bad-plugin"

    def setup(self, worker):
        raise ValueError("no setup")


class BadSchedulerPlugin(SchedulerPlugin):
    def start(self, scheduler):
        raise ValueError("no start")


def test_plugins(processes_client):
    client = processes_client
    notes = told(raised(lambda: client.register_plugin(BadWorkerPlugin())), "plugin")
    client.unregister_worker_plugin("bad-plugin")
    assert "setup() of the plugin BadWorkerPlugin raised this on tcp://" in notes[0]
    assert "unregister_worker_plugin('bad-plugin')" in notes[1]
    notes = told(raised(lambda: client.register_plugin(BadSchedulerPlugin())), "plugin")
    assert "start() of the plugin BadSchedulerPlugin raised this on" in notes[0]


def test_a_callback(client):
    located = Outcome()

    def callback(future):
        try:
            fails()
        except KeyError as error:
            try:
                located.set_result(dbgkit.locate(error))
            except Exception as ours:
                located.set_exception(ours)

    future = client.submit(operator.add, 1, 1, key="added")
    future.add_done_callback(callback)
    failure = located.result(timeout=30)
    assert (failure.kind, failure.found_in) == ("callback", "exception")
    assert "a callback of the future 'added' raised this" in failure.notes[0]


def test_a_callback_that_asks_for_the_result_of_a_task(client):
    located = Outcome()

    def callback(future):
        try:
            future.result()
        except ZeroDivisionError as error:
            located.set_result(dbgkit.locate(error))

    future = client.submit(operator.truediv, 1, 0, key="divided")
    future.add_done_callback(callback)
    failure = located.result(timeout=30)
    assert (failure.kind, failure.key) == ("task", "divided")


def test_a_callback_that_computes(client):
    located = Outcome()

    def callback(future):
        try:
            dask.delayed(operator.truediv)(1, 0, dask_key_name="inside").compute()
        except ZeroDivisionError as error:
            located.set_result(dbgkit.locate(error, client=client))

    client.submit(operator.add, 1, 1, pure=False).add_done_callback(callback)
    failure = located.result(timeout=30)
    assert (failure.kind, failure.key) == ("task", "inside")


def test_the_executor_of_a_client(client):
    executor = client.get_executor()
    outcome = executor.submit(operator.truediv, 1, 0)
    for exception in (raised(outcome.result), outcome.exception()):
        failure = dbgkit.locate(exception)
        assert (failure.kind, failure.exception_type) == ("task", "ZeroDivisionError")
        assert dbgkit.replay(exception).outcome == "same"
    exception = raised(lambda: list(executor.map(operator.truediv, [1, 2], [1, 0])))
    assert dbgkit.replay(exception).args == (2, 0)


# -- whose it is, as far as that is certain ------------------------------------


def test_nothing_to_do_with_dask(client):
    notes = told(raised(fails), "none")
    assert notes == ("this exception has nothing to do with Dask",)


class Incomparable(Exception):
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("not comparable")


def test_an_exception_that_cannot_be_compared(client):
    def call():
        try:
            fails()
        except KeyError as error:
            raise Incomparable from error

    told(raised(call), "none")


def test_what_another_process_raised_may_have_to_do_with_dask(processes_client):
    client = processes_client
    future = client.submit(fails, key="gone")
    exception = future.exception()
    future.release()
    forgotten(client)
    notes = told(exception, "remote")
    assert "nothing to do with Dask" not in " ".join(notes)


def test_an_exception_without_frames_is_not_called_foreign():
    assert "no traceback" in told(ValueError("made"), "remote")[0]


def test_what_dask_itself_raises():
    import dask.dataframe as dd

    notes = told(raised(lambda: dd.read_csv("/nowhere/*.csv")), "dask")
    assert "by Dask or by code under it, but not by a task" in notes[0]
