"""A module that the client and the scheduler have, and the workers lack."""

from __future__ import annotations

import importlib
import sys

import pytest
from watching import look, wait_until

import dbgkit
from dbgkit import errors, render

SOURCE = """
import functools

def go(value):
    return value / 2

class Model:
    pass
"""


@pytest.fixture
def only_here(tmp_path, monkeypatch):
    """Brings a module into this process, once its workers have started."""
    made = []

    def bring(name):
        path = tmp_path / f"{name}.py"
        path.write_text(SOURCE)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name), path

    yield bring
    for name in made:
        sys.modules.pop(name, None)


def workers_of(client):
    return client.run_on_scheduler(look)["workers"]


def all_gone(client):
    wait_until(lambda: not workers_of(client), "all workers are gone")


@pytest.mark.parametrize("recorded", [False, True])
def test_workers_that_ended_of_it(harmable, only_here, recorded):
    with harmable(n_workers=1, threads_per_worker=1) as client:
        if recorded:  # then their deaths are known as well
            dbgkit.record(client=client)
        module, path = only_here("lacked_by_all")
        future = client.submit(module.go, 4, key="half-of-4")
        all_gone(client)
        nannies = list(client.cluster.workers.values())
        wait_until(
            lambda: all(each.status.name == "closed" for each in nannies),
            "their nannies have closed too",
        )
        why = dbgkit.why(future)
        assert why.cause == "module-missing"
        # The recorder has the worker's error, once that has been reported.
        known = recorded and "most likely" not in why.summary
        surely = "as" if known else "most likely as"
        assert why.summary == (
            f"'half-of-4' ends every worker that receives it, {surely} the module "
            "'lacked_by_all' is missing there"
        )
        assert not why.healthy
        assert why.advice[0].startswith("waiting does not help")
        assert why.advice[1].startswith(f"client.upload_file({str(path)!r})")
        sent_to = [each for each in why.evidence if "was sent to ended" in each]
        assert sent_to[0].startswith("1 worker that 'half-of-4' was sent to ended")
        assert "workers are being started" not in render.to_text(why, width=300)
        whole = dbgkit.why()
        causes = {each.cause: each for each in (whole, *whole.others)}
        assert "lacked_by_all" in causes["module-missing"].summary
        # What is advised helps.
        client.upload_file(str(path))
        client.cluster.scale(2)
        assert future.result(timeout=60) == 2.0


def test_workers_that_are_left_say_so(harmable, only_here):
    with harmable(n_workers=3, threads_per_worker=1) as client:
        module, path = only_here("lacked_by_some")
        first, *rest = workers_of(client)
        # WHEN a task may run on one worker only, which ends of it
        future = client.submit(module.go, 4, key="pinned", workers=[first])
        wait_until(lambda: first not in workers_of(client), "it is gone")
        why = dbgkit.why(future)
        assert (why.cause, why.key) == ("module-missing", "pinned")
        assert "as the module 'lacked_by_some' is missing there" in why.summary
        assert "most likely" not in why.summary
        assert why.evidence[0] == f"{', '.join(rest)}: no module 'lacked_by_some'"
        assert "start workers" not in " ".join(why.advice)
        future.release()
        # AND WHEN the scheduler gives it up
        client.run_on_scheduler(allow, count=0)
        future = client.submit(module.Model, key="given-up")
        wait_until(lambda: future.status == "error", "it is given up")
        for target in (future, future.exception()):
            failure = dbgkit.locate(target)
            assert failure.killed
            (note,) = failure.notes
            assert note.startswith("the module 'lacked_by_some' is missing on its work")
            assert f"client.upload_file({str(path)!r})" in note
        why = dbgkit.why(future)
        assert why.cause == "failed"
        assert "as the module 'lacked_by_some' is missing there" in why.summary
        assert str(path) in " ".join(why.advice)
        (group,) = dbgkit.failures().groups
        assert "the module 'lacked_by_some' is missing on its workers" in group.message


def allow(dask_scheduler, count):
    dask_scheduler.allowed_failures = count


def test_a_crash_is_no_missing_module(harmable, only_here):
    with harmable(n_workers=1, threads_per_worker=1) as client:
        module, path = only_here("had_by_all")
        client.upload_file(str(path))
        (first,) = workers_of(client)
        client.run_on_scheduler(allow, count=0)
        future = client.submit(crash, module.Model, key="crashed")
        wait_until(lambda: future.status == "error", "it is given up")
        wait_until(lambda: workers_of(client) not in ([], [first]), "it is back")
        assert "is missing" not in render.to_text(dbgkit.why(future), width=300)
        assert not any("missing" in note for note in dbgkit.locate(future).notes)


def crash(kind):
    import os

    os._exit(3)


def test_modules_that_a_pickle_names(only_here):
    from dbgkit.remote.common.modules import missing_modules, modules_named

    module, _ = only_here("named_in_pickles")
    name = module.__name__
    uses = eval("lambda: module.go", {"module": module, "__name__": "__main__"})
    for value in (module, module.go, module.Model(), [1, {2: module.Model}], uses):
        assert modules_named(value) == [name], value
    assert modules_named([1, "numpy", len, {}]) == []
    assert modules_named(list(range(1_000_000))) == []
    assert missing_modules([name, "no_such", "no_such.part", "xml.dom"]) == [
        "no_such",
        "no_such.part",
    ]


def add_path(path):
    sys.path.append(path)


def make(name):
    return importlib.import_module(name).Model()


def use(model, divisor=0):
    return type(model).__name__, 1 / divisor


def test_a_class_that_only_workers_know_is_replayed_there(processes_client, tmp_path):
    client, name = processes_client, "had_by_workers_only"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    client.run(add_path, str(tmp_path))
    model = client.submit(make, name)
    future = client.submit(use, model)
    wait_until(lambda: future.status == "error", "it has failed")
    with pytest.raises(errors.DbgkitError) as caught:
        dbgkit.replay(future, where="here")
    assert name in str(caught.value)
    assert "where='worker'" in str(caught.value)
    with dbgkit.replay(future, where="worker") as again:
        assert (again.outcome, again.where) == ("same", "worker")
        last = [frame for frame in again.frames if frame.own][-1]
        values = dict(last.locals)
    assert last.function == "use"
    assert "Model" in values["model"].text


def test_a_function_that_only_workers_know_is_replayed_there(
    processes_client, tmp_path
):
    client, name = processes_client, "run_by_workers_only"
    (tmp_path / f"{name}.py").write_text(SOURCE.replace("value / 2", "value / 0"))
    client.run(add_path, str(tmp_path))
    model = client.submit(make_function, name)
    future = client.submit(call, model, 4)
    wait_until(lambda: future.status == "error", "it has failed")
    with pytest.raises(errors.DbgkitError, match="where='worker'"):
        dbgkit.replay(future, where="here")
    with dbgkit.replay(future, where="worker") as again:
        assert again.outcome == "same"
        assert again.frames[-1].function == "go"


def make_function(name):
    return importlib.import_module(name).go


def call(function, value):
    return function(value)
