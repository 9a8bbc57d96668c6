"""What telling the code of a text builds on in Dask, cloudpickle and IPython."""

from __future__ import annotations

import threading

import cloudpickle
import pytest
from cells import cells
from dask._task_spec import Alias, Task, TaskRef
from distributed import Client, wait
from distributed.diagnostics.plugin import SchedulerPlugin
from IPython.core.compilerop import CachingCompiler
from watching import forgotten, settle

from dbgkit.remote.common.codes import DYNAMIC, fingerprint, mark_of
from dbgkit.remote.common.frame_codes import codes_for, own_place, with_homes
from dbgkit.remote.worker.black_box_lines import line_of
from dbgkit.source.places import cell_name, cells_alike, place, split_line


@pytest.fixture
def client(inproc):
    with Client(inproc) as client:
        forgotten(client)
        yield client


def test_a_function_by_value_brings_its_modules_name_and_file():
    space = {"__name__": "__main__", "__file__": "/jobs/shop.py"}
    exec("def price(x):\n    return 1 / x", space)
    found = cloudpickle.loads(cloudpickle.dumps(space["price"]))
    assert found.__globals__["__file__"] == "/jobs/shop.py"
    assert found.__globals__["__name__"] == found.__module__ == "__main__"
    assert fingerprint(found.__code__) == fingerprint(space["price"].__code__)


def test_a_task_has_its_function_and_arguments_apart():
    task = Task("a", min, TaskRef("b"), 1, key=None)
    assert task.func is min
    reference, number = map(type, task.args)
    assert reference.__name__ in ("TaskRef", "Alias")  # of older ones
    assert number is int
    assert dict(task.kwargs) == {"key": None}
    assert type(Alias("a", "b")).__name__ == "Alias"


class Listener(SchedulerPlugin):
    """Notes what a task is as it ceases to be erred."""

    def __init__(self):
        self.seen = []

    def start(self, scheduler):
        self.scheduler = scheduler

    def transition(self, key, start, finish, *args, **kwargs):
        if start == "erred":
            ts = self.scheduler.tasks[key]
            self.seen.append((ts.run_spec is not None, bool(ts.traceback_text)))


def test_a_task_that_is_let_go_has_its_run_spec_and_text_once_more(client):
    listener = Listener()
    scheduler = client.cluster.scheduler
    listener.start(scheduler)
    scheduler.add_plugin(listener, name="contract")
    try:
        with cells("def f(x):\n    return 1 / x") as (space,):
            wait(client.submit(space["f"], 0))
        forgotten(client)
        settle(client)
    finally:
        scheduler.remove_plugin("contract")
    assert listener.seen == [(True, True)]


def test_the_schedulers_run_spec_leads_to_the_code(client):
    with cells("def f(x):\n    return 1 / x") as (space,):
        future = client.submit(space["f"], 0)
        wait(future)
        ts = client.cluster.scheduler.tasks[future.key]
        (found,) = codes_for(ts.run_spec, ts.traceback_text)
        assert found[:3] == ("f", 2, fingerprint(space["f"].__code__))


def test_ipython_calls_a_cell_by_its_number():
    compiler = CachingCompiler()
    name = compiler.cache("1 / 0", 8, raw_code="1 / 0")
    label, told = compiler.format_code_name(name)
    assert f"{label} {told}" == "Cell In[8]"
    assert compiler.format_code_name("job.py") is None


@pytest.mark.parametrize(
    ("filename", "told"),
    [
        ("<ipython-input-8-0123456789ab>", "Cell In[8], line 2"),
        ("<ipython-input-8-%%time>", "Cell In[8], line 2"),
        ("/tmp/ipykernel_12/3456.py", "notebook cell, line 2"),
        ("/home/me/shop.ipynb[In[8]]", "shop.ipynb, Cell In[8], line 2"),
        ("/home/me/shop.ipynb[cell 3]", "shop.ipynb, Cell 3, line 2"),
        ("/home/me/shop.ipynb[In[8]] %%time", "shop.ipynb, Cell In[8], line 2"),
        ("/home/me/shop.py", "/home/me/shop.py:2"),
        ("C:\\jobs\\shop.py", "C:\\jobs\\shop.py:2"),
        (DYNAMIC, "line 2"),
        (f"{DYNAMIC} 0123456789ab", "line 2"),
        ("shop.py (edited since it ran)", "shop.py:2 (edited since it ran)"),
    ],
)
def test_a_place_has_one_name(filename, told):
    assert place(filename, 2) == told


def test_what_is_no_cell_has_no_cells_name():
    assert cell_name("/home/me/In[8].py") == ""
    assert cells_alike(("/a.py", "/b.py")) == ""
    names = ("<ipython-input-8-a>", "<ipython-input-3-a>")
    assert cells_alike(names) == "In[3] or In[8]"


@pytest.mark.parametrize(
    "text",
    ["C:\\jobs\\shop.py:12 in price: return 1", "/a b/shop.py:12 in price: return 1"],
)
def test_a_line_is_read_back(text):
    filename, line, rest = split_line(text)
    assert (line, rest) == (12, "price: return 1")
    assert filename.endswith("shop.py")
    assert split_line("no line at all") is None


def test_a_frame_that_two_codes_can_be_is_told_as_none():
    texts = ["f = lambda x: 1 / x", "f = lambda x: 2 / x"]
    with cells(*texts) as (one, other):
        task = Task("a", map, one["f"], [other["f"]])
        text = f'  File "{DYNAMIC}", line 1, in <lambda>\n'
        assert codes_for(task, text) == ()
        assert own_place(text) == (DYNAMIC, 1, "<lambda>")


def test_a_file_is_put_only_where_none_was_told():
    text = f'  File "{DYNAMIC}", line 1, in f\n  File "/x.py", line 1, in f\n'
    told = with_homes(text, [("f", 1, "mark", "shop", "/shop.py")])
    assert told.splitlines() == [
        '  File "/shop.py", line 1, in f',
        '  File "/x.py", line 1, in f',
    ]


def test_a_black_box_tells_the_code_of_a_line_without_a_file():
    space = {"__name__": "__main__"}
    text = "def wait(ready, done):\n    ready.set()\n    done.wait(30)\n"
    exec(compile(text, DYNAMIC, "exec"), space)
    ready, done = threading.Event(), threading.Event()
    found = []

    def trace():
        import sys

        ready.wait(30)
        frame = sys._current_frames()[thread.ident]
        while frame.f_code.co_name != "wait" or frame.f_code.co_filename != DYNAMIC:
            frame = frame.f_back
        found.append(line_of([frame]))
        done.set()

    thread = threading.Thread(target=space["wait"], args=(ready, done))
    thread.start()
    trace()
    thread.join(30)
    filename, line, name = split_line(found[0])
    assert mark_of(filename) == fingerprint(space["wait"].__code__)
    assert (line in (2, 3), name) == (True, "wait")
