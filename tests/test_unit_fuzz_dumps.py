"""Whatever stands in a dump, each verb gives an answer or one clear error."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import msgpack
import pytest
from conftest import own_cluster
from distributed import Event, wait
from fuzzing import GONE, WRONG, bounded, damaged, examples, places, with_wrong
from hypothesis import given
from hypothesis import strategies as st
from tasks import add, boom, inc
from watching import state_of, wait_until

import dbgkit
from dbgkit import render
from dbgkit.cluster import dumps
from dbgkit.cluster.view import DumpView
from dbgkit.errors import DbgkitError, DumpUnreadable
from dbgkit.model import WorkerLoad
from dbgkit.render.workers import view_workers


def hold(name):
    Event(name).wait(60)


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    """A small dump that has tasks in many states, as bytes and as data."""
    folder = tmp_path_factory.mktemp("dumps")
    with own_cluster(processes=False, n_workers=1) as client:
        bad = client.map(boom, range(2), key=[("bad-1", n) for n in range(2)])
        fallen = client.submit(inc, bad[1], key="fallen-1")
        done = client.submit(inc, 1, key=("done-1", 0))
        homeless = client.submit(inc, 1, key="homeless-1", resources={"GPU": 2})
        waiting = client.submit(add, homeless, done, key="waiting-1")
        busy = client.submit(hold, "fuzzed", key="busy-1")
        wait([*bad, fallen, done])
        wait_until(
            lambda: client.run_on_scheduler(state_of, key="busy-1") == "processing",
            "it is being processed",
        )
        client.dump_cluster_state(str(folder / "state"))
        client.dump_cluster_state(str(folder / "state"), format="yaml")
        Event("fuzzed").set()
        busy.result(30)
        del waiting
    packed = (folder / "state.msgpack.gz").read_bytes()
    content = msgpack.unpackb(gzip.decompress(packed), strict_map_key=False)
    for each in content["workers"].values():
        del each["config"]
    raw = msgpack.packb(content)
    text = (folder / "state.yaml").read_bytes()
    # Not of what nobody reads.
    unread = ("versions", "events", "thread_id", "transfer_incoming_log")
    where = [path for path in places(content) if not set(path) & set(unread)]
    # The test of yaml is of its own bytes, and msgpack's is quick to read.
    return SimpleNamespace(
        content=content, where=where, raw=raw, packed=packed, yaml=text, folder=folder
    )


TARGETS = [None, "waiting-1", "fallen-1", "busy-1", ("bad-1", 0), ("done-1", 0)]


def ask_all(path):
    """Ask a dump all that it can be asked; each answer can be shown."""
    try:
        view = DumpView(path)
    except DbgkitError as error:
        assert str(error)
        return 0
    questions = [
        lambda: dbgkit.failures(view=view),
        lambda: dbgkit.tasks(view=view, sort="since"),
        lambda: dbgkit.doctor(view=view),
        lambda: dbgkit.deaths(view=view),
        *(lambda key=key: dbgkit.why(key, view=view) for key in TARGETS),
        *(lambda key=key: dbgkit.story(key, view=view) for key in TARGETS[1:]),
    ]
    answers = 0
    for question in questions:
        try:
            answer = question()
        except DbgkitError as error:
            assert str(error)
            continue
        assert render.to_text(answer)
        answers += 1
    try:
        table = view.ask("workers", {"limit": 10})
    except DbgkitError as error:
        assert str(error)
        return answers
    assert view_workers(list(map(WorkerLoad.from_wire, table["rows"])), 0).sentence
    return answers + 1


def test_what_is_whole_is_answered(dumped):
    path = dumped.folder / "whole.msgpack"
    path.write_bytes(dumped.raw)
    assert ask_all(path) == 16


@pytest.mark.parametrize("delay", [251606566638.0, -9e18, 9e18, 3.5])
def test_a_clock_may_be_off_by_any_number(dumped, delay):
    (*_, place) = [place for place in dumped.where if place[-1] == "time_delay"]
    content = with_wrong(dumped.content, place, delay)
    path = dumped.folder / "off.msgpack"
    path.write_bytes(msgpack.packb(content, unicode_errors="surrogatepass"))
    assert ask_all(path) == 16


def test_anything_may_stand_anywhere(dumped):
    path = dumped.folder / "wrong.msgpack"

    @examples(150)
    @given(st.sampled_from(dumped.where), WRONG)
    def try_one(place, wrong):
        content = with_wrong(dumped.content, place, wrong)
        path.write_bytes(msgpack.packb(content, unicode_errors="surrogatepass"))
        with bounded():
            ask_all(path)

    try_one()


@pytest.mark.parametrize("form", ["raw", "packed", "yaml"])
def test_bytes_may_be_damaged(dumped, form):
    path = dumped.folder / f"damaged-{form}"

    @examples(50)
    @given(damaged(getattr(dumped, form)))
    def try_one(data):
        path.write_bytes(data)
        with bounded():
            ask_all(path)

    try_one()


@examples(100)
@given(st.binary(max_size=200))
def test_bytes_may_be_any(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any"
    for start in (b"", b"\x82", b"\x1f\x8b\x08", b"scheduler:"):
        path.write_bytes(start + data)
        with bounded(), pytest.raises(DumpUnreadable):
            DumpView(path)


def test_a_field_of_each_kind_that_is_wrong_is_named(dumped):
    path = dumped.folder / "named.msgpack"
    for place, wrong, said in [
        (("tasks", "waiting-1", "state"), GONE, "'waiting-1' has no 'state'"),
        (("tasks", "waiting-1", "key"), {}, "has a dict as 'key'"),
        (("tasks",), [], "a list as 'tasks'"),
        (("workers",), {1: {}}, "its workers are a dict"),
        (("task_groups", "bad-1"), 7, "7 stands where a part"),
        (("clients", "fire-and-forget", "last_seen"), float("nan"), "nan as"),
    ]:
        content = with_wrong(dumped.content, ("scheduler", *place), wrong)
        path.write_bytes(msgpack.packb(content))
        with pytest.raises(DumpUnreadable, match=said):
            DumpView(path)


YAML = """\
scheduler:
  address: a
  clients: {{}}
  tasks: {tasks}
  workers: {{}}
