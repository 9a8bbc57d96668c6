"""Failures that are left as text: which code, of which cell or file, it was."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from dataclasses import replace

import pytest
from cells import WITH_PATHS, cells
from distributed import wait
from shells import uncoloured
from watching import clear_history, forgotten, settle, unchanged

import dbgkit
from dbgkit.api.locate import locate_all
from dbgkit.api.report import report
from dbgkit.diagnose.root_causes import root_causes
from dbgkit.remote.common.codes import DYNAMIC
from dbgkit.render import document

SHOP = """
def price(item):
    return 100 / item
"""
BANK = """
def price(item):
    return 5.0 / (item * 2)
"""


@pytest.fixture(autouse=True)
def without_history(request):
    """The shared clusters remember failures of other tests."""
    for name in ("client", "processes_client", "inproc_client"):
        if name in request.fixturenames:
            request.getfixturevalue(name).run_on_scheduler(clear_history)


def locations(client, **options):
    """Where the groups failed, and how many of each."""
    found = dbgkit.failures(client=client, **options)
    return {group.location: group.count for group in found.groups}


def html_of(shown):
    return shown._repr_mimebundle_()["text/html"]


def fails(client, function, *args, key=None):
    """A task that has failed."""
    future = client.submit(function, *args, key=key, pure=False)
    wait(future)
    return future


# -- two cells that fail on one line -----------------------------------------


def test_two_cells_that_fail_on_one_line_are_two_groups(client):
    text = BANK.replace("5.0 /", "5 //")
    with cells(SHOP.replace("100 /", "100 //"), text, first=3) as (shop, bank):
        futures = client.map(shop["price"], [0, 0], pure=False)
        futures += client.map(bank["price"], [0], pure=False)
        wait(futures)
        with unchanged(client):
            found = locations(client)
    assert found == {
        "Cell In[3], line 3 in price": 2,
        "Cell In[4], line 3 in price": 1,
    }


def test_a_group_shows_the_lines_of_its_own_cell(client):
    texts = (SHOP.replace("100 /", "100 //"), BANK.replace("5.0 /", "5 //"))
    with cells(*texts, first=3) as (shop, bank):
        futures = [fails(client, space["price"], 0) for space in (shop, bank)]
        found = dbgkit.failures(client=client)
        text, html = str(found), uncoloured(html_of(found))
        del futures
    assert "return 100 // item" in text and "return 5 // (item * 2)" in text
    assert "return 100 // item" in html and "return 5 // (item * 2)" in html
    assert "dynamic-code" not in text + html


def test_cells_with_equal_code_are_one_group_and_the_newest_is_shown(client):
    with cells(SHOP, SHOP, first=7) as (old, new):
        futures = [fails(client, space["price"], 0) for space in (old, new)]
        found = locations(client)
        del futures
    assert found == {"Cell In[8], line 3 in price (In[7] or In[8])": 2}


def test_cells_that_differ_in_a_constants_type_alone_are_two_groups(client):
    texts = [
        "def f(x):\n    return x // 0 + 1",
        "def f(x):\n    return x // 0 + 1.0",
    ]
    with cells(*texts) as spaces:
        futures = [fails(client, space["f"], 1) for space in spaces]
        assert len(locations(client)) == 2
        del futures


def test_lambdas_of_two_cells_are_two_groups(client):
    with cells("f = lambda x: x // 0", "f = lambda x: (x + 1) // 0") as spaces:
        futures = [fails(client, space["f"], 1) for space in spaces]
        found = locations(client)
        del futures
    assert set(found) == {
        "Cell In[1], line 1 in <lambda>",
        "Cell In[2], line 1 in <lambda>",
    }


def test_a_helper_that_travelled_with_its_caller_is_told_by_its_own_code(client):
    texts = [
        f"def helper(x):\n    return {n} // x\n\ndef task(x):\n    return helper(x)"
        for n in (1, 2)
    ]
    with cells(*texts) as spaces:
        futures = [fails(client, space["task"], 0) for space in spaces]
        found = locations(client)
        del futures
    assert set(found) == {
        "Cell In[1], line 2 in helper",
        "Cell In[2], line 2 in helper",
    }


METHODS = """
class Model:
    def __init__(self, weight):
        self.weight = weight

    def predict(self, x):
        return self.weight // x
"""


def test_a_method_of_an_argument_is_found(client):
    with cells(METHODS, "def apply(model, x):\n    return model.predict(x)") as found:
        model = found[0]["Model"](3)
        future = fails(client, found[1]["apply"], model, 0)
        assert locations(client) == {"Cell In[1], line 7 in predict": 1}
        text = str(dbgkit.failures(client=client))
        del future
        page = uncoloured(html_of(dbgkit.failures(client=client)))
    assert "return self.weight // x" in text
    assert "return model.predict(x)" in page


CLOSURES = """
def making(n):
    def inner(x):
        return n // x
    return inner

