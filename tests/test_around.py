"""The graph around a failure or a stuck task: live, and from a dump."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from distributed import wait
from distributed.protocol import dumps
from tasks import add, boom, inc, total
from watching import unchanged, wait_until
from why_looks import flag, from_dump, why_until
from why_tasks import first, loop_until

import dbgkit
from dbgkit.cluster.link import Link
from dbgkit.cluster.view import DumpView, LiveView, _finish
from dbgkit.diagnose.graph import graph_around
from dbgkit.errors import WaitTimedOut
from dbgkit.remote.scheduler.graph import look_around

GPU = {"resources": {"GPU": 1}}


@pytest.fixture
def client(inproc_client):
    return inproc_client


@pytest.fixture
def view(client):
    return LiveView(Link(client, 30.0))


def keys_of(graph):
    return {node.key for node in graph.nodes}


def node_of(graph, key):
    (node,) = [node for node in graph.nodes if node.key == key]
    return node


def fallen(client, steps, *inputs):
    """A chain of tasks that fell because of its first one."""
    futures = [client.submit(boom, *inputs or (1,), key="bad-1")]
    for step in range(steps):
        futures.append(client.submit(inc, futures[-1], key=("step", step)))
    wait(futures)
    return futures


def stuck(client, steps):
    """A chain of tasks whose first one asks for what no worker has."""
    futures = [client.submit(inc, 1, key="end", **GPU)]
    for step in range(steps):
        futures.append(client.submit(inc, futures[-1], key=("step", step)))
    why_until("waiting-on", futures[-1])
    return futures


# -- why ---------------------------------------------------------------------


def test_what_fell_is_followed_to_what_failed(client, tmp_path):
    value = client.submit(inc, 1, key="value")
    futures = fallen(client, 3, value)
    with unchanged(client):
        graph = dbgkit.why(futures[-1]).graph
    assert (graph.culprit, graph.asked) == ("bad-1", ("step", 2))
    assert [node.key for node in graph.nodes if node.culprit] == ["bad-1"]
    assert {node.key: node.state for node in graph.nodes} == {
        "value": "memory",
        "bad-1": "erred",
        **{("step", step): "erred" for step in range(3)},
    }
    assert set(graph.edges) == {
        ("value", "bad-1"),
        ("bad-1", ("step", 0)),
        (("step", 0), ("step", 1)),
        (("step", 1), ("step", 2)),
    }
    assert (graph.gaps, graph.omitted) == ((), 0)
    assert from_dump(client, tmp_path, ("step", 2)).graph == graph


def test_what_waits_is_shown_with_the_chain_to_what_it_waits_for(client, tmp_path):
    futures = stuck(client, 8)
    with unchanged(client, settled=False):
        graph = why_until("waiting-on", futures[-1]).graph
    assert (graph.culprit, graph.asked) == ("end", ("step", 7))
    assert len(graph.nodes) == 9
    assert node_of(graph, "end").state == "no-worker"
    assert node_of(graph, ("step", 7)).prefix == "step"
    assert from_dump(client, tmp_path, "('step', 7)").graph == graph


def test_the_middle_of_a_long_chain_is_left_out_and_counted(client, tmp_path):
    futures = stuck(client, 150)
    graph = why_until("waiting-on", futures[-1]).graph
    assert {("step", 149), ("step", 144), ("step", 4), "end"} <= keys_of(graph)
    assert graph.gaps == ((("step", 4), ("step", 144), 139),)
    assert graph.omitted == 139
    assert from_dump(client, tmp_path, ("step", 149)).graph == graph


def test_the_middle_of_a_long_fall_is_left_out_and_counted(client):
    graph = dbgkit.why(fallen(client, 30)[-1]).graph
    assert graph.gaps == ((("step", 4), ("step", 24), 19),)
    assert (len(graph.nodes), graph.omitted) == (12, 19)


def test_neighbours_of_many_are_few_and_counted(client):
    end = client.submit(inc, 1, key="end", **GPU)
    parts = [client.submit(inc, end, key=f"part-{i}") for i in range(30)]
    asked = client.submit(total, parts, key="asked")
    graph = why_until("waiting-on", asked).graph
    shown = [key for key in keys_of(graph) if key.startswith("part-")]
    assert len(shown) in (6, 7)  # one of them may be on the chain
    assert node_of(graph, "end").more_dependents == 30 - len(shown)
    assert node_of(graph, "asked").more_dependencies == 30 - len(shown)


def test_the_whole_cluster_is_shown_around_its_first_cause(client, tmp_path):
    with flag(tmp_path) as path:
        runs = client.submit(loop_until, path, key="runs")
        end = client.submit(inc, 1, key="end", **GPU)
        asked = client.submit(first, end, runs, key="asked")
        why_until("waiting-on", asked)
        wait_until(lambda: dbgkit.why().others, "two causes")
        found = dbgkit.why()
        assert (found.cause, found.graph.culprit) == ("resources-unmet", "end")
        assert keys_of(found.graph) == {"end", "asked"}
        assert node_of(found.graph, "asked").more_dependencies == 1
        assert from_dump(client, tmp_path).graph == found.graph


def test_what_is_finished_or_unknown_has_no_graph(client):
    future = client.submit(inc, 1, key="done")
    wait(future)
    assert dbgkit.why(future).graph is None
    assert dbgkit.why("never-there").graph is None
    assert dbgkit.why("never-there").to_json()["graph"] is None


def test_odd_keys(client, tmp_path):
    odd = ["[/a/b]", "quote'\"", "line\nbreak", ("t", ("u", 1)), "häß\x1b[31m"]
    futures = [client.submit(inc, 1, key="end", **GPU)]
    for key in odd:
        futures.append(client.submit(inc, futures[-1], key=key))
    found = why_until("waiting-on", futures[-1])
    assert keys_of(found.graph) == {"end", *odd}
    json.dumps(found.to_json())
    assert from_dump(client, tmp_path, odd[-1]).graph == found.graph


class Halting(LiveView):
    """A cluster that stops to answer once the cause is known."""

    def ask(self, verb, question, foresee=None):
        if verb == "around":
            raise WaitTimedOut("the scheduler's answer did not come within 1 s")
        return super().ask(verb, question)


def test_a_graph_that_does_not_come_takes_nothing_else_away(client):
    futures = stuck(client, 2)
    found = dbgkit.why(futures[-1], view=Halting(Link(client, 30.0)))
    assert (found.cause, found.key, found.graph) == ("waiting-on", "end", None)
    assert found.notes == (
        "the graph around it is not available: the scheduler's answer did not come "
        "within 1 s",
    )


# -- around some keys --------------------------------------------------------


def test_each_key_has_its_graph_and_unknown_ones_none(client, view, tmp_path):
    one, two = fallen(client, 2), client.submit(add, 1, 2, key=("sum", 1))
    wait(two)
    keys = [("step", 1), "never-there", ("sum", 1)]
    found = graph_around(view, keys)
    assert list(found) == [("step", 1), ("sum", 1)]
    assert found["step", 1].culprit == "bad-1"
    assert [node.key for node in found["sum", 1].nodes] == [("sum", 1)]
    client.dump_cluster_state(str(tmp_path / "dump"))
    assert graph_around(DumpView(tmp_path / "dump.msgpack.gz"), keys) == found
    del one


def test_more_keys_than_one_question_takes(client, view):
    futures = client.map(inc, range(45), key=[("n", i) for i in range(45)])
    wait(futures)
    assert list(graph_around(view, [f.key for f in futures])) == [
        f.key for f in futures
    ]


def test_a_limit(client, view):
    futures = stuck(client, 20)
    for limit in (1, 2, 5):
        graph = graph_around(view, ["end"], limit=limit)["end"]
        assert len(graph.nodes) == min(limit, 5)
        assert graph.nodes[0].key == "end"
    del futures


def test_an_answer_is_small(client, view):
    """Whatever is around: 10 kB, with keys as long as Dask makes them."""
    name = "some_function-0123456789abcdef0123456789abcdef"
    futures = [client.submit(inc, 1, key=(name, 0), **GPU)]
    for at in range(1, 60):  # each but the last ones is needed by three
        futures.append(client.submit(inc, futures[(at - 1) // 3], key=(name, at)))
    why_until("waiting-on", futures[-1])
    answer = view.ask("around", {"tasks": [{"key": (name, 0)}], "limit": 40})
    assert len(answer["graphs"][0]["nodes"]) == 40
    assert sum(map(len, dumps(answer))) <= 10_000


# -- what it costs -----------------------------------------------------------


class Watched(set):
    """A set that counts how many of its elements were looked at."""

    seen = 0

    def __iter__(self):
        for element in super().__iter__():
            self.seen += 1
            yield element


class Task:
    def __init__(self, key, state="memory"):
        self.key, self.state = key, state
        self.prefix = SimpleNamespace(name="task")
        self.exception_blame = self.exception = self.exception_text = None
        self.dependencies, self.dependents = Watched(), Watched()
        self.waiting_on, self.waiters = Watched(), Watched()


def ask_about(tasks, key, **more):
    known = {task.key: task for task in tasks}
    state = SimpleNamespace(tasks=known, erred_tasks=(), transition_log=())
    question = {"tasks": [{"key": key, **more}], "limit": 40}
    (graph,) = _finish(look_around(state, question))["graphs"]
    return graph


def test_of_a_hundred_thousand_dependencies_a_few_are_looked_at():
    end = Task("end", "waiting")
    inputs = [Task(("input", i)) for i in range(100_000)]
    end.dependencies.update(inputs)
    users = [Task(("user", i), "waiting") for i in range(50_000)]
    end.dependents.update(users)
    graph = ask_about([end, *inputs, *users], "end")
    assert len(graph["nodes"]) == 13
    assert graph["nodes"][0][3:] == [99_994, 49_994]
    assert end.dependencies.seen + end.dependents.seen <= 200


def test_what_tells_most_is_shown_of_many():
    end = Task("end", "waiting")
    inputs = [Task(("input", i)) for i in range(5_000)]
    missing = Task("missing", "processing")
    end.dependencies.update(inputs)
    end.dependencies.add(missing)
    end.waiting_on.add(missing)
    graph = ask_about([end, *inputs, missing], "end")
    assert graph["nodes"][1][:2] == ["missing", "processing"]


def test_a_way_that_is_not_found_is_a_gap_of_unknown_length():
    """As a task on the way was forgotten, and released by its dependents."""
    bad, fell = Task("bad", "erred"), Task("fell", "erred")
    bad.exception_blame = fell.exception_blame = bad
    inputs = [Task(("input", i)) for i in range(20_000)]
    fell.dependencies.update(inputs)
    graph = ask_about([bad, fell, *inputs], "fell")
    assert [node[0] for node in graph["nodes"]][:2] == ["bad", "fell"]
    assert graph["gaps"] == [(0, 1, 0)]
    assert fell.dependencies.seen <= 10_100
