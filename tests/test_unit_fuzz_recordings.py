"""Recordings that nobody of ours wrote: an answer or a gap, and never an error."""

from __future__ import annotations

import zlib

import msgpack
import numpy as np
import pandas as pd
import pytest
from distributed import wait
from fuzzing import WRONG, bounded, damaged, examples, places, with_wrong
from hypothesis import given
from hypothesis import strategies as st

import dbgkit
from dbgkit.cluster.recordings import read_recording
from dbgkit.model import MALFORMED, Recording, recording_from_wire
from dbgkit.model.kept import restore
from dbgkit.remote.recording.packing import FORMAT, pack, unpack
from dbgkit.remote.recording.take import Limits, take

HEADER = {
    "number": 1,
    "key": "the-key",
    "kind": "a kind",
    "exception_type": "ValueError",
    "message": "no",
    "worker": "tcp://127.0.0.1:1",
    "pid": 1,
    "when": 1.7e9,
    "left_out": 0,
    "size": 1,
    "gap": "",
}


def fails(number, frame, array):
    try:
        raise KeyError(number)
    except KeyError as error:
        raise ValueError("no") from error


def recorded():
    """A real one, in wire form."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.RangeIndex(2))
    try:
        fails(7, frame, np.arange(6).reshape(2, 3))
    except ValueError as error:
        return take(error, Limits(seconds=10.0), short=False, inputs={"input": 1})
    raise AssertionError("it should have failed")


CONTENT = {"format": FORMAT, **recorded()}
PACKED = pack(CONTENT, 256_000)[0]
PLACES = list(places(unpack(PACKED)))


def named(key, text):
    return "a task"


def test_a_real_one_is_read_whole():
    notes = []
    found = read_recording(HEADER, PACKED, named, notes)
    assert not (found.gap or notes)
    assert [frame.function for frame in found.frames][-1] == "fails"
    assert found.values[1]["frame"].equals(
        pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.RangeIndex(2))
    )


@examples(200)
@given(data=damaged(PACKED) | st.binary(max_size=200))
def test_any_bytes_are_read_or_are_a_gap(data):
    with bounded(seconds=5.0):
        found = read_recording(HEADER, data, named, [])
    assert isinstance(found, Recording)
    assert found.frames or found.gap


@examples(300)
@given(place=st.sampled_from(PLACES), wrong=WRONG)
def test_a_wrong_value_anywhere_is_a_gap_or_shown(place, wrong):
    content = with_wrong(unpack(PACKED), place, wrong)
    raw = msgpack.packb(content, unicode_errors="surrogatepass")
    with bounded(seconds=5.0):
        found = read_recording(HEADER, zlib.compress(raw, 1), named, [])
        assert isinstance(found, Recording)
        if found.gap:
            assert str(found)


@examples(60)
@given(name=st.sampled_from(sorted(HEADER)), wrong=WRONG)
def test_so_is_a_header(name, wrong):
    """It is left out, or told; that is the caller's to say."""
    header = with_wrong(HEADER, (name,), wrong)
    try:
        read_recording(header, PACKED, named, [])
    except MALFORMED:
        return


def test_what_would_explode_is_not_unpacked():
    bomb = zlib.compress(bytes(2**27), 1)
    with bounded(seconds=10.0, nbytes=400_000_000):
        found = read_recording(HEADER, bomb, named, [])
    assert found.gap == "its content cannot be read"


@pytest.mark.parametrize(
    "kept",
    [
        ["bytearray", 10**12],
        ["series", [None, ["float64", 1.0], ["range", None, [0, 10**12, 1]]]],
        [
            "frame",
            [
                ["range", None, [0, 1, 1]],
                [["float64", [1.0]]],
                ["range", None, [0, 10**12, 1]],
            ],
        ],
        ["array", ["float64", [10**6, 10**6], b"", "C", False]],
        ["array", ["O", [1], b"12345678", "C", False]],
        ["list", [["list", [["nothing", 1]]]]],
        ["no such", 1],
        ["set", [["list", []]]],
    ],
    ids=lambda kept: kept[0],
)
def test_a_value_that_is_no_value_costs_nothing(kept):
    with (
        bounded(seconds=2.0, nbytes=50_000_000),
        pytest.raises((TypeError, ValueError)),
    ):
        restore(kept)
    content = {"kept": [[0, "x", kept]]}
    assert recording_from_wire(HEADER, content, "a task").values == {}


def raises(number):
    raise ValueError(f"bad {number}")


def test_one_that_was_forged_hides_no_other(harmable):
    """Whoever reaches the scheduler can put there what he likes."""

    def forge(dask_scheduler, key):
        forged = 0
        for plugin in dask_scheduler.plugins.values():
            for held in getattr(plugin, "kinds", {}).values():
                for entry in held:
                    if entry.get("key") == key:
                        entry["packed"] = b"not packed"
                        forged += 1
        return forged

    with harmable(n_workers=1, processes=True) as client, dbgkit.record():
        futures = [client.submit(raises, n, key=f"bad-{n}") for n in range(2)]
        wait(futures)
        assert client.run_on_scheduler(forge, key="bad-0") == 1
        held = {one.key: one for one in dbgkit.recordings().recordings}
        assert held["bad-0"].gap == "its content cannot be read"
        assert held["bad-1"].frames and not held["bad-1"].gap
