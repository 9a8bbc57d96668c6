"""`tasks()`: rows of tasks; filtered first, cut after."""

from __future__ import annotations

import asyncio

import pytest
from conftest import own_cluster
from distributed import Client, Event, wait
from tasks import add, boom, inc
from watching import unchanged

import dbgkit
from dbgkit.errors import UnknownName
from dbgkit.remote.common import pacing


def hold(name):
    Event(f"{name}-held").set()
    Event(name).wait(60)
    return 1


def nothing(size):
    return bytes(size)


def keys_of(table):
    return [row.key for row in table.rows]


@pytest.fixture(scope="module", params=[True, False], ids=["processes", "inproc"])
def mixed(request):
    """Seven tasks in five states, on a cluster of their own."""
    with own_cluster(processes=request.param) as client:
        done = client.submit(nothing, 3_000, key=("load-1", 0))
        small = client.submit(nothing, 10, key=("load-1", 1))
        bad = client.submit(boom, 1, key="bad-1")
        fallen = client.submit(inc, bad, key="fallen-1")
        homeless = client.submit(
            inc, 1, key="homeless-1", resources={"GPU": 2}, workers=["nowhere"]
        )
        waiting = client.submit(add, homeless, done, key="waiting-1")
        busy = client.submit(hold, "mixed", key="busy-1", retries=3)
        wait([done, small, bad, fallen])
        # It is being processed, and the worker's own client has connected.
        assert Event("mixed-held", client=client).wait(30)
        yield client
        Event("mixed", client=client).set()
        busy.result(30)
        del waiting


# -- rows --------------------------------------------------------------------


def test_each_task_is_a_row_with_what_the_scheduler_knows(mixed):
    with unchanged(mixed, settled=False):
        table = dbgkit.tasks(client=mixed)
    rows = {row.key: row for row in table.rows}
    assert (table.matched, table.omitted, len(rows)) == (7, 0, 7)
    homeless = rows["homeless-1"]
    assert (homeless.state, homeless.prefix) == ("no-worker", "homeless")
    assert homeless.restrictions == "hosts: nowhere; resources: GPU 2"
    assert (homeless.dependents, homeless.workers) == (1, ())
    assert rows["waiting-1"].waiting_on == 1
    bad = rows["bad-1"]
    assert (bad.exception, bad.blame) == ("ValueError('cannot take 1')", None)
    assert len(bad.workers) == 1
    fallen = rows["fallen-1"]
    assert (fallen.state, fallen.exception, fallen.blame) == ("erred", "", "bad-1")
    loaded = rows["load-1", 0]
    assert (loaded.state, len(loaded.workers)) == ("memory", 1)
    assert loaded.nbytes >= 3_000
    busy = rows["busy-1"]
    assert (busy.state, busy.retries, busy.nbytes) == ("processing", 3, None)
    assert 0 <= busy.since < 60


def test_all_tasks_are_summed_by_prefix_and_state(mixed):
    table = dbgkit.tasks(client=mixed, state="memory", limit=1)
    assert table.summary == {
        "load": {"memory": 2},
        "bad": {"erred": 1},
        "fallen": {"erred": 1},
        "homeless": {"no-worker": 1},
        "waiting": {"waiting": 1},
        "busy": {"processing": 1},
    }


def test_time_in_state_is_empty_where_the_log_has_rolled_over(inproc_client):
    future = inproc_client.submit(inc, 1, key="finished-1")
    wait(future)
    inproc_client.run_on_scheduler(clear_log)
    (row,) = dbgkit.tasks(client=inproc_client, keys="finished-1").rows
    assert row.since is None


def clear_log(dask_scheduler):
    dask_scheduler.transition_log.clear()


