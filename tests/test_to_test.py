"""``to_test``: of functions that are imported, and what it refuses."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
from functools import partial

import dask
import pytest
import tasks
from cells import cells
from commands import beside
from dask import delayed
from distributed import Client, wait
from jobs import fail
from to_test_runs import check_mended, run_tests
from watching import unchanged

import dbgkit
from dbgkit.api.debugging import capture
from dbgkit.errors import (
    CannotWrite,
    InputNotCopyable,
    NoTask,
    NotHere,
    NotVerified,
    UnknownKey,
    WouldKill,
    WrongTarget,
)

MODULE = """
import sys

import dask

SCALE = 0


def half(x):
    return x / 2


def ratio(a, b=SCALE):
    return half(a) / b


@dask.delayed
def shared(a, b):
    return a / b


class Model:
    def __init__(self, weight):
        self.weight = weight

    def predict(self, x):
        return x / self.weight


def make(scale):
    def scaled(x):
        return half(x) / scale

    return scaled


double = lambda x: 2 / x


def hangs(x):
    while sys.modules.get("pytest") and "distributed" not in sys.modules:
        pass
    return 1 / x


def reads(path):
    with open(path) as file:
        return 1 / int(file.read())
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own, in a folder that only this process knows."""
    folder = tmp_path / "src"
    folder.mkdir()
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module(name)
    yield module
    del sys.modules[name]


def fails(call, *args, **kwargs):
    """The exception of a call under the synchronous scheduler."""
    with pytest.raises(Exception) as caught:
        delayed(call)(*args, **kwargs).compute(scheduler="sync")
    return caught.value


# -- functions of modules -------------------------------------------------------------


def test_a_function_of_a_module_is_imported(client, tmp_path):
    future = fail(client, tasks.ratio, 5, 0)
    with unchanged(client):
        path = dbgkit.to_test(future, tmp_path / "test_ratio.py")
    text = path.read_text()
    assert "from tasks import ratio\n" in text and "ratio(5, 0)" in text
    assert "def ratio" not in text
    assert run_tests(tmp_path)[0] == {"test_ratio": "FAILED"}


@pytest.mark.parametrize(
    ("call", "mend"),
    [
        (lambda own: delayed(own.ratio)(5), ("half(a) / b", "half(a)")),
        (lambda own: own.shared(5, 0), ("return a / b", "return a * b")),
        (lambda own: delayed(own.Model(0).predict)(5), ("x / self.weight", "x")),
        (lambda own: delayed(own.make(0))(5), ("return half(x) / scale", "return x")),
        (lambda own: delayed(own.double)(0), ("2 / x", "2")),
    ],
    ids=["function", "delayed", "method", "closure", "lambda"],
)
def test_a_module_that_only_this_process_finds(own, tmp_path, call, mend):
    with pytest.raises(ZeroDivisionError) as caught:
        call(own).compute(scheduler="sync")
    (tmp_path / "tests").mkdir()
    path = dbgkit.to_test(caught.value, tmp_path / "tests" / "test_own.py")
    text = path.read_text()
    assert f"# Where {own.__name__} is.\n" in text
    assert str(tmp_path) not in text
    copied = "def make_scaled" in text  # what stands in a function cannot be imported
    place = path if copied else tmp_path / "src" / f"{own.__name__}.py"
    check_mended(path, *mend, place=place)


def test_several_lambdas_have_names_of_their_own(tmp_path):
    def both(first, second, x, scale):
        return [1 / second(first(each)) for each in [x]] + [scale]

    scale = 2
    error = fails(both, lambda x: x - scale, lambda x: x * scale, 2, 1)
    path = dbgkit.to_test(error, tmp_path / "test_both.py")
    assert (
        "both(make_lambda(scale=2), make_lambda_2(scale=2), 2, 1)" in path.read_text()
    )
    error = fails(both, lambda x: x - 2, lambda x: x + 0, 2, 1)
    path = dbgkit.to_test(error, tmp_path / "test_plain.py")
    assert "both(function, function_2, 2, 1)" in path.read_text()


def test_a_module_beside_the_test(own, tmp_path):
    path = tmp_path / "src" / "test_own.py"
    dbgkit.to_test(fails(own.ratio, 5), path)
    assert "sys.path.insert(0, str(Path(__file__).parent))" in path.read_text()
    assert run_tests(tmp_path, path)[0] == {"test_own": "FAILED"}


def test_a_module_that_was_edited_since(own, tmp_path):
    error = fails(own.ratio, 5)
    file = tmp_path / "src" / f"{own.__name__}.py"
    file.write_text(MODULE.replace("/ b", "/ (b or 1)"))
    with pytest.raises(NotVerified, match=r"it passes.*was edited since") as refused:
        dbgkit.to_test(error, tmp_path / "test_own.py")
    assert own.__name__ in str(refused.value)
    assert not (tmp_path / "test_own.py").exists()


# -- where it is written --------------------------------------------------------------


def test_a_path_is_made_of_the_function(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = fails(tasks.ratio, 5, 0)
    path = dbgkit.to_test(error)
    assert str(path) == "test_ratio.py" and path.exists()
    with pytest.raises(CannotWrite, match="is there already; overwrite=True"):
        dbgkit.to_test(error)
    path.write_text("")
    assert dbgkit.to_test(error, overwrite=True).read_text()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ratio.py", "collects test_.*name it 'test_ratio.py'"),
        ("test_ratio", "would not find"),
        ("no/test_ratio.py", "is no folder"),
    ],
)
def test_a_path_that_does_not_do(tmp_path, monkeypatch, path, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotWrite, match=said):
        dbgkit.to_test(None, path)
    with pytest.raises(WrongTarget, match="address"):
        dbgkit.to_test("tcp://localhost:8786", "tcp://localhost:8786")


def test_a_target_may_be_a_key_or_a_replay(processes_client, tmp_path):
    future = fail(processes_client, tasks.ratio, 5, 0)
    dbgkit.to_test(future.key, tmp_path / "test_key.py")
    with dbgkit.replay(future) as again:
        dbgkit.to_test(again, tmp_path / "test_again.py")
    assert set(run_tests(tmp_path)[0].values()) == {"FAILED"}


def test_it_is_awaited_with_an_asynchronous_client(inproc, tmp_path):
    async def job():
        address = inproc.scheduler_address
        async with Client(address, asynchronous=True) as client:
            future = client.submit(tasks.ratio, 5, 0)
            await wait(future)
            return await dbgkit.to_test(future, tmp_path / "test_ratio.py")

    assert asyncio.run(job()).exists()


# -- arguments as they were -----------------------------------------------------------


def test_an_argument_that_the_task_changes_in_place(processes_client, tmp_path):
    future = fail(processes_client, tasks.pops, [5])
    path = dbgkit.to_test(future, tmp_path / "test_pops.py")
    assert "pops([5])" in path.read_text()


def test_a_profile_function_is_put_back(tmp_path):
    import threading

    seen = []

    def profile(frame, event, argument):
        seen.append(event)

    sys.setprofile(profile)
    threading.setprofile(profile)
    try:
        dbgkit.to_test(fails(tasks.ratio, 5, 0), tmp_path / "test_ratio.py")
        kept = sys.getprofile(), threading.getprofile()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert kept == (profile, profile)


def test_a_future_that_is_a_tasks_own_input(processes_client, tmp_path):
    made = processes_client.submit(range, 3)
    future = fail(processes_client, tasks.ratio, 5, made)
    path = dbgkit.to_test(future, tmp_path / "test_ratio.py")
    assert "ratio(5, range(0, 3))" in path.read_text()


# -- without a client that is open ----------------------------------------------------


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_dasks_own_schedulers(scheduler, tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        delayed(tasks.ratio)(5, delayed(tasks.inc)(-1)).compute(scheduler=scheduler)
    path = dbgkit.to_test(caught.value, tmp_path / "test_ratio.py")
    assert "ratio(5, 0)" in path.read_text()


def test_a_client_that_has_closed_because_of_it(processes, tmp_path):
    with capture():
        with (
            pytest.raises(ZeroDivisionError) as caught,
            Client(processes) as client,
        ):
            client.submit(tasks.ratio, 5, client.submit(tasks.inc, -1)).result()
        path = dbgkit.to_test(caught.value, tmp_path / "test_ratio.py")
    assert "ratio(5, 0)" in path.read_text()


@pytest.mark.parametrize(
    ("make", "call"),
    [
        (lambda column: column.astype(float), "series.astype(float)"),
        (lambda column: column.map(float, meta=("a", float)), "series.map(float)"),
    ],
    ids=["astype", "map"],
)
def test_what_dask_calls_of_pandas(make, call, tmp_path):
    import dask.dataframe as dd
    import pandas as pd

    frame = dd.from_pandas(pd.DataFrame({"a": ["1", "n/a"]}), npartitions=1)
    with pytest.raises(ValueError) as caught:
        make(frame.a).compute(scheduler="sync")
    path = dbgkit.to_test(caught.value, tmp_path / "test_column.py")
    text = path.read_text()
    assert call in text and 'pd.Series(["1", "n/a"]' in text


class Mark:
    """As libraries mark what was not given: one object, pickled by its name."""

    def __reduce__(self):
        return "MARK"


MARK = Mark()


def refuse_last(rows, mark=MARK, *, last=0, other=MARK):
    if rows[last] < 0:
        raise ValueError("below 0:\n  the last one")


def test_defaults_that_have_no_text_are_left_out(tmp_path):
    with pytest.raises(ValueError, match="below 0") as caught:
        delayed(partial(refuse_last, [1, -1], MARK, other=MARK))(last=1).compute(
            scheduler="sync"
        )
    text = dbgkit.to_test(caught.value, tmp_path / "test_last.py").read_text()
    assert "refuse_last([1, -1], last=1)" in text
    assert "ValueError: below 0: the last one" in text


def first_of(rows, mark=MARK, last=0):
    return rows[last]["a"]


def test_what_comes_after_a_default_is_given_by_name(tmp_path):
    with pytest.raises(KeyError) as caught:
        delayed(first_of)([{}, {"b": 1}], MARK, 1).compute(scheduler="sync")
    text = dbgkit.to_test(caught.value, tmp_path / "test_first.py").read_text()
    assert 'first_of([{}, {"b": 1}], last=1)' in text


# -- what is refused ------------------------------------------------------------------


def test_a_task_without_a_known_key_is_told_as_such(tmp_path):
    passed = tmp_path / "passed"

    def once():
        if not passed.exists():
            passed.touch()
            raise ValueError("once")

    with pytest.raises(ValueError, match="once") as caught:
        dask.get({"a": (once,), "b": (len, "a")}, "b", num_workers=1)
    with pytest.raises(NotVerified) as refused:
        dbgkit.to_test(caught.value, tmp_path / "test_once.py")
    assert "None" not in str(refused.value)
    assert "dbgkit.replay(times=20) runs it more often" in str(refused.value)


def test_a_task_that_killed_its_worker(harmable, tmp_path):
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        harmable(n_workers=1) as client,
    ):
        future = client.submit(os._exit, 1, pure=False)
        wait(future)
        with pytest.raises(WouldKill, match="would kill pytest"):
            dbgkit.to_test(future, tmp_path / "test_exit.py")


def test_what_cannot_be_copied_is_told_without_advice_that_a_test_does_not_take(
    tmp_path,
):
    with pytest.raises(KeyError) as caught:
        delayed(lambda lock: {}[1])(threading.Lock()).compute(scheduler="sync")
    with pytest.raises(InputNotCopyable, match="have the function make it") as refused:
        dbgkit.to_test(caught.value, tmp_path / "test_lock.py")
    assert "where=" not in str(refused.value)


def test_no_task_raised_it(tmp_path):
    with pytest.raises(NoTask):
        dbgkit.to_test(ValueError("of nobody's"), tmp_path / "test_it.py")


def test_an_unknown_key(processes_client, tmp_path):
    with pytest.raises(UnknownKey):
        dbgkit.to_test("no-such-key", tmp_path / "test_it.py")


def test_a_function_of_dasks_own(tmp_path):
    import dask.array as da

    with pytest.raises(TypeError) as caught:
        delayed(da.core.concatenate3)(5).compute(scheduler="sync")
    with pytest.raises(NotHere, match="is not the user's"):
        dbgkit.to_test(caught.value, tmp_path / "test_it.py")


def test_a_file_that_is_gone(own, tmp_path):
    file = tmp_path / "input.txt"
    file.write_text("0")
    error = fails(own.reads, str(file))
    file.unlink()
    with pytest.raises(NotVerified, match=r"fails in another way.*FileNotFoundError"):
        dbgkit.to_test(error, tmp_path / "test_it.py")


def test_pytest_is_not_here(tmp_path, monkeypatch):
    error = fails(tasks.ratio, 5, 0)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "pytest" else find(name, *more),
    )
    with pytest.raises(NotHere, match="pytest is not installed"):
        dbgkit.to_test(error, tmp_path / "test_it.py")


def test_a_secret_in_the_source_is_not_copied(tmp_path):
    lines = ("def calls(x):", '    password = "hunter2!ABC"', "    return x / 0")
    with cells("\n".join(lines)) as [space]:
        error = fails(space["calls"], 1)
        path = tmp_path / "test_calls.py"
        with pytest.raises(NotHere, match="looks like a secret") as refused:
            dbgkit.to_test(error, path)
        assert "hunter2" not in str(refused.value) and not path.exists()
        dbgkit.to_test(error, path, confidential=True)
        assert "hunter2" in path.read_text()


def test_a_secret_in_a_value_that_is_large(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"user": ["ann"] * 500, "password": ["hunter2!ABC"] * 500})
    path = tmp_path / "test_ratio.py"
    with pytest.raises(NotHere, match="the value of 'b' looks like a secret"):
        dbgkit.to_test(fails(tasks.ratio, "5", frame), path)
    assert not [*tmp_path.iterdir()]


def test_a_test_that_hangs(own, tmp_path, monkeypatch):
    monkeypatch.setattr("dbgkit.bundles.to_test_verify.LIMIT", 2.0)
    with pytest.raises(NotVerified, match="did not end within 2 s"):
        dbgkit.to_test(fails(own.hangs, 0), tmp_path / "test_it.py")


def test_source_that_is_not_known(tmp_path):
    space = {"__name__": "__main__"}
    exec("def lost(x):\n    return 1 / x", space)
    with pytest.raises(NotHere, match="source of 'lost' is not known"):
        dbgkit.to_test(fails(space["lost"], 0), tmp_path / "test_lost.py")


# -- front ends -----------------------------------------------------------------------


def test_a_command_writes_it(processes_client, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    future = fail(processes_client, tasks.ratio, 5, 0)
    run = beside(capsys, processes_client)
    done = run("to-test", future.key)
    assert (done.code, done.out) == (0, "test_ratio.py\n"), done.err
    assert run_tests(tmp_path)[0] == {"test_ratio": "FAILED"}
    again = run("to-test", future.key)
    assert again.code == 2 and "--overwrite replaces it" in again.err
    done = run("to-test", future.key, "--json", "-o", "test_other.py")
    assert json.loads(done.out) == {"path": "test_other.py"}
