"""Tracebacks as bounded frames, with source and locals."""

from __future__ import annotations

import json
import linecache
import sys
from time import perf_counter, sleep

from dbgkit.model import FrameSummary
from dbgkit.remote.values.summarize import (
    OMITTED,
    pick_places,
    summarize_frames,
    summarize_places,
)


def traceback_of(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error.__traceback__.tb_next
    raise AssertionError("it should have failed")


def ratio(a, b):
    password = "hunter2"
    return a / b, password


def inner(frame_number):
    raise ValueError(frame_number)


def recurse(n):
    if not n:
        inner(n)
    recurse(n - 1)


class SleepyRepr:
    def __repr__(self):
        sleep(60)
        return ""


def many_locals():
    for number in range(60):
        exec(f"v{number} = SleepyRepr()")
    a = b = c = SleepyRepr()
    raise ValueError(a, b, c)


def test_a_frame_has_place_source_and_locals():
    (wire,) = summarize_frames(traceback_of(ratio, 5, 0))
    frame = FrameSummary.from_wire(wire)
    assert (frame.filename, frame.function, frame.own) == (__file__, "ratio", True)
    assert dict(frame.source)[frame.lineno] == "    return a / b, password"
    assert [(name, value.text) for name, value in frame.locals] == [
        ("a", "5"),
        ("b", "0"),
        ("password", "<hidden>"),
    ]


def test_source_stays_within_the_function_and_hides_secrets():
    (wire,) = summarize_frames(traceback_of(ratio, 5, 0))
    assert [line for _, line in wire["source"]] == [
        "def ratio(a, b):",
        '    password = "<hidden>"',
        "    return a / b, password",
    ]


def test_it_is_of_builtin_types_only():
    json.dumps(summarize_frames(traceback_of(recurse, 3)))


def test_a_deep_traceback_is_cut_in_the_middle_and_counted():
    frames = summarize_places(pick_places(traceback_of(recurse, 200), 9))
    assert [frame["function"] for frame in frames] == [
        *["recurse"] * 3,
        "193 more frames",
        *["recurse"] * 5,
        "inner",
    ]
    gap = FrameSummary.from_wire(frames[3])
    assert (gap.filename, gap.own) == (OMITTED, False)


def test_locals_beyond_the_limit_are_counted():
    places = pick_places(traceback_of(many_locals))
    (frame,) = summarize_places(places, max_locals=2)
    assert len(frame["locals"]) == 2
    assert frame["omitted_locals"] >= 2


def test_machinery_is_left_out():
    from dask.local import get_sync

    tb = traceback_of(get_sync, {"x": (ratio, 5, 0)}, "x")
    assert [frame["function"] for frame in summarize_frames(tb)] == ["ratio"]


def test_machinery_alone_is_shown():
    from dask.utils import parse_bytes

    frames = summarize_frames(traceback_of(parse_bytes, "x"))
    assert frames[-1]["function"] == "parse_bytes"


def test_the_time_is_bounded_whatever_the_locals_are():
    tb = traceback_of(recurse, 500)
    began = perf_counter()
    frames = summarize_places(pick_places(tb, 400), seconds=0.0)
    assert perf_counter() - began < 5
    assert frames[-1]["locals"][0][1]["text"] == "0"  # a number costs nothing


def test_a_module_shows_its_variables_only():
    namespace = {"__name__": "job", "sys": sys, "ratio": ratio, "rows": [1], "_x": 1}
    linecache.cache["<job>"] = (16, None, ["ratio(rows[0], 0)\n"], "<job>")
    code = compile("ratio(rows[0], 0)\n", "<job>", "exec")
    module, _ = summarize_frames(traceback_of(exec, code, namespace))
    assert [name for name, _ in module["locals"]] == ["rows"]
    assert module["source"] == [[1, "ratio(rows[0], 0)"]]


def test_no_traceback_has_no_frames():
    assert summarize_frames(None) == []
