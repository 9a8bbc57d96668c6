"""Origins of values in recordings and pytest, bounds, and the frames of the prompt."""

from __future__ import annotations

import io
import sys

import dask
import provenance_tasks as job
import pytest
from dask._task_spec import DataNode, Task, TaskRef
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.debugger import choose, ipython
from dbgkit.remote.common.origins import VISITS, origins_of
from dbgkit.remote.values.summarize import summarize
from dbgkit.targets.origins import origins_in_graph


class Untouched:
    """Whatever is asked of it, once it is in a run spec, it says so."""

    armed = False

    def __getattribute__(self, name):
        assert not Untouched.armed, f"{name} was asked for"
        return object.__getattribute__(self, name)

    __repr__ = __str__ = __len__ = __iter__ = None


# -- bounds --------------------------------------------------------------------


def test_nothing_is_asked_of_a_users_own_objects(monkeypatch):
    node = Task("a", job.combine, Untouched(), weight=Untouched())
    value = DataNode("b", Untouched())
    monkeypatch.setattr(Untouched, "armed", True)
    (told,) = origins_in_graph("a", {"a": node})
    assert told.text == "combine(parts=<Untouched>, weight=<Untouched>)"
    assert origins_in_graph("b", {"b": value}) == ()


def test_so_many_run_specs_are_looked_at_and_no_more():
    asked = []

    def spec_of(key):
        asked.append(key)
        return Task(key, job.inc, key[1])

    parts = [TaskRef(("part", n)) for n in range(20_000)]
    found = origins_of("all", Task("all", job.combine, *parts), spec_of)
    assert len(asked) <= VISITS
    assert [one["args"][0][1] for one in found[:4]] == ["0", "1", "2", "3"]
    assert found[-1]["least"] and found[-1]["more"] > 100
    # Where none of them is known there is nothing to tell, and so nothing left out.
    assert origins_in_graph("all", {"all": Task("all", job.combine, *parts)}) == ()


def test_a_graph_that_runs_in_a_circle_ends():
    graph = {
        "a": Task("a", job.inc, TaskRef("b")),
        "b": Task("b", job.inc, TaskRef("a")),
    }
    assert origins_in_graph("a", graph) == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 500, "load(item=" + repr("x" * 120) + "… (500 characters))"),
        (10**100, "load(item=<long int>)"),
        ([[[["deep"]]]], "load(item=[[[[…]]]])"),
        (list(range(9)), "load(item=[0, 1, 2, 3, 4, 5, … 3 more])"),
        ({"password": "hunter22"}, "load(item={'password': '<hidden>'})"),
        (slice(1, 5), "load(item=slice(1, 5, None))"),
    ],
)
def test_literals_are_told_in_short(value, text):
    (told,) = origins_in_graph("a", {"a": Task("a", job.load, value)})
    assert told.text == text


@pytest.mark.parametrize(
    "value", ["text", 7, 1.5, True, b"raw", 2j], ids=lambda value: type(value).__name__
)
def test_scalars_are_told_at_any_depth(value):
    deep = value
    for _ in range(4):
        deep = [deep]
    assert summarize(deep)["text"] == f"[[[[{value!r}]]]]"
    assert summarize([deep])["text"] == "[[[[[…]]]]]"


def test_a_secret_at_the_depth_limit_stays_hidden():
    deep = [[[{"password": "hunter22"}]]]
    assert "hunter22" not in summarize(deep)["text"]


# -- recordings ----------------------------------------------------------------


def test_a_recording_says_where_its_values_came_from(recorded):
    futures = recorded.map(job.div, [7], pure=False)
    wait_until(lambda: futures[0].status == "error", "it has failed")
    (found,) = dbgkit.recordings()
    assert [one.text for one in found.came_from] == ["div(x=7)"]
    assert found.name == 'task "div"'
    shown = render.to_text(found, width=200)
    assert any(line.split() == ["from", "div(x=7)"] for line in shown.splitlines())
    assert found.to_json()["came_from"][0]["text"] == "div(x=7)"


