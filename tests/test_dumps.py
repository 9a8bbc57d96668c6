"""Cluster dumps: the same words as live, both spellings, clear errors, no secrets."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import dask
import msgpack
import pytest
from conftest import own_cluster
from distributed import Event, wait
from tasks import add, boom, inc, ratio
from watching import state_of, wait_until

import dbgkit
from dbgkit.cluster.dumps import read_dump
from dbgkit.cluster.view import DumpView
from dbgkit.errors import DbgkitError, DumpUnreadable, WrongTarget

SECRET = "hunter2-and-more"
ODD = "[/a/b] 'x'\n\"é\""


def hold(name):
    Event(name).wait(60)
    return 1


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    """A cluster in many states, and dumps of that moment in both formats."""
    folder = tmp_path_factory.mktemp("dumps")
    secret = {"my-service": {"password": SECRET, "nested": {"api-key": SECRET}}}
    with dask.config.set(secret), own_cluster(processes=False) as client:
        bad = client.map(boom, range(12), key=[("bad-1", n) for n in range(12)])
        fallen = client.submit(inc, bad[3], key="fallen-1")
        zero = client.submit(ratio, 1, 0, key=ODD)
        done = client.submit(inc, 1, key=("done-1", 0))
        homeless = client.submit(inc, 1, key="homeless-1", resources={"GPU": 2})
        waiting = client.submit(add, homeless, done, key="waiting-1")
        busy = client.submit(hold, "dumped", key="busy-1")
        wait([*bad, fallen, zero, done])
        wait_until(
            lambda: client.run_on_scheduler(state_of, key="busy-1") == "processing",
            "it is being processed",
        )
        paths = {}
        for kind, suffix in (("msgpack", ".msgpack.gz"), ("yaml", ".yaml")):
            client.dump_cluster_state(str(folder / "state"), format=kind)
            paths[kind] = folder / f"state{suffix}"
        yield SimpleNamespace(client=client, paths=paths, folder=folder)
        Event("dumped", client=client).set()
        busy.result(30)
        del waiting


@pytest.fixture(params=["msgpack", "yaml"])
def path(request, dumped):
    return dumped.paths[request.param]


# -- the same words ----------------------------------------------------------


def test_failures_say_the_same_as_live(dumped, path):
    live = dbgkit.failures(client=dumped.client)
    report = dbgkit.failures(view=path)
    said = [
        [
            # The log is a moment later, so that of those that failed together other
            # ones may be the earliest; and no dump holds what was recorded, nor what
            # the tasks are made of.
            {
                **group,
                **dict.fromkeys(("first", "last", "recording", "came_from")),
                "keys": len(group["keys"]),
            }
            for group in each.to_json()["groups"]
        ]
        for each in (live, report)
    ]
    assert said[0] == said[1]
    assert (report.total, report.cascaded) == (live.total, live.cascaded) == (13, 1)
    for one, other in zip(live.groups, report.groups, strict=True):
        assert abs((one.first - other.first).total_seconds()) < 1
        assert one.example.name == other.example.name
    # AND what no dump holds is said
    assert any("a dump does not hold" in note for note in report.notes)


@pytest.mark.parametrize("sort", ["key", "-key", "dependents"])
def test_tasks_say_the_same_as_live(dumped, path, sort):
    live = dbgkit.tasks(client=dumped.client, sort=sort)
    table = dbgkit.tasks(view=str(path), sort=sort)
    rows = [
        {row.key: replace(row, since=None) for row in each.rows}
        for each in (live, table)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == live.matched == table.matched == 18
    assert live.summary == table.summary
    ages = {row.key: row.since for row in table.rows}
    for row in live.rows:
        assert (row.since is None) == (ages[row.key] is None)


def test_both_spellings_of_a_key_are_found(path):
    for spelling in ("('bad-1', 3)", "['bad-1', 3]", ("bad-1", 3)):
        (row,) = dbgkit.tasks(view=path, keys=spelling).rows
        assert row.key == ("bad-1", 3)
    assert dbgkit.tasks(view=path, keys=ODD).rows[0].key == ODD


def test_tasks_are_linked_as_on_the_scheduler(path):
    state = read_dump(path)
    tasks = state.tasks
    fallen, bad = tasks["fallen-1"], tasks["bad-1", 3]
    assert fallen.exception_blame is bad and bad.exception_blame is bad
    assert fallen.dependencies == {bad} and bad.dependents == {fallen}
    waiting = tasks["waiting-1"]
    assert waiting.waiting_on == {tasks["homeless-1"]}
    assert tasks["homeless-1"].resource_restrictions == {"GPU": 2}
    worker = tasks["busy-1"].processing_on
    assert tasks["busy-1"] in worker.processing
    assert worker.status.name == "running"
    (holder,) = tasks["done-1", 0].who_has
    assert holder in state.workers.values()
    (client,) = tasks["done-1", 0].who_wants
    assert tasks["done-1", 0] in client.wants_what
    assert tasks["bad-1", 3].group.states["erred"] == 12
    assert state.task_prefixes["bad"].states["erred"] == 12
    assert state.transition_log[0].key in tasks


# -- what cannot be done -----------------------------------------------------


def test_a_failure_of_a_dump_cannot_be_replayed(path):
    (group, _) = dbgkit.failures(view=path).groups
    assert any("cannot be replayed" in note for note in group.example.notes)
    with pytest.raises(DbgkitError, match="dump"):
        dbgkit.replay(group)


def test_a_dump_and_a_client_at_once_are_refused(dumped, path):
    with pytest.raises(WrongTarget, match="view= and client="):
        dbgkit.failures(view=path, client=dumped.client)


def test_a_span_is_known_by_its_id_only(path):
    ids = {group.span_id for group in read_dump(path).task_groups.values()}
    total = sum(dbgkit.failures(view=path, span=each).total for each in ids if each)
    assert total == 13
    report = dbgkit.failures(view=path, span="default")
    assert report.total == 0
    assert any("only by their ids" in note for note in report.notes)


# -- secrets -----------------------------------------------------------------


def test_secrets_of_the_configuration_are_not_given(dumped, path):
    # GIVEN a dump that has them
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    assert SECRET.encode() in content
    # THEN neither the state, nor a single setting, gives them
    state = read_dump(path)
    assert SECRET not in str(state.worker_dumps)
    assert state.setting("my-service.password") is None
    assert state.setting("my-service.nested.api-key") is None
    assert state.setting("distributed.scheduler.allowed-failures") == 3
    for answer in (dbgkit.failures(view=path), dbgkit.tasks(view=path)):
        assert SECRET not in json.dumps(answer.to_json())


# -- files that are none -----------------------------------------------------


def test_a_missing_file(tmp_path):
    with pytest.raises(DumpUnreadable, match=r"none\.msgpack\.gz' does not exist;"):
        dbgkit.failures(view=tmp_path / "none.msgpack.gz")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x00\x01\x02",
        b"%PDF-1.7\n",
        b"\x80\x04\x95",  # a pickle
        b"other: 1\n",
        b"scheduler: 1\n",
        json.dumps({"scheduler": {}}).encode(),
        msgpack.packb({"scheduler": {}, "workers": {}}),
        msgpack.packb({"scheduler": {"tasks": 1, "workers": 2}, "workers": {}}),
        msgpack.packb([1, 2]),
        gzip.compress(b"hello", mtime=0),
    ],
    ids=repr,
)
def test_a_file_that_is_no_dump(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DumpUnreadable):
        dbgkit.failures(view=path)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_a_truncated_dump(dumped, tmp_path, path, part):
    content = path.read_bytes()
    cut = tmp_path / path.name
    cut.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DumpUnreadable, match="cut off"):
        dbgkit.failures(view=cut)


def test_yaml_that_ends_between_two_lines_is_truncated_too(dumped, tmp_path):
    lines = dumped.paths["yaml"].read_bytes().splitlines(keepends=True)
    for missing in (1, 100, len(lines) // 3, len(lines) - 10):
        cut = tmp_path / "cut.yaml"
        cut.write_bytes(b"".join(lines[:-missing]))
        with pytest.raises(DumpUnreadable, match="cut off"):
            dbgkit.failures(view=cut)


def test_a_truncated_dump_that_was_unpacked(dumped, tmp_path):
    content = gzip.decompress(dumped.paths["msgpack"].read_bytes())
    cut = tmp_path / "state.msgpack"
    cut.write_bytes(content)
    assert dbgkit.failures(view=cut).total == 13
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(DumpUnreadable, match="cut off"):
        dbgkit.failures(view=cut)


# -- harm --------------------------------------------------------------------


def test_a_retry_that_healed_is_known_by_what_it_used_up(harmable, tmp_path):
    with harmable(processes=False) as client:
        once = client.submit(fails_once, str(tmp_path / "flag"), retries=1, key="once")
        assert once.result() == 1
        client.dump_cluster_state(str(tmp_path / "dump"))
    report = dbgkit.failures(view=tmp_path / "dump.msgpack.gz")
    assert (report.total, report.healed, report.healed_keys) == (0, 1, ("once",))


def test_what_a_dump_does_not_tell_of_a_killer_is_said(harmable, tmp_path):
    with harmable(n_workers=1, threads_per_worker=1) as client:
        client.run_on_scheduler(allow_no_failures)
        killer = client.submit(os._exit, 3, key="killer", pure=False)
        wait(killer)
        client.dump_cluster_state(str(tmp_path / "dump"))
        live = dbgkit.failures(client=client)
    report = dbgkit.failures(view=tmp_path / "dump.msgpack.gz")
    assert live.groups[0].exception_type == "KilledWorker"
    # The scheduler's own setting is in no dump, so that one death may be too few.
    assert report.groups[0].exception_type == ""
    assert any("class of 1" in note for note in report.notes)
    assert report.total == live.total == 1


def fails_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise OSError("not there yet")
    return 1


def allow_no_failures(dask_scheduler):
    dask_scheduler.allowed_failures = 0


def test_a_worker_that_does_not_answer_is_named(dumped, tmp_path):
    # GIVEN a dump in which one worker's part is an error's text, as Dask writes it
    content = msgpack.unpackb(
        gzip.decompress(dumped.paths["msgpack"].read_bytes()), strict_map_key=False
    )
    address = next(iter(content["workers"]))
    content["workers"][address] = "OSError('timed out')"
    path = tmp_path / "state.msgpack"
    path.write_bytes(msgpack.packb(content))
    # THEN it is still read
    view = DumpView(path)
    assert view.state.silent_workers == (address,)
    assert view.state.workers[address].own is None
    assert dbgkit.failures(view=view).total == 13