# -- filters -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"state": "memory"}, {("load-1", 0), ("load-1", 1)}),
        ({"state": ["waiting", "no-worker"]}, {"waiting-1", "homeless-1"}),
        ({"prefix": "load"}, {("load-1", 0), ("load-1", 1)}),
        ({"prefix": ["bad", "busy"]}, {"bad-1", "busy-1"}),
        ({"prefix": "load", "state": "erred"}, set()),
        ({"failed": True}, {"bad-1"}),
        ({"failed": False, "state": "erred"}, {"fallen-1"}),
        ({"keys": "load-*"}, set()),
        ({"keys": "*load-*"}, {("load-1", 0), ("load-1", 1)}),
        ({"keys": "*ing-?"}, {"waiting-1"}),
        ({"keys": "bad-1"}, {"bad-1"}),
        ({"keys": "('load-1', 1)"}, {("load-1", 1)}),
        ({"keys": "['load-1', 1]"}, {("load-1", 1)}),
        ({"keys": ("load-1", 1)}, {("load-1", 1)}),
        ({"keys": ["bad-1", ("load-1", 0)]}, {"bad-1", ("load-1", 0)}),
        ({"keys": ["bad-1", "busy-1"], "state": "erred"}, {"bad-1"}),
    ],
    # The order of a set is another in each process, and so would be a test's name.
    ids=lambda value: str(sorted(value, key=str) if isinstance(value, set) else value),
)
def test_filters(mixed, options, expected):
    table = dbgkit.tasks(client=mixed, **options)
    assert set(keys_of(table)) == expected
    assert table.matched == len(expected)


def test_a_worker_by_its_address_and_by_its_name(mixed):
    (bad,) = dbgkit.tasks(client=mixed, keys="bad-1").rows
    address = bad.workers[0]
    workers = mixed.scheduler_info(n_workers=-1)["workers"]
    for name in (address, workers[address]["name"]):
        rows = dbgkit.tasks(client=mixed, worker=name).rows
        assert "bad-1" in [row.key for row in rows]
        assert {row.workers for row in rows} == {(address,)}


def test_futures_stand_for_their_keys(inproc_client):
    futures = inproc_client.map(inc, range(3))
    wait(futures)
    table = dbgkit.tasks(client=inproc_client, keys=futures[:2])
    assert keys_of(table) == [future.key for future in futures[:2]]


def test_a_key_that_looks_like_a_pattern_is_a_key(inproc_client):
    future = inproc_client.submit(inc, 1, key="[/a/b]*")
    other = inproc_client.submit(inc, 2, key="/x")
    wait([future, other])
    assert keys_of(dbgkit.tasks(client=inproc_client, keys="[/a/b]*")) == ["[/a/b]*"]


# -- order, limit ------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("nbytes", ("load-1", 0)),
        ("-nbytes", ("load-1", 1)),
        ("key", ("load-1", 0)),  # "('load-1', 0)" comes before all letters
        ("-key", "waiting-1"),
        ("retries", "busy-1"),
        ("waiting_on", "waiting-1"),
        ("state", "bad-1"),
        ("restrictions", "homeless-1"),
        ("exception", "bad-1"),
    ],
)
def test_sort(mixed, sort, first):
    table = dbgkit.tasks(client=mixed, sort=sort)
    assert table.rows[0].key == first
    assert table.matched == len(table.rows) == 7


def test_what_has_no_value_comes_last_either_way(mixed):
    for sort in ("nbytes", "-nbytes"):
        sizes = [row.nbytes for row in dbgkit.tasks(client=mixed, sort=sort).rows]
        assert None not in sizes[:2] and set(sizes[2:]) == {None}


def test_the_longest_in_its_state_comes_first(mixed):
    ages = [row.since for row in dbgkit.tasks(client=mixed, sort="since").rows]
    assert ages == sorted(ages, reverse=True)


def test_what_is_over_the_limit_is_counted(mixed):
    table = dbgkit.tasks(client=mixed, limit=2)
    assert (len(table.rows), table.matched, table.omitted) == (2, 7, 5)
    table = dbgkit.tasks(client=mixed, limit=0)
    assert (table.rows, table.matched, table.omitted) == ((), 7, 7)
    assert len(dbgkit.tasks(client=mixed, limit=None).rows) == 7


