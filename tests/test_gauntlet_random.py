"""Random graphs: what failed first is found, and looks change nothing anywhere."""

from __future__ import annotations

import gc
import random
import tempfile
import time
from types import SimpleNamespace

import pytest
from dask._task_spec import Task, TaskRef
from distributed import Client
from fuzzing import examples
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from watching import settle, wait_until
from whole_state import differences, state_here, state_of_scheduler, state_of_worker

import dbgkit
from dbgkit.errors import DbgkitError

SEEDS = st.integers(0, 2**32)  # of what is drawn faster than hypothesis would
LIMIT = 8.0  # seconds for what a look has let go of to be gone


def run(name, ends, *inputs):
    """One task of a graph: a list of numbers, which those after it get."""
    found = [sum(map(sum, inputs)), len(name)]
    if ends == "changes":
        for each in inputs:
            each.append(len(name))
    if ends == "raises" or (ends == "changes" and inputs):
        raise ValueError(f"{name} is bad")
    if isinstance(ends, type):
        raise ends(f"{name} is bad")
    return found


def made_classes():
    """Classes that travel by value, as those of notebooks and scripts do."""

    class Trouble(Exception):
        code = 7

        def told(self):
            return f"trouble {self.code}"

    class Passenger:
        seats = 1

        def __init__(self, name):
            self.name = name

        def __call__(self, ends, *inputs):
            return run(self.name, ends, *inputs)

        @property
        def label(self):
            return self.name

    Passenger.__module__ = Trouble.__module__ = "__main__"
    return Passenger, Trouble


def mended(self, ends, *inputs):
    """What the user puts in place of `Passenger.__call__` once it has failed."""
    return [0]