one, two = making(1), making(2)
"""


def test_closures_of_one_function_are_one_group(client):
    with cells(CLOSURES) as (space,):
        futures = [fails(client, space[name], 0) for name in ("one", "two")]
        assert locations(client) == {"Cell In[1], line 4 in inner": 2}
        del futures


def test_what_is_forgotten_since_is_told_apart_too(client):
    dbgkit.failures(client=client)  # from here on it is kept
    texts = (SHOP.replace("100 /", "100 //"), BANK.replace("5.0 /", "5 //"))
    with cells(*texts, first=3) as (shop, bank):
        for space in (shop, bank):
            fails(client, space["price"], 0)
        forgotten(client)
        settle(client)
        found = dbgkit.failures(client=client)
        assert [group.forgotten for group in found.groups] == [1, 1]
        assert {group.location for group in found.groups} == {
            "Cell In[3], line 3 in price",
            "Cell In[4], line 3 in price",
        }
        text = str(found)
    assert "return 100 // item" in text and "return 5 // (item * 2)" in text


def test_fused_tasks_are_told_apart(client):
    dataframe = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    frame = dataframe.from_pandas(pandas.DataFrame({"a": [1, 2]}), npartitions=2)
    texts = [
        f"def part(df):\n    assert len(df) > {n}, 'too short'\n    return df"
        for n in (5, 6)
    ]
    with cells(*texts) as spaces:
        futures = [
            client.compute(frame.map_partitions(space["part"], meta=frame._meta))
            for space in spaces
        ]
        wait(futures)
        assert set(locations(client)) == {
            "Cell In[1], line 2 in part",
            "Cell In[2], line 2 in part",
        }
        del futures


# -- before and after --------------------------------------------------------


def has_path(function, path):
    """The function as an older cloudpickle sends it: its code has a path."""
    from types import FunctionType

    code = function.__code__.replace(co_filename=path)
    return FunctionType(code, function.__globals__, function.__name__)


class Older:
    """Pickles as a function whose code has its path still."""

    def __init__(self, function, path):
        self.made = (function, path)
        self.__name__ = function.__name__

    def __reduce__(self):
        return has_path, self.made

    def __call__(self, *args):
        return has_path(*self.made)(*args)


def test_a_function_is_one_group_before_and_after_its_path_is_left_out(client):
    with cells(SHOP) as (space,):
        price = space["price"]
        futures = [
            fails(client, price, 0),
            fails(client, Older(price, "/tmp/ipykernel_1/234.py"), 0),
        ]
        found = dbgkit.failures(client=client)
        del futures
    assert [group.count for group in found.groups] == [2]


def test_a_file_of_other_code_is_another_group(client):
    texts = (SHOP.replace("100 /", "100 //"), BANK.replace("5.0 /", "5 //"))
    with cells(*texts) as (shop, bank):
        futures = [
            fails(client, shop["price"], 0),
            fails(client, Older(bank["price"], "/tmp/ipykernel_1/234.py"), 0),
        ]
        counts = [group.count for group in dbgkit.failures(client=client).groups]
        del futures
    assert counts == [1, 1]


def say_otherwise(path, of, dask_scheduler):
    """Have a failure's text in the history tell another file."""
    history = dask_scheduler.erred_tasks
    for index, entry in enumerate(history):
        if entry.key == of:
            text = re.sub('File ".*?"', f'File "{path}"', entry.traceback_text)
            history[index] = replace(entry, traceback_text=text)


def test_what_only_a_text_is_left_of_equals_any_file(client):
    with cells(SHOP) as (space,):
        for key in ("one", "two"):
            fails(client, space["price"], 0, key=key)
        forgotten(client)
        settle(client)
        for key, path in (("one", "/jobs/shop.py"), ("two", DYNAMIC)):
            client.run_on_scheduler(say_otherwise, path, key)
        groups = dbgkit.failures(client=client).groups
    assert [group.count for group in groups] == [2]


# -- what has nothing but its text -------------------------------------------


def test_a_dump_shows_the_cell_where_one_alone_can_be_it(processes_client, tmp_path):
    path = str(tmp_path / "dump")
    with cells(SHOP, "def other(x):\n    return x", first=5) as (shop, _):
        future = fails(processes_client, shop["price"], 0)
        processes_client.dump_cluster_state(path, format="yaml")
        found = dbgkit.failures(view=f"{path}.yaml")
        text = str(found)
        assert found.groups[0].location == "Cell In[5], line 3 in price"
        assert "return 100 / item" in text
        del future