def test_a_recording_names_the_file_and_the_users_function(recorded, tmp_path):
    pytest.importorskip("pandas")
    bag = pytest.importorskip("dask.bag")
    path = tmp_path / "0.txt"
    path.write_text("1\nx\n")
    with pytest.raises(ValueError) as caught:
        bag.read_text(str(path)).map(job.number).compute()
    (found,) = dbgkit.recordings()
    assert [one.text for one in found.came_from] == [f"read_text {str(path)!r}"]
    assert '"number"' in found.name
    assert dbgkit.locate(caught.value).name == found.name
    with dbgkit.replay(caught.value) as again:
        assert again.failure.name == found.name


# -- the prompt ----------------------------------------------------------------


@pytest.fixture
def commands(monkeypatch):
    """Type these at the next prompt of pdb."""
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    for each in (choose, ipython):
        monkeypatch.setattr(each, "running_shell", lambda: None)

    def typed(*lines):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join([*lines, "q", ""])))

    return typed


def test_up_leads_to_the_line_that_asked(processes_client, commands, capsys):
    wanted_here = "the caller's own"

    def ask():
        return processes_client.submit(job.div, 7).result()

    with pytest.raises(ZeroDivisionError) as caught:
        ask()
    commands("u", "p processes_client.status", "u", "p wanted_here", "where")
    dbgkit.debug(caught.value, prompt=True)
    out = capsys.readouterr().out
    assert "-> return processes_client.submit(job.div, 7).result()" in out
    assert "'running'" in out
    assert repr(wanted_here) in out
    shown = out[out.rindex("-> ask()") :]
    assert "return x / y" in shown  # the task is within what asked for it


def test_up_is_there_once_however_often_it_is_entered(
    processes_client, commands, capsys
):
    future = processes_client.submit(job.div, 7)
    with pytest.raises(ZeroDivisionError) as caught:
        future.result()
    with dbgkit.replay(caught.value) as again:
        from dbgkit import debugger

        for _ in range(2):
            commands("where")
            debugger.enter(again.exception, asked=caught.value)
            out = capsys.readouterr().out
            assert out.count("-> future.result()") == 1


def test_compiled_frames_are_listed_and_not_stopped_in(
    processes_client, commands, capsys
):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    frame = dd.from_pandas(pd.DataFrame({"b": ["1", "x"]}), npartitions=1)
    with pytest.raises(ValueError) as caught:
        dd.to_numeric(frame.b).compute()
    commands("p errors")
    dbgkit.debug(caught.value, prompt=True)
    out = capsys.readouterr().out
    assert "further in, without source or locals: " in out
    assert "maybe_convert_numeric" in out and ".pyx:" in out
    assert "numeric.py" in out.partition("\n> ")[2].partition("\n")[0]
    assert "'raise'" in out


def test_a_frame_without_source_is_left_for_one_that_has_it(commands, capsys):
    space = {}
    exec("def made(x):\n    return 1 / x", space)

    def calls_made(x):
        doubled = 2 * x
        return space["made"](doubled)

    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(calls_made)(0).compute(scheduler="sync")
    commands("p doubled")
    dbgkit.debug(caught.value, prompt=True)
    out = capsys.readouterr().out
    assert "(Pdb) 0" in out
    assert "further in, without source or locals: made (<string>:2)" in out


# -- pytest --------------------------------------------------------------------


def test_the_section_of_a_report_in_pytest(processes_client):
    from dbgkit.frontends.pytest_plugin import _described

    with pytest.raises(ZeroDivisionError) as caught:
        processes_client.gather(processes_client.map(job.div, [7, 8]))
    told = _described(caught.value).splitlines()
    assert any(line.startswith("from    client.map, index ") for line in told)
    assert any(line.startswith("from    div(x=") for line in told)
