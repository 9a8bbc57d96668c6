"""A shrunk failure as a file and as a test; and a failure of a file, shrunk."""

from __future__ import annotations

import subprocess
import sys

import dask
import pandas as pd
import pytest
import shrink_tasks as tasks
from commands import environment
from distributed import wait
from to_test_runs import check_mended

import dbgkit
from dbgkit import errors


@pytest.fixture
def error():
    words = [*map(str, range(500)), "n/a"]
    with pytest.raises(ValueError) as caught:
        dask.delayed(tasks.floats)(words).compute(scheduler="sync")
    return caught.value


def test_the_smallest_input_is_saved_and_replayed_from_its_file(error, tmp_path):
    path = tmp_path / "small.dbgkit"
    dbgkit.save(dbgkit.shrink(error), path)
    assert path.stat().st_size < 50_000
    with dbgkit.replay(dbgkit.load(path, trust=True)) as again:
        assert again.outcome == "same" and again.where == "process"


def test_the_smallest_input_is_turned_into_a_test(error, tmp_path):
    path = tmp_path / "test_it.py"
    dbgkit.to_test(dbgkit.shrink(error), path)
    assert "n/a" in path.read_text() and "499" not in path.read_text()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 1 and "could not convert string to float" in done.stdout


def test_a_failure_of_a_file_is_shrunk_in_processes(processes_client, tmp_path):
    path = tmp_path / "whole.dbgkit"
    frame = processes_client.submit(tasks.table, amount="n/a")
    future = processes_client.submit(tasks.amounts_as_floats, frame)
    wait(future)
    dbgkit.save(future, path)
    found = dbgkit.shrink(dbgkit.load(path, trust=True))
    assert (found.where, found.verdict) == ("process", "one")
    assert [each.position for each in found.culprits] == [tasks.BAD]
    assert dbgkit.replay(found).outcome == "same"


def test_a_mended_function_finds_what_the_failure_does_not_need(tmp_path):
    # GIVEN a row that fails before what else the function uses is asked for
    def priced(sales, names, limits):
        paid = sales[names["price"]].map(float)
        paid = paid * limits[0] - limits[1] + sales["count"]
        return sales.assign(**{names["paid"]: paid})

    sales = pd.DataFrame({"shop": "a", "cost": ["1.5"] * 99, "count": 1})
    sales.loc[77, "cost"] = "n/a"
    call = (sales, {"price": "cost", "paid": "total"}, (2, 1))
    with pytest.raises(ValueError) as caught:
        dask.delayed(priced)(*call).compute(scheduler="sync")
    # WHEN it is shrunk
    small = dbgkit.shrink(caught.value)
    # THEN the columns that matter are told
    assert small.culprits[0].position == 77
    assert list(small.inputs["argument sales of priced"].columns) == ["cost"]
    # AND what is saved has all of them
    path = tmp_path / "test_priced.py"
    dbgkit.save(small, tmp_path / "small.dbgkit")
    again = dbgkit.load(tmp_path / "small.dbgkit", trust=True)
    for target in (small, again):
        dbgkit.to_test(target, path, overwrite=True)
        check_mended(path, "map(float)", "map(len)")


def test_what_the_failure_does_not_need_is_left_out_where_it_is_a_secret(tmp_path):
    def first(row):
        return 1 / row["a"]

    row = {"a": 0, "password": "hunter2-hunter2"}
    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(first)(row).compute(scheduler="sync")
    small = dbgkit.shrink(caught.value)
    path = dbgkit.to_test(small, tmp_path / "test_first.py")
    assert "hunter2" not in path.read_text()
    dbgkit.save(small, tmp_path / "small.dbgkit")
    assert b"hunter2" not in (tmp_path / "small.dbgkit").read_bytes()