workers: {{}}
"""


@pytest.mark.parametrize(
    "tasks",
    [
        "&a [*a]",
        "{x: {key: &a [*a], state: erred}}",
        "{x: {key: x, state: erred, erred_on: &a [*a]}}",
        "{x: &a {key: x, state: *a}}",
        "!!int abc",
        "!!timestamp abc",
        "!!bool abc",
        "!!float abc",
        "!!int ''",
        "!!python/object:os.system {}",
        "{? {a: 1} : 2}",
        "[" * 900 + "]" * 900,
        "{x: {key: " + "[" * 900 + "]" * 900 + ", state: erred}}",
        "[" * 100_000,
        # Each line ten times the one before.
        "{x: {key: [&a [x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], "
        + ", ".join(
            f"&{chr(n + 1)} [{','.join([f'*{chr(n)}'] * 10)}]" for n in range(98, 110)
        )
        + "], state: erred}}",
    ],
)
def test_yaml_may_go_round_in_circles_and_be_malformed(tmp_path, tasks):
    path = tmp_path / "state.yaml"
    path.write_text(YAML.format(tasks=tasks))
    with bounded(), pytest.raises(DbgkitError):
        dbgkit.failures(view=path)
        dbgkit.why(view=path)
        dbgkit.tasks(view=path)
        pytest.fail("nothing was wrong with it")


def test_a_circle_that_nobody_follows_is_none(tmp_path):
    path = tmp_path / "state.yaml"
    path.write_text(
        YAML.format(tasks="{x: {key: x, state: erred, metadata: &a {a: *a}}}")
    )
    with bounded():
        (row,) = dbgkit.tasks(view=path).rows
        assert (row.key, row.state) == ("x", "erred")


# -- sizes ---------------------------------------------------------------------


def with_little_memory(tmp_path, code, **names):
    """Run code in a process that may take 2 GB of addresses; gives what it printed."""
    start = """
        import resource, sys
        resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
        import dbgkit
        from dbgkit.errors import DumpUnreadable
    """
    text = textwrap.dedent(start) + textwrap.dedent(code)
    for name, value in names.items():
        text = text.replace(name, repr(str(value)))
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=os.getcwd(),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


ASK = """
try:
    dbgkit.failures(view=PATH)
except DumpUnreadable as error:
    print(error)
"""


def test_a_dump_that_explodes_as_it_is_unpacked_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.msgpack.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\x82")
        for _ in range(30):
            file.write(bytes(2**24))
    monkeypatch.setattr(dumps, "most_bytes", lambda: 2**25)
    with bounded(), pytest.raises(DumpUnreadable, match="holds more than 32 MiB"):
        dbgkit.failures(view=path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process")
@pytest.mark.parametrize("kind", ["arrays", "maps"])
def test_counts_that_are_made_up_take_no_memory(tmp_path, kind):
    path = tmp_path / "counts.msgpack"
    head = b"\xdd\x00\x3f\xff\xff" if kind == "arrays" else b"\xdf\x00\x1f\xff\xff\xa0"
    path.write_bytes(b"\x82\xa9scheduler" + head * 1_000 + b"\xc0" * 2**22)
    said = with_little_memory(tmp_path, ASK, PATH=path)
    assert "cut off" in said or "damaged" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with bounded(), pytest.raises(DumpUnreadable, match="is not a file"):
            dbgkit.failures(view=path)