# -- names that there are not ------------------------------------------------


@pytest.mark.parametrize(
    ("options", "nearest"),
    [({"state": "error"}, "erred"), ({"sort": "nbyte"}, "nbytes")],
)
def test_an_unknown_state_or_column_names_the_nearest(inproc_client, options, nearest):
    with pytest.raises(UnknownName, match=f"did you mean '{nearest}'"):
        dbgkit.tasks(client=inproc_client, **options)


def test_unknown_keys_prefixes_and_workers_are_said(inproc_client):
    future = inproc_client.submit(inc, 1, key="loading-1")
    wait(future)
    table = dbgkit.tasks(client=inproc_client, prefix="loadin")
    assert table.notes == ("prefix 'loadin' does not exist; did you mean 'loading'?",)
    table = dbgkit.tasks(client=inproc_client, worker="tcp://nowhere")
    assert (table.matched, len(table.notes)) == (0, 1)
    table = dbgkit.tasks(client=inproc_client, keys=["loading-1", "x", ("y", 1)])
    assert table.matched == 1
    assert table.notes == ("no such task: 'x', ('y', 1)",)


# -- other forms -------------------------------------------------------------


def test_rows_as_a_pandas_frame(mixed):
    pd = pytest.importorskip("pandas")
    frame = dbgkit.tasks(client=mixed, sort="nbytes").to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 7
    assert list(frame.columns[:3]) == ["key", "state", "prefix"]
    assert frame["key"][0] == ("load-1", 0)


def test_an_asynchronous_client_gives_an_awaitable(inproc):
    async def ask():
        async with Client(inproc.scheduler_address, asynchronous=True) as client:
            future = client.submit(inc, 3, key="asked-1")
            await wait(future)
            return await dbgkit.tasks(client=client, keys="asked-*")

    assert keys_of(asyncio.run(ask())) == ["asked-1"]


# -- slices ------------------------------------------------------------------


class State:
    """What `all_tasks` needs of a scheduler, and what forgets tasks."""

    def __init__(self, count):
        self.tasks = {index: [index] for index in range(count)}
        self.forgotten = 0

    def forget(self, keys):
        for key in keys:
            del self.tasks[key]
            self.forgotten += 1


def seen_by(state, changes):
    """All that a pass sees, while something changes at each yield to the loop."""
    seen = []

    async def go():
        async for part in pacing.all_tasks(state, pacing.Pace()):
            seen.extend(task[0] for task in part)

    passing = go()
    try:
        while True:
            passing.send(None)
            next(changes, None)
    except StopIteration:
        return seen


@pytest.mark.parametrize("gone", ["first", "last", "both", "middle", "none"])
@pytest.mark.parametrize("added", [0, 1, 500])
def test_what_is_there_throughout_is_seen_once_while_others_come_and_go(
    monkeypatch, gone, added
):
    # GIVEN so many tasks that they are listed in two parts
    monkeypatch.setattr(pacing, "AT_ONCE", 100)
    monkeypatch.setattr(pacing, "PAUSE", 0.0)
    state = State(2_000)
    pacing.count_with(state, state)
    before = set(state.tasks)
    leave = {
        "first": range(0, 300),
        "last": range(1_700, 2_000),
        "both": [*range(700, 900), *range(1_200, 1_300)],
        "middle": range(900, 1_100),
        "none": [],
    }[gone]

    def changes():
        for step in range(20):
            state.forget([key for key in leave if key % 20 == step])
            new = range(10_000 + step * added, 10_000 + (step + 1) * added)
            state.tasks.update({key: [key] for key in new})
            yield

    # WHEN others come and go at each yield
    seen = seen_by(state, changes())
    # THEN what was there from first to last was seen exactly once
    staying = before - set(leave)
    assert sorted(key for key in seen if key in staying) == sorted(staying)
    assert len(seen) == len(set(seen))