CACHED = """
import functools

import dask

from to_test_runs import check_mended

import dbgkit


@functools.lru_cache(maxsize=None)
def steps(number):
    return 0 if number == 1 else 1 + steps(number // 2)


def total(numbers):
    return sum(steps(number) for number in numbers)


if __name__ == "__main__":
    try:
        dask.delayed(total)([*range(1, 200), "n/a"]).compute(scheduler="sync")
    except TypeError as error:
        dbgkit.save(error, "cached.dbgkit")
"""


def test_a_cached_function_of_another_script_is_in_the_file_and_in_the_test(tmp_path):
    # GIVEN a file of a script's failure, whose function cloudpickle cannot copy here
    (tmp_path / "job.py").write_text(CACHED)
    job = [sys.executable, "job.py"]
    subprocess.run(job, env=environment(), cwd=tmp_path, timeout=120, check=True)
    # WHEN it is shrunk
    bundle = dbgkit.load(tmp_path / "cached.dbgkit", trust=True)
    small = dbgkit.shrink(bundle)
    assert [each.value for each in small.culprits] == ["'n/a'"]
    # THEN the smallest input can be saved, replayed and made a test
    dbgkit.save(small, tmp_path / "small.dbgkit")
    again = dbgkit.load(tmp_path / "small.dbgkit", trust=True)
    assert dbgkit.replay(again).outcome == "same"
    for number, target in enumerate([small, again]):
        test = tmp_path / f"test_{number}.py"
        dbgkit.to_test(target, test)
        assert "@functools.lru_cache(maxsize=None)" in test.read_text()
        assert 'total(["n/a"])' in test.read_text()


CLASSES = """
from dataclasses import dataclass
from decimal import Decimal as D
from enum import Enum
from typing import NamedTuple

import dask

from to_test_runs import check_mended

import dbgkit


class Rejected(LookupError):
    pass


class Late(Rejected): "An exception without code."


class Side(Enum):
    BUY = D(1)
    SELL = D(-1)


class Price(NamedTuple):
    amount: D
    side: Side = Side.BUY


@dataclass
class Trade:
    price: Price
    tags: tuple[str, ...] = ()


def total(trades):
    for trade in trades:
        if trade.price.side is Side.SELL:
            raise Late(trade.tags)
    return len(trades)


if __name__ == "__main__":
    trades = [Trade(Price(D(number))) for number in range(40)]
    trades[31] = Trade(Price(D(3), Side.SELL), ("late",))
    try:
        dask.delayed(total)(trades).compute(scheduler="sync")
    except Late as error:
        dbgkit.save(error, "classes.dbgkit")
"""


def test_classes_without_code_of_another_script_are_in_the_file_and_in_the_test(
    tmp_path,
):
    # GIVEN a file of a script's failure, whose classes have no code that is found
    (tmp_path / "job.py").write_text(CLASSES)
    job = [sys.executable, "job.py"]
    subprocess.run(job, env=environment(), cwd=tmp_path, timeout=120, check=True)
    (tmp_path / "job.py").unlink()
    bundle = dbgkit.load(tmp_path / "classes.dbgkit", trust=True)
    # WHEN it is shrunk, and saved again
    small = dbgkit.shrink(bundle)
    assert [each.position for each in small.culprits] == [31]
    dbgkit.save(small, tmp_path / "small.dbgkit")
    again = dbgkit.load(tmp_path / "small.dbgkit", trust=True)
    # THEN each is a test, with the texts of the classes and of what these need
    for number, target in enumerate([bundle, small, again]):
        path = dbgkit.to_test(target, tmp_path / f"test_{number}.py")
        for line in ("class Late(Rejected):", "class Side(Enum):"):
            assert line in path.read_text()
        check_mended(path, "trade.price.side is Side.SELL", "not trade")


def test_a_file_that_is_not_trusted_runs_nothing(error, tmp_path):
    dbgkit.save(error, tmp_path / "whole.dbgkit")
    with pytest.raises(errors.DbgkitError, match="trust"):
        dbgkit.shrink(dbgkit.load(tmp_path / "whole.dbgkit"))
