"""What is logged in a worker's process, for its black box: whatever it is."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from watching import wait_until

from dbgkit.remote.worker.black_box_logs import LogWatch
from dbgkit.remote.worker.last_words import LastWords

LOGGER = logging.getLogger("last-words")


class Lines:
    """The lines of a box, without a file."""

    def __init__(self, room=10**9):
        self.room = room
        self.added = []

    def has_room(self):
        self.room -= 1
        return self.room >= 0

    def add(self, when, level, text):
        self.added.append(text)


@contextmanager
def words(room=10**9):
    failed = []
    box = SimpleNamespace(lines=Lines(room), elsewhere=list, failed=failed)
    kept = LastWords(
        box,
        lambda text, most: text[:most],
        lambda error, most: type(error).__name__,
        lambda doing, error: failed.append((doing, error)),
    )
    LOGGER.propagate = False
    LOGGER.handlers = [logging.NullHandler()]
    try:
        yield box
    finally:
        kept.stop()
    assert logging.getLogRecordFactory() is logging.LogRecord


class Broken:
    def __str__(self):
        raise ValueError("not to be shown")

    __repr__ = __str__


class Logs:
    """Whose text logs a warning of its own."""

    def __str__(self):
        LOGGER.warning("again %s", self)
        return "logs"


@pytest.mark.parametrize(
    ("message", "args", "shown"),
    [
        ("%d", ("x",), "%d"),
        ("%s %s", ("x",), "%s %s"),
        ("%(a)s", ({"b": 1},), "%(a)s"),
        ("%s", (Broken(),), "%s"),
        (Broken(), (), "<Broken, whose str raises ValueError>"),
        (None, (), "None"),
        (b"\xff", (), r"b'\xff'"),
        ("%s", (Logs(),), "logs"),
        ("\ud800\0\x1b", (), "\ud800\0\x1b"),
    ],
    ids=range(9),
)
def test_a_record_may_hold_anything(message, args, shown):
    with words() as box:
        LOGGER.warning(message, *args)
    assert box.lines.added == [f"last-words: {shown}"]
    assert not box.failed


def test_very_many_lines_are_not_written_out_twice():
    class Counted:
        times = 0

        def __str__(self):
            Counted.times += 1
            return "x"

    with words(room=40) as box:
        for _ in range(20_000):
            LOGGER.warning("%s", Counted())
    assert len(box.lines.added) == Counted.times == 40


def ended_child(child):
    """The status of a child that has ended."""
    pid, status = os.waitpid(child, os.WNOHANG)
    return (status,) if pid else None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_child_does_not_write_over_lines_of_its_parent():
    with words() as box:
        child = os.fork()
        if not child:
            LOGGER.warning("in a child")
            os._exit(len(box.lines.added))
        LOGGER.warning("in its parent")
        ended = wait_until(lambda: ended_child(child), "the child does not hang")
        assert os.waitstatus_to_exitcode(*ended) == 0
    assert box.lines.added == ["last-words: in its parent"]


def test_off_leaves_a_factory_that_somebody_else_has_set():
    before = logging.getLogRecordFactory()
    noted = []
    watch = LogWatch(noted.append)

    def wraps(*args, **kwargs):
        return watch(*args, **kwargs)

    logging.setLogRecordFactory(wraps)
    try:
        watch.stop()
        LOGGER.warning("after")
        assert logging.getLogRecordFactory() is wraps
        assert not noted
    finally:
        logging.setLogRecordFactory(before)


def test_off_of_one_of_several_leaves_the_others():
    before = logging.getLogRecordFactory()
    noted = []
    first, second = LogWatch(noted.append), LogWatch(noted.append)
    first.stop()
    LOGGER.warning("one")
    assert len(noted) == 1
    second.stop()
    assert logging.getLogRecordFactory() is before
