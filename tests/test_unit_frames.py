"""Whose frame it is, on this machine and on others."""

from __future__ import annotations

import asyncio
import json
import os

import dask
import pytest

import dbgkit
from dbgkit.remote.common.frames import (
    format_exception,
    is_machinery,
    is_own,
    is_stdlib,
    own_index,
    own_line,
    own_line_of_text,
    package_of,
    parse_traceback,
)

LINUX = "/home/ann/.venv/lib/python3.12/site-packages"
DEBIAN = "/usr/lib/python3/dist-packages"
WINDOWS = r"C:\Users\ann\env\Lib\site-packages"


@pytest.mark.parametrize(
    ("filename", "package"),
    [
        (f"{LINUX}/dask/base.py", "dask"),
        (f"{DEBIAN}/pandas/core/frame.py", "pandas"),
        (WINDOWS + r"\distributed\worker.py", "distributed"),
        (f"{LINUX}/six.py", "six"),
        # An environment within an environment: the innermost counts.
        (f"{LINUX}/tool/{LINUX}/dask/base.py", "dask"),
        (os.path.join(os.path.dirname(dbgkit.__file__), "api.py"), "dbgkit"),
        ("/home/ann/job.py", ""),
        (dask.__file__, "dask"),
    ],
)
def test_package_of_a_file(filename, package):
    assert package_of(filename) == package


@pytest.mark.parametrize(
    "filename",
    [
        json.__file__,
        asyncio.__file__,
        "<frozen importlib._bootstrap>",
        "/opt/conda/lib/python3.10/json/decoder.py",
        "/usr/lib64/python3.12/threading.py",
        r"C:\Users\ann\AppData\Local\Programs\Python\Python311\Lib\json\decoder.py",
        r"C:\miniconda3\envs\work\lib\asyncio\events.py",
        r"C:\miniconda3\Lib\threading.py",
    ],
)
def test_the_standard_library_is_known_by_its_path(filename):
    assert is_stdlib(filename)
    assert not is_own(filename)


@pytest.mark.parametrize(
    "filename",
    [
        f"{LINUX}/dask/base.py",
        f"{LINUX}/distributed/worker.py",
        f"{LINUX}/tornado/ioloop.py",
        WINDOWS + r"\dask\local.py",
        asyncio.__file__,
        "/opt/conda/lib/python3.10/concurrent/futures/thread.py",
        "/usr/lib/python3.12/threading.py",
        r"C:\miniconda3\Lib\asyncio\events.py",
    ],
)
def test_machinery_is_hidden(filename):
    assert is_machinery(filename)
    assert not is_own(filename)


@pytest.mark.parametrize(
    "filename",
    [
        "/home/ann/job.py",
        "/home/ann/src/package/module.py",  # as an editable install is
        "/home/ann/dask/job.py",
        "/home/ann/distributed.py",
        "/srv/lib/job.py",
        "/tmp/ipykernel_12/345.py",
        "<ipython-input-3-aa>",
        "<stdin>",
        r"C:\Users\ann\job.py",
        r"C:\Users\ann\lib\job.py",
        "job.py",
        __file__,
    ],
)
def test_the_users_own_files(filename):
    assert is_own(filename)
    assert not is_machinery(filename)


def test_numpys_wrappers_without_a_file_are_numpys():
    assert not is_own("<__array_function__ internals>")


def test_the_stop_is_the_innermost_own_frame():
    files = [f"{LINUX}/dask/base.py", "/me/a.py", "/me/b.py", f"{LINUX}/pandas/x.py"]
    assert own_index(files) == 2


def test_without_an_own_frame_the_stop_is_the_innermost_of_a_library():
    files = [f"{LINUX}/dask/a.py", f"{LINUX}/pandas/b.py", f"{LINUX}/dask/c.py"]
    assert own_index(files) == 1


@pytest.mark.parametrize("files", [[], [f"{LINUX}/dask/a.py", asyncio.__file__]])
def test_there_is_no_stop_where_all_is_machinery(files):
    assert own_index(files) is None


def failing():
    return json.loads("{")


def test_own_line_of_a_live_exception_is_in_the_users_file():
    with pytest.raises(ValueError) as caught:
        failing()
    filename, lineno, function = own_line(caught.value)
    assert (filename, function) == (__file__, "failing")
    assert lineno == failing.__code__.co_firstlineno + 1


def test_own_line_of_an_exception_without_a_traceback_is_none():
    assert own_line(ValueError("never raised")) is None


def test_a_traceback_as_text_reads_as_the_live_one():
    with pytest.raises(ValueError) as caught:
        failing()
    text = format_exception(caught.value)
    assert own_line_of_text(text) == own_line(caught.value)


def test_a_windows_traceback_is_read():
    text = (
        rf'  File "{WINDOWS}\dask\base.py", line 681, in compute' + "\n"
        "    results = schedule(expr, keys, **kwargs)\n"
        '  File "C:\\Users\\ann\\my jobs\\job.py", line 12, in ratio\n'
        "    return a / b\n"
        "           ~~^~~\n"
    )
    assert parse_traceback(text)[1] == (r"C:\Users\ann\my jobs\job.py", 12, "ratio")
    assert own_line_of_text(text) == (r"C:\Users\ann\my jobs\job.py", 12, "ratio")


def test_lines_of_source_that_look_like_frames_do_not_count():
    text = '  File "/me/job.py", line 3, in f\n    File "/me/other.py", line 9, in g\n'
    assert parse_traceback(text) == [("/me/job.py", 3, "f")]


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_an_unprintable_exception_is_formatted_all_the_same():
    with pytest.raises(Unprintable) as caught:
        raise Unprintable
    text = format_exception(caught.value)
    assert "Unprintable" in text
    assert parse_traceback(text)[-1][0] == __file__
