"""The lines of a task's story: no internal ids, no repeats, one line for one step."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import tasks
from distributed import wait

import dbgkit
from dbgkit import render
from dbgkit.model import Moment, Timeline
from dbgkit.render.story_lines import story_lines

START = datetime(2026, 11, 23, 12, 3, 4, tzinfo=timezone.utc)
WORKER = "tcp://10.0.0.7:4001"
BLOCK = (
    "distributed.worker - ERROR - Compute Failed\nKey:       a\nState:     executing\n"
    "Task:  <Task 'a' work(...)>\nException: \"OSError('no')\"\n"
    """Traceback: '  File "/srv/job.py", line 3, in work\\n'\n"""
)
PLACE = "at /srv/job.py:3 in work"


def at(ms, source, what, detail=""):
    return Moment(START + timedelta(milliseconds=ms), source, what, detail)


def whats(*moments):
    return [line.what for line in story_lines(moments)]


def test_states_that_follow_at_once_are_one_line():
    assert whats(
        at(0, WORKER, "compute-task", "released"),
        at(0, WORKER, "released -> waiting"),
        at(1, WORKER, "waiting -> ready"),
        at(2, WORKER, "ready -> executing"),
        at(900, WORKER, "executing -> memory"),
    ) == ["released → waiting → ready → executing", "executing → memory"]


@pytest.mark.parametrize(
    "following",
    [
        at(0, "tcp://10.0.0.8:1", "waiting -> ready"),  # another worker's
        at(0, WORKER, "ready -> executing"),  # not where the first ended
        at(0, WORKER, "waiting -> ready", "for another reason"),
        at(50, WORKER, "waiting -> ready"),  # later
    ],
    ids=["source", "state", "detail", "time"],
)
def test_what_does_not_follow_at_once_has_its_own_line(following):
    first = at(0, WORKER, "released -> waiting", "a client submitted it")
    assert len(whats(first, following)) == 2


def test_an_entry_of_the_worker_that_nothing_follows_stays():
    assert whats(at(0, WORKER, "compute-task")) == ["compute-task"]


def test_a_block_of_the_log_is_said_with_its_transition():
    lines = story_lines(
        [
            at(0, WORKER, "ready -> executing"),
            at(100, "log", f"error on {WORKER}", BLOCK),
            at(100, WORKER, "executing -> error"),
            at(101, "scheduler", "processing -> released", "to be retried"),
        ]
    )
    assert [(line.what, line.detail) for line in lines] == [
        ("ready → executing", ""),
        ("executing → error", f"OSError('no') {PLACE}"),
        ("processing → released", "to be retried"),
    ]


def test_an_exception_that_the_scheduler_says_next_is_said_once():
    lines = story_lines(
        [
            at(100, "log", f"error on {WORKER}", BLOCK),
            at(100, WORKER, "executing -> error"),
            at(101, "scheduler", "processing -> erred", "OSError('no'); it failed"),
        ]
    )
    assert [line.detail for line in lines] == [PLACE, "OSError('no'); it failed"]


def test_a_block_without_its_transition_is_short():
    (line,) = story_lines([at(0, "log", f"error on {WORKER}", BLOCK)])
    assert line.detail == f"Compute Failed: OSError('no') {PLACE}"


def test_other_log_lines_are_whole():
    (line,) = story_lines([at(0, "log", f"warning on {WORKER}", "a is slow\nvery")])
    assert line.detail == "a is slow\nvery"


def test_a_line_that_comes_again_is_counted():
    story = [at(n * 1000, "scheduler", "processing -> released") for n in range(40)]
    assert len(story_lines(story)) == 2
    told = render.to_text(Timeline("a", tuple(story)))
    assert "  × 40: the line above, until 12:03:43.000" in told


def test_a_log_line_that_comes_again_is_counted():
    story = [at(n * 1000, "log", f"warning on {WORKER}", "slow") for n in range(40)]
    told = render.to_text(Timeline("a", tuple(story)), width=120)
    assert f"warning on {WORKER} × 40, until 12:03:43.000" in told


def test_several_lines_that_come_again_are_counted_together():
    story = []
    for n in range(40):
        story.append(at(n * 1000, "scheduler", "processing -> released"))
        story.append(at(n * 1000 + 1, "scheduler", "released -> waiting"))
        worker = f"tcp://10.0.0.{n % 3}:1"  # wherever it ran, and how fast it went
        story.append(at(n * 1000 + 500, worker, "ready -> executing"))
        story.append(at(n * 1000 + 500 + n, worker, "executing -> error", "no"))
    story.append(at(50_000, "scheduler", "processing -> erred"))
    told = render.to_text(Timeline("a", tuple(story))).splitlines()
    again = "× 39 on 3 workers: the 2 lines above, until 12:03:42.538"
    assert again in [line.strip() for line in told]
    assert len(told) < 12
    html = render.to_html(Timeline("a", tuple(story)))
    assert again in html


def test_attempts_that_failed_differently_are_all_shown():
    story = [
        at(n * 1000, WORKER, "executing -> error", f"OSError({n})") for n in range(9)
    ]
    assert len(story_lines(story)) == 9


def test_the_story_of_a_real_task_has_no_ids_and_no_repeats(processes_client):
    future = processes_client.submit(tasks.boom, 1, key="boom-again", retries=12)
    wait(future)
    story = dbgkit.story(future)
    assert any(one.what == "waiting -> ready" for one in story.moments)
    for text in (render.to_text(story), str(story.to_json())):
        for word in ("update-graph", "task-erred-", "compute-task-"):
            assert word not in text
    told = render.to_text(story, width=140)
    assert len(told.splitlines()) < len(story.moments) / 2 > 20
    assert "×" in told
    assert "a client submitted it" in told
    assert "ValueError('cannot take 1'); it failed" in told