@st.composite
def graphs(draw):
    """From 5 to 40 tasks, each after some of those before it; which fail, and are held.

    Of those that raise, some change their inputs first, some raise the user's class.
    Of the futures some are let go of before the looks. Classes may have been mended.
    """
    chance = random.Random(draw(SEEDS))
    count = draw(st.integers(5, 40))
    inputs = [
        sorted(chance.sample(range(n), chance.randint(0, min(n, 3))))
        for n in range(count)
    ]
    bad = {
        n: chance.choice(["raises", "changes", "trouble"])
        for n in chance.sample(range(count), chance.randint(1, max(1, count // 4)))
    }
    # What changes its inputs needs some.
    bad = {n: how for n, how in bad.items() if how != "changes" or inputs[n]}
    asked = sorted(chance.sample(range(count), chance.randint(2, count)))
    held = sorted(chance.sample(asked, chance.randint(1, len(asked))))
    return SimpleNamespace(
        inputs=inputs,
        bad=bad,
        asked=asked,
        held=held,
        by_class=set(chance.sample(range(count), count // 2)),
        edited=draw(st.booleans()),
    )


class Truth:
    """A graph that was run, and what is true of it."""

    def __init__(self, client, graph, number):
        self.graph = graph
        self.kinds = made_classes()
        passenger, trouble = self.kinds
        count = len(graph.inputs)
        self.keys = [
            (f"t{number}-{n % 3}", n) if n % 5 else f"alone{number}-{n}"
            for n in range(count)
        ]
        self.roots = [None] * count
        for n, needed in enumerate(graph.inputs):
            fallen = set().union(*(self.roots[each] for each in needed))
            self.roots[n] = fallen or ({n} & graph.bad.keys())
        tasks = {self.keys[n]: self._task(n, passenger, trouble) for n in range(count)}
        asked = [self.keys[n] for n in graph.asked]
        futures = dict(
            zip(graph.asked, client.get(tasks, asked, sync=False), strict=True)
        )
        wait_until(lambda: all(f.done() for f in futures.values()), "all ended", 120)
        self.futures = {n: futures[n] for n in graph.held}
        futures.clear()
        needed = set().union(*(self._above(n) for n in graph.asked))
        self.raised = {
            self.keys[n] for n in needed & graph.bad.keys() if self.roots[n] == {n}
        }
        if graph.edited:
            passenger.__call__ = mended
            trouble.code = 8

    def _task(self, n, passenger, trouble):
        ends = self.graph.bad.get(n, "")
        ends = trouble if ends == "trouble" else ends
        inputs = [TaskRef(self.keys[each]) for each in self.graph.inputs[n]]
        if n in self.graph.by_class:
            return Task(self.keys[n], passenger(f"task-{n}"), ends, *inputs)
        return Task(self.keys[n], run, f"task-{n}", ends, *inputs)

    def _above(self, n):
        return {n}.union(*(self._above(each) for each in self.graph.inputs[n]))


def everything(client, cluster, truth):
    """The state of all that a look could change."""
    gc.collect()

    async def of_scheduler():
        return state_of_scheduler(cluster.scheduler)

    return {
        "scheduler": cluster.sync(of_scheduler),
        **client.run(state_of_worker),
        "here": state_here(client, truth.kinds),
    }


def changed(before, after):
    return {
        place: differences(before.get(place, {}), after.get(place, {}))
        for place in before.keys() | after.keys()
        if before.get(place) != after.get(place)
    }


def check_unchanged(before, client, cluster, truth, told):
    """Fail unless all is as before, once what is on its way has arrived."""
    end = time.monotonic() + LIMIT
    while found := changed(before, everything(client, cluster, truth)):
        assert time.monotonic() < end, f"{told} changed {found}"
        time.sleep(0.02)


def closed(replay):
    """Use a replay as one does, and close it."""
    with replay:
        assert str(replay)


# The looks, by name: each is given the truth, and the number of a future.
LOOKS = {
    "locate": lambda truth, n: dbgkit.locate(truth.futures[n]),
    "locate a key": lambda truth, n: dbgkit.locate(truth.keys[n]),
    "locate its text": lambda truth, n: dbgkit.locate(str(truth.keys[n])),
    "locate several": lambda truth, n: dbgkit.locate(list(truth.futures.values())),
    "locate the last": lambda truth, n: dbgkit.locate(),
    "locate an exception": lambda truth, n: dbgkit.locate(truth.futures[n].exception()),
    "failures": lambda truth, n: dbgkit.failures(),
    "tasks": lambda truth, n: dbgkit.tasks(sort="since", limit=5),
    "tasks that failed": lambda truth, n: dbgkit.tasks(failed=True),
    "story": lambda truth, n: dbgkit.story(truth.keys[n]),
    "why": lambda truth, n: dbgkit.why(truth.keys[n]),
    "why nothing moves": lambda truth, n: dbgkit.why(),
    "doctor": lambda truth, n: dbgkit.doctor(),
    "peek": lambda truth, n: dbgkit.peek(),
    "peek at one": lambda truth, n: dbgkit.peek(truth.futures[n]),
    "recordings": lambda truth, n: dbgkit.recordings(),
    "deaths": lambda truth, n: dbgkit.deaths(),
    "a plan": lambda truth, n: dbgkit.replay(truth.futures[n], dry_run=True),
    "here": lambda truth, n: closed(dbgkit.replay(truth.futures[n], where="here")),
    "twice": lambda truth, n: closed(dbgkit.replay(truth.futures[n], times=2)),
    "in a process": lambda truth, n: closed(
        dbgkit.replay(truth.futures[n], where="process")
    ),
    "on a worker": lambda truth, n: closed(
        dbgkit.replay(truth.futures[n], where="worker")
    ),
    "ancestors": lambda truth, n: closed(
        dbgkit.replay(truth.futures[n], scope="ancestors")
    ),
    "ancestors there": lambda truth, n: closed(
        dbgkit.replay(truth.futures[n], scope="ancestors", where="worker")
    ),
    "the report": lambda truth, n: dbgkit.debug(truth.futures[n], using="replay"),
    # And looks that fail, always or often.
    "no recompute": lambda truth, n: dbgkit.replay(truth.futures[n], recompute=False),
    "nothing pulled": lambda truth, n: dbgkit.replay(truth.futures[n], max_bytes=0),
    "no such key": lambda truth, n: dbgkit.locate("no such key"),
    "a story of none": lambda truth, n: dbgkit.story(("no such key", 1)),
    "no such target": lambda truth, n: dbgkit.locate([truth.futures[n], object()]),
    "declined": lambda truth, n: dbgkit.replay(
        truth.futures[n], notify=lambda event: False
    ),
}
SLOW = ("in a process",)


def look(name, truth, n):
    """One look; an error is one of ours, with something to say."""
    try:
        answer = LOOKS[name](truth, n)
    except DbgkitError as error:
        assert str(error)
        return None
    assert answer is None or str(answer)
    return answer


def check_found(truth):
    """What is said of a graph is what is true of it."""
    for n, future in truth.futures.items():
        if not truth.roots[n]:
            with pytest.raises(DbgkitError):
                dbgkit.locate(future)
            continue
        failure = dbgkit.locate(future)
        number = truth.keys.index(failure.key)
        # Dask blames one of several.
        assert number in truth.roots[n]
        assert failure.message == f"task-{number} is bad"
        kind = "Trouble" if truth.graph.bad[number] == "trouble" else "ValueError"
        assert failure.exception_type == kind
    report = dbgkit.failures(limit=None)
    told = {key for group in report.groups for key in group.keys if key in truth.keys}
    assert told <= truth.raised


@pytest.mark.parametrize("kind", ["inproc", "processes"])
def test_what_failed_first_is_found_and_no_look_changes_anything(
    request, kind, tmp_path, monkeypatch
):
    # Others of this machine have files in the usual one.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cluster = request.getfixturevalue(kind)
    rounds = iter(range(1_000_000))

    # Not shrunk: what a look has changed stays so, for all further examples.
    @settings(examples(4), phases=[Phase.generate])
    @given(graphs(), SEEDS)
    def try_one(graph, seed):
        chance = random.Random(seed)
        names = chance.sample([name for name in LOOKS if name not in SLOW], 8)
        names += [name for name in SLOW if chance.random() < 0.3]
        with Client(cluster) as client:
            truth = Truth(client, graph, next(rounds))
            fallen = [n for n in truth.futures if truth.roots[n]]
            settle(client)
            # What the first look puts on the scheduler for good is there by now.
            dbgkit.failures()
            before = everything(client, cluster, truth)
            check_found(truth)
            check_unchanged(before, client, cluster, truth, "to locate all of them")
            for name in names:
                n = chance.choice(fallen or list(truth.futures))
                note(f"{name} of {truth.keys[n]!r}")
                look(name, truth, n)
                check_unchanged(before, client, cluster, truth, name)
            del truth

    try_one()
