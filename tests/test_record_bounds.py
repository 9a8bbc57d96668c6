"""A recording is bounded, and so is what is held of many."""

from __future__ import annotations

import gc
import os
import random
import string
import weakref
from time import perf_counter

import pytest
from conftest import own_cluster
from distributed import wait

import dbgkit
from dbgkit.remote.recording.packing import pack, unpack
from dbgkit.remote.recording.take import Limits, take
from dbgkit.remote.scheduler.recordings_store import RecordStore

WIRE = 256_000


def noise(length):
    """A text that does not compress."""
    return "".join(random.choices(string.ascii_letters + string.digits, k=length))


def deep(depth):
    """Frames full of locals."""
    a, b, c, d, e, f, g, h = ([noise(500) for _ in range(6)] for _ in range(8))
    i, j, k, m, n, o, p, q = ([noise(500) for _ in range(6)] for _ in range(8))
    if depth:
        deep(depth - 1)
    raise ValueError("at the bottom")
    return a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q


def recurse(depth):
    if depth:
        return recurse(depth - 1)
    raise ValueError("at the bottom")


def failure(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError("it should have failed")


class Held:
    """What a task has as a local, and is told of when it goes."""


REFERENCES: list[weakref.ref] = []


def fail_with_held(number):
    held = Held()
    held.itself = held
    REFERENCES.append(weakref.ref(held))
    raise ValueError(f"bad {number}", held)


def alive():
    gc.collect()
    return sum(reference() is not None for reference in REFERENCES)


def fail_alike(number):
    raise ValueError(f"bad {number}")


@pytest.fixture(scope="module")
def client():
    """A client of a cluster with the recorder on."""
    with (
        own_cluster(n_workers=1, threads_per_worker=1) as client,
        dbgkit.record(client=client, time="10 s"),
    ):
        yield client


def test_a_recording_keeps_within_its_size_on_the_wire(client):
    wait(client.submit(deep, 29, key="deep"))
    held = dbgkit.recordings("deep", client=client)
    assert 0 < held.held <= WIRE
    (recording,) = held.recordings
    assert recording.left_out > 0
    # The innermost frame is the last to lose any.
    names = [name for name, _ in recording.frames[-1].locals]
    assert set("abcdefghijkmnopq") <= set(names)
    assert sum(frame.omitted_locals for frame in recording.frames) > 0


@pytest.mark.parametrize("nbytes", [256_000, 60_000, 9_000, 3_000])
def test_packing_takes_few_rounds_whatever_the_limit(nbytes):
    recording = take(failure(deep, 29), Limits(seconds=10), short=False)
    began = perf_counter()
    packed, left_out = pack(recording, nbytes)
    assert perf_counter() - began < 1
    assert len(packed) <= nbytes
    assert left_out > 0
    if packed:
        assert unpack(packed)["exception_type"] == "ValueError"


def test_a_traceback_of_many_frames_is_cut_in_the_middle():
    began = perf_counter()
    recording = take(failure(recurse, 900), Limits(), short=False)
    assert perf_counter() - began < 1
    text = recording["traceback_text"]
    assert "… 802 more frames" in text
    assert text.endswith('raise ValueError("at the bottom")')
    assert len(recording["frames"]) == 31  # with one for those left out


def module_of(source, path):
    """What a file of this source has."""
    path.write_text(source)
    space: dict = {}
    exec(compile(source, str(path), "exec"), space)
    return space


def test_of_a_long_traceback_the_innermost_frames_are_told(tmp_path):
    steps = [f"def f{n}(*a):\n    f{n + 1}('{'z' * 200}')\n" for n in range(100)]
    source = "".join(steps) + "def f100(*a):\n    raise ValueError('innermost')\n"
    space = module_of(source, tmp_path / "long.py")
    text = take(failure(space["f0"]), Limits(), short=False)["traceback_text"]
    assert len(text) <= 20_100
    assert text.endswith("in f100\n    raise ValueError('innermost')")
    shown = text.count("  File ")
    assert f"… {102 - shown} more frames" in text


def test_source_lines_as_long_as_a_file_cost_little(tmp_path):
    line = "x = '" + "a=b, " * 200_000 + "'; "
    source = (
        f"def f(n):\n    {line}g(n)\ndef g(n):\n    {line}f(n - 1) if n else 1 / 0\n"
    )
    space = module_of(source, tmp_path / "wide.py")
    error = failure(space["f"], 100)
    began = perf_counter()
    recording = take(error, Limits(), short=False)
    assert perf_counter() - began < 1
    assert len(recording["traceback_text"]) <= 20_100


def test_names_are_bounded():
    space: dict = {}
    name = "f" * 100_000
    exec(f"class {name}(Exception): pass\ndef {name}2(): raise {name}('x')", space)
    recording = take(failure(space[f"{name}2"]), Limits(), short=False)
    assert len(pack(recording, WIRE)[0]) < 10_000
    assert len(recording["kind"]) < 1_000


def test_after_the_tenth_of_a_kind_recordings_are_short(client):
    futures = [client.submit(fail_alike, n, key=f"alike-{n}") for n in range(12)]
    wait(futures)
    held = dbgkit.recordings([each.key for each in futures], client=client)
    assert len(held) == 12
    assert sum(each.short for each in held.recordings) == 2


def test_no_object_of_the_user_is_kept(client):
    futures = [client.submit(fail_with_held, n) for n in range(20)]
    wait(futures)
    assert len(dbgkit.recordings(client=client, limit=500)) >= 20
    del futures
    # Dask itself holds the last task's frames until it is told otherwise.
    wait(client.submit(os.getpid))
    assert client.run(alive) == dict.fromkeys(client.run(alive), 0)


def event(kind, size, number):
    return {"key": f"{kind}-{number}", "kind": kind, "packed": b"x" * size}


def test_the_oldest_of_the_most_frequent_kind_is_dropped_first_and_counted():
    store = RecordStore("store", 10_000)
    for number in range(3):
        store.add(event("rare", 100, number))
    for number in range(500):
        store.add(event("frequent", 100, number))
    assert store.held <= 10_000
    kept = {kind: [each["key"] for each in held] for kind, held in store.kinds.items()}
    assert kept["rare"] == ["rare-0", "rare-1", "rare-2"]
    assert kept["frequent"][-1] == "frequent-499"
    assert len(kept["frequent"]) + store.counts["dropped"] == 500
    assert store.counts["failures"] == 503
