"""What Dask logs of a failed task and `dbgkit run` holds back: nothing is lost."""

from __future__ import annotations

import io
import logging
import os
from contextlib import contextmanager, redirect_stderr

import pytest

from dbgkit.frontends.cli import held
from dbgkit.frontends.cli.held import HeldBlocks, hold_back


@contextmanager
def console(formatter=None):
    """Gives what is on the console until now."""
    logger = logging.getLogger("distributed.worker")
    seen = io.StringIO()
    with redirect_stderr(seen), pytest.MonkeyPatch.context() as patched:
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        patched.setattr(logger, "propagate", False)
        patched.setattr(logger, "handlers", [handler])
        yield seen.getvalue


def log(key):
    logger = logging.getLogger("distributed.worker")
    logger.error("Compute Failed\nKey: %s %s %s %r %r", key, "s", "t", "E()", "here")


def test_a_block_is_held_back_and_printed_at_the_end():
    with console() as shown:
        with HeldBlocks(lambda: True):
            log("a-1")
            assert not shown()
        assert "Key: a-1" in shown()


def test_a_formatter_that_raises_is_handled_as_logging_does(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    raises = logging.Formatter("%(request_id)s %(message)s")
    with console(raises), HeldBlocks(lambda: True):
        log("a-1")  # does not raise in Dask's worker


def test_what_was_cut_on_a_full_disk_is_logged_as_ever(monkeypatch):
    write = os.write
    with console() as shown:
        with HeldBlocks(lambda: True), monkeypatch.context() as full:
            full.setattr(os, "write", lambda file, data: write(file, data[:20]))
            log("cut-1")
            assert "Key: cut-1" in shown()
        assert shown().count("Key: cut-1") == 1


def test_a_line_after_one_that_was_cut_is_read():
    with console() as shown:
        with HeldBlocks(lambda: True) as blocks:
            with open(blocks._path, "w") as file:
                file.write('[1.0, "cut-1", "E')
            log("whole-1")
            with open(blocks._path, "a") as file:
                file.write('{"a": 1}\n7\n[1]\nnull\n')
        assert "Key: whole-1" in shown()


def test_what_is_held_back_is_limited(monkeypatch):
    monkeypatch.setattr(held, "MOST_BYTES", 2_000)
    with console() as shown:
        with HeldBlocks(lambda: True) as blocks:
            for number in range(50):
                log(f"many-{number}")
            assert os.path.getsize(blocks._path) <= 2_000
            assert "Key: many-49" in shown() and "Key: many-0 " not in shown()
        assert all(f"Key: many-{number} " in shown() for number in range(50))


def test_a_folder_that_is_gone_is_as_none(tmp_path):
    with console() as shown:
        undo = hold_back(str(tmp_path / "gone" / "held"))
        try:
            log("late-1")
        finally:
            undo()
        assert "Key: late-1" in shown()
