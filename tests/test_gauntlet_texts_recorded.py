"""Recordings of code that travelled by value: with its own source, or none."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from html import unescape

import pytest
from cells import WITH_PATHS, cells
from distributed import wait

import dbgkit
from dbgkit.debugger.recording import as_exception
from dbgkit.model import FrameSummary
from dbgkit.remote.common.codes import DYNAMIC
from dbgkit.source.shown import Shown

pytestmark = pytest.mark.usefixtures("recorder_off")

FORMS = """
import functools

def plain(x):
    return 1 / x  # plain

def wrapping(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner

@wrapping
def decorated(x):
    return 2 / x  # decorated

def making(n):
    def inside(x):
        return n / x  # closure
    return inside

closure = making(3)
short = lambda x: 4 / x  # lambda

class Model:
    weight = 5
    def predict(self, x):
        return self.weight / x  # method

method = Model().predict
partial = functools.partial(lambda a, x: a / x, 6)  # partial

def generator(x):
    return sum(n / x for n in [7])  # generator
"""
NAMES = {
    "plain": "# plain",
    "decorated": "# decorated",
    "closure": "# closure",
    "short": "# lambda",
    "method": "# method",
    "partial": "# partial",
    "generator": "# generator",
}


def fails(client, function, *args):
    future = client.submit(function, *args, pure=False)
    wait(future)
    return future


def recording_of(client, future):
    (found,) = dbgkit.recordings(future, client=client).recordings
    return found


def pointed(frame):
    """The line that a frame stood at."""
    return dict(frame.source)[frame.lineno]


@pytest.mark.parametrize("name", NAMES)
def test_each_form_has_its_line(recorded, name):
    with cells(FORMS, first=6) as (space,):
        recording = recording_of(recorded, fails(recorded, space[name], 0))
    frame = recording.frames[-1]
    assert NAMES[name] in pointed(frame)
    assert frame.filename.startswith("<ipython-input-6-")
    assert f'File "{frame.filename}", line' in recording.traceback_text
    assert DYNAMIC not in recording.traceback_text


def test_the_prompt_lists_the_source(recorded, monkeypatch, capsys):
    with cells(FORMS, first=6) as (space,):
        future = fails(recorded, space["plain"], 0)
        lines = io.StringIO("l\nll\nw\np x + 41\nq\n")
        monkeypatch.setattr(sys, "stdin", lines)
        dbgkit.debug(future, using="recording", prompt=True)
        out = capsys.readouterr().out
    assert out.count("return 1 / x  # plain") >= 3
    assert "def plain(x):" in out and "41" in out
    assert "[EOF]" not in out


def test_the_printed_card_and_the_page_call_the_cell_what_ipython_does(recorded):
    with cells(FORMS, first=6) as (space,):
        recording = recording_of(recorded, fails(recorded, space["plain"], 0))
        text = str(recording)
        page = recording._repr_mimebundle_()["text/html"]
    for told in (text, unescape(re.sub("<[^>]+>", "", page))):
        assert "Cell In[6], line 5" in told
        assert "return 1 / x  # plain" in told


def test_json_has_the_source(recorded):
    with cells(FORMS, first=6) as (space,):
        recording = recording_of(recorded, fails(recorded, space["plain"], 0))
        told = json.loads(json.dumps(recording.to_json()))
    frame = told["frames"][-1]
    assert "    return 1 / x  # plain" in [line for _, line in frame["source"]]
    assert frame["filename"].startswith("<ipython-input-6-")


CAUSES = """
def inner(x):
    return 1 / x  # inner

def outer(x):
    try:
        return inner(x)
    except ZeroDivisionError as error:
        raise ValueError("no ratio") from error  # outer
"""
GROUPS = """
class Both(Exception):
    def __init__(self, message, exceptions):
        super().__init__(message)
        self.exceptions = tuple(exceptions)

def member(x):
    return 1 / x  # member

def outer(x):
    found = []
    try:
        member(x)
    except ZeroDivisionError as error:
        found.append(error)
    raise ExceptionGroup("several", found)  # outer
"""


def test_causes_have_their_lines(recorded):
    with cells(CAUSES) as (space,):
        recording = recording_of(recorded, fails(recorded, space["outer"], 0))
        text = str(recording)
    (cause,) = recording.causes
    assert "# inner" in pointed(cause.frames[-1])
    assert "# outer" in pointed(recording.frames[-1])
    assert "at Cell In[1], line 3 in inner" in text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups")
def test_members_have_their_lines(recorded):
    with cells(GROUPS) as (space,):
        recording = recording_of(recorded, fails(recorded, space["outer"], 0))
    (member,) = [cause for cause in recording.causes if cause.how == "member"]
    assert "# member" in pointed(member.frames[-1])
    error = as_exception(recording)
    assert len(error.exceptions) == 1


TWO = """
def price(item):
    return {} / item
"""


def test_of_two_cells_with_one_line_each_has_its_own(recorded):
    with cells(TWO.format(1), TWO.format(2)) as spaces:
        found = [
            recording_of(recorded, fails(recorded, space["price"], 0))
            for space in spaces
        ]
    assert [pointed(each.frames[-1]).strip() for each in found] == [
        "return 1 / item",
        "return 2 / item",
    ]


def without_codes(recording):
    """As an earlier version recorded it."""
    frames = tuple(
        replace(frame, filename=DYNAMIC, source=(), code=())
        for frame in recording.frames
    )
    return replace(recording, frames=frames)


def test_a_recording_of_an_earlier_version_has_its_line_where_one_can_be_it(recorded):
    with cells(TWO.format(1), "def other(x):\n    return x / 0") as (space, _):
        recording = recording_of(recorded, fails(recorded, space["price"], 0))
        (frame,) = Shown().recording(without_codes(recording)).frames
    assert pointed(frame).strip() == "return 1 / item"


def test_a_recording_of_an_earlier_version_has_no_others_line(recorded):
    with cells(TWO.format(1), TWO.format(2)) as (space, _):
        recording = recording_of(recorded, fails(recorded, space["price"], 0))
        (frame,) = Shown().recording(without_codes(recording)).frames
    assert frame.source == () and frame.filename == DYNAMIC


def test_a_frame_without_a_fingerprint_is_read():
    wire = {
        "filename": "x.py",
        "lineno": 1,
        "function": "f",
        "source": [],
        "locals": [],
        "own": True,
        "omitted_locals": 0,
    }
    assert FrameSummary.from_wire(wire).code == ()


@pytest.mark.skipif(WITH_PATHS, reason="a worker in this process has the text")
def test_a_recording_whose_text_is_gone_shows_none(recorded):
    with cells(TWO.format(1)) as (space,):
        future = fails(recorded, space["price"], 0)
    # Another cell with the same name and line, but other code.
    with cells(TWO.format(2)):
        recording = recording_of(recorded, future)
        text = str(recording)
    assert recording.frames[-1].source == ()
    assert "2 / item" not in text


def test_failures_show_the_recording_with_its_source(recorded):
    with cells(FORMS, first=6) as (space,):
        future = fails(recorded, space["method"], 0)
        (group,) = [
            group
            for group in dbgkit.failures(client=recorded).groups
            if future.key in group.keys
        ]
    assert "# method" in pointed(group.recording.frames[-1])
    assert group.location == "Cell In[6], line 28 in predict"


SECRETS = """
def login(x):
    password = 'hunter-22'
    vault_word = 'open-sesame'
    return 1 / x  # login
"""


def test_secrets_stay_hidden_in_source_that_is_put_back(client):
    dbgkit.record(client=client).off()
    with (
        dbgkit.record(client=client, secret_names=["vault_word"]),
        cells(SECRETS) as (space,),
    ):
        recording = recording_of(client, fails(client, space["login"], 0))
        page = recording._repr_mimebundle_()["text/html"]
        told = str(recording) + page + json.dumps(recording.to_json())
    assert "# login" in told
    assert "hunter" not in told and "sesame" not in told


def test_a_replay_on_a_worker_brings_home_frames_with_source(client):
    with cells(FORMS, first=6) as (space,):
        future = fails(client, space["closure"], 0)
        again = dbgkit.replay(future, client=client, where="worker", timeout=30)
        text = str(again)
    assert again.outcome == "same"
    assert "# closure" in text and "Cell In[6]" in text


def test_the_recorder_counts_kinds_of_two_cells_apart(recorded):
    with cells(TWO.format(1), TWO.format(2)) as spaces:
        kinds = set()
        for space in spaces:
            futures = recorded.map(space["price"], [0] * 12, pure=False)
            wait(futures)
            held = dbgkit.recordings(futures, client=recorded)
            kinds.add(any(not each.short for each in held.recordings))
    assert kinds == {True}