@pytest.mark.skipif(WITH_PATHS, reason="the dump says the cell")
def test_a_dump_shows_no_cell_where_two_can_be_it(processes_client, tmp_path):
    path = str(tmp_path / "dump")
    with cells(SHOP, BANK) as (shop, _):
        future = fails(processes_client, shop["price"], 0)
        processes_client.dump_cluster_state(path, format="yaml")
        found = dbgkit.failures(view=f"{path}.yaml")
        text = str(found)
        del future
    assert "Cell" not in found.groups[0].location
    assert "item" not in text.replace("price(item", "")


# -- other texts -------------------------------------------------------------


def test_locate_shows_the_line_and_keeps_the_schedulers_text(client):
    with cells(SHOP, first=9) as (space,):
        future = fails(client, space["price"], 0)
        failure = dbgkit.locate(future)
        text, html = str(failure), uncoloured(html_of(failure))
    assert "Cell In[9], line 3" in text and "return 100 / item" in text
    assert "Cell In[9], line 3" in html and "return 100 / item" in html
    assert "Cell" not in failure.traceback_text


def test_why_names_the_cell(client):
    with cells(SHOP, first=9) as (space,):
        future = fails(client, space["price"], 0)
        evidence = dbgkit.why(future, client=client).evidence
    assert "raised at Cell In[9], line 3 in price" in evidence


def test_the_report_shows_the_line(client):
    with cells(SHOP, first=9) as (space,):
        future = fails(client, space["price"], 0)
        page = uncoloured(document(report(client=client)))
        del future
    assert "Cell In[9], line 3" in page and "return 100 / item" in page
    assert "dynamic-code" not in page


def test_a_secret_in_a_line_stays_hidden(client):
    text = "def login(x):\n    password = 'hunter-22'; return 1 / x"
    with cells(text) as (space,):
        future = fails(client, space["login"], 0)
        found = str(dbgkit.failures(client=client)) + str(dbgkit.locate(future))
    assert "return 1 / x" in found
    assert "hunter" not in found


def test_two_cells_are_two_root_causes_of_one_target(client):
    texts = (SHOP.replace("100 /", "100 //"), BANK.replace("5.0 /", "5 //"))
    with cells(*texts) as (shop, bank):
        futures = [fails(client, space["price"], 0) for space in (shop, bank)]
        assert len(root_causes(locate_all(futures))) == 2


LIBRARY = """
def scaled(function):
    def inner(x):
        return divided(function(x), 0)
    def divided(a, b):
        return a / b
    return inner

by_lambda = lambda function: (lambda x: function(x) / 0)
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """An installed package whose closures travel by value."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "scaling.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("scaling")
    del sys.modules["scaling"]


USERS = """
def doubled(x):
    return 2 * x

def task(x):
    return wrapped(x)
"""


@pytest.mark.parametrize("name", ["scaled", "by_lambda"])
def test_a_librarys_closure_is_not_taken_for_the_users_own(client, library, name):
    with cells(USERS) as (space,):
        space["wrapped"] = getattr(library, name)(space["doubled"])
        future = fails(client, space["task"], 1)
        assert list(locations(client)) == ["Cell In[1], line 6 in task"]
        failure = dbgkit.locate(future)
        text, page = str(failure), html_of(failure)
    assert failure.name == 'task "task"'
    assert "scaling.py:" in page and "dynamic-code" not in page
    assert "return wrapped(x)" in text


@pytest.mark.usefixtures("recorder_off")
def test_a_librarys_closure_is_recorded_as_its_own(recorded, library):
    with cells(USERS) as (space,):
        space["wrapped"] = library.scaled(space["doubled"])
        future = fails(recorded, space["task"], 1)
        (recording,) = dbgkit.recordings(future, client=recorded).recordings
    own = [frame.function for frame in recording.frames if frame.own]
    assert own == ["task"]
    assert recording.frames[-1].function == "divided"
    assert recording.frames[-1].filename.endswith("scaling.py")
    assert dict(recording.frames[-1].source)[6] == "        return a / b"


def test_the_run_spec_of_a_task_stays_as_it_is(client):
    with cells(SHOP) as (space,):
        future = fails(client, space["price"], 0)

        def spec(dask_scheduler):
            return pickle.dumps(repr(dask_scheduler.tasks[future.key].run_spec))

        before = client.run_on_scheduler(spec)
        dbgkit.failures(client=client)
        assert client.run_on_scheduler(spec) == before
