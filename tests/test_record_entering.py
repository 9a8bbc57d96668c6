"""Recordings that others may have made, entered: only what is the code's own is shown.

Whoever reaches a scheduler may send it any recording: of any file, with any name.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
from bundle_files import cause, content, frame, local
from distributed import wait
from fuzzing import bounded
from hostile_bundles import ESCAPES, VALUES

import dbgkit
from dbgkit import debugger
from dbgkit.debugger.recording import as_exception
from dbgkit.model import Failure, recording_from_wire
from dbgkit.remote.common.frames import walk
from dbgkit.source.shown import Shown
from dbgkit.source.texts import local_line, local_lines

HEADER = {
    "key": "ratio-3",
    "exception_type": "ZeroDivisionError",
    "message": "",
    "worker": "tcp://10.0.0.7:40001",
    "pid": 7,
    "when": 1.7e9,
    "left_out": 0,
    "gap": "",
}
SECONDS = 5.0  # for what hangs where it goes wrong


def recording(**recorded):
    return recording_from_wire(HEADER, content(**recorded), "ratio on partition 3")


def entered(recording, monkeypatch, *commands):
    """What pdb shows of a recording."""
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*commands, "q", ""])))
    with redirect_stdout(io.StringIO()) as output:
        debugger.enter(as_exception(recording))
    return output.getvalue()


def file_of(recording):
    ((made, _),) = walk(as_exception(recording).__traceback__)
    return made.f_code.co_filename


@pytest.fixture
def pipe(tmp_path):
    """A pipe that nobody writes to: whoever opens it waits."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    path = tmp_path / "job.py"
    os.mkfifo(path)
    return str(path)


@pytest.mark.parametrize("source", [[], [[6, "    return 1 / y"]]], ids=["none", "one"])
@pytest.mark.parametrize("coded", [[], ["0123456789ab", "job"]], ids=["", "coded"])
def test_a_frame_of_a_pipe_waits_for_nobody(pipe, monkeypatch, source, coded):
    code = [*coded, pipe] if coded else []
    text = f'  File "{pipe}", line 6, in ratio\n    return 1 / y\n'
    one = recording(
        frames=[frame(pipe, source=source, code=code)], traceback_text=text * 2
    )
    with bounded(seconds=SECONDS):
        one = Shown().recording(one)
        shown = entered(one, monkeypatch, "l", "ll", "where")
        str(one)
    assert "(6)ratio()" in shown


def test_a_device_is_read_no_more_than_a_pipe(monkeypatch):
    one = recording(frames=[frame("/dev/zero", source=[])])
    with bounded(seconds=SECONDS, nbytes=50_000_000):
        entered(Shown().recording(one), monkeypatch, "l", "ll")


@pytest.mark.parametrize("found_in", ["scheduler", "history", "file"])
def test_a_traceback_that_names_a_pipe_is_shown(pipe, found_in):
    text = f'  File "{pipe}", line 6, in ratio\n    return 1 / y\n'
    failure = Failure("k", "k", "ValueError", "no", text, found_in=found_in)
    with bounded(seconds=SECONDS):
        assert "return 1 / y" in str(failure)
        failure.to_json()


def test_a_failure_of_a_file_shows_nothing_of_the_file_here(tmp_path):
    path = tmp_path / "job.py"
    path.write_text("before = 'here only'\nreturn_it = 1\n")
    text = f'  File "{path}", line 2, in ratio\n    return_it = 1\n'
    failure = Failure("k", "k", "ValueError", "no", text, found_in="scheduler")
    assert "here only" in str(failure)  # the line is the same
    assert "here only" not in str(replace(failure, found_in="file"))


def test_the_file_here_is_shown_if_it_has_the_recorded_lines(tmp_path, monkeypatch):
    path = tmp_path / "job.py"
    path.write_text("first = 1\n\ndef ratio(x):\n    return 1 / x\n")
    one = recording(frames=[frame(str(path), 4, source=[[4, "    return 1 / x"]])])
    assert file_of(one) == str(path)
    assert "first = 1" in entered(one, monkeypatch, "l 1, 2")
    path.write_text("second = 2\n\ndef ratio(x):\n    return 2 / x\n")
    os.utime(path, (1e9, 1e9))
    assert file_of(one) == f"{path} (as recorded)"
    shown = entered(one, monkeypatch, "l 1, 4")
    assert "return 1 / x" in shown and "second" not in shown


@pytest.mark.parametrize("name", ["{}/job.py", "job.py", "os.py"])
def test_without_recorded_lines_none_are_shown(tmp_path, monkeypatch, name):
    (tmp_path / "job.py").write_text("held = 'here only'\n" * 20)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    one = recording(frames=[frame(name.format(tmp_path), source=[])])
    shown = entered(one, monkeypatch, "l", "ll", "l 1, 20")
    assert "here only" not in shown and "import" not in shown


def test_what_a_terminal_obeys_is_escaped_at_the_prompt(monkeypatch):
    one = recording(
        message=ESCAPES,
        frames=[
            frame(
                source=[[6, f"x = 1 # {ESCAPES}"]],
                locals=[local("x", ESCAPES, ESCAPES), local("y", ""), local("z", "")],
            )
        ],
        kept=[[0, "y", "\r\u202eplain"], [0, "z", ESCAPES]],
        causes=[cause(message=ESCAPES)],
    )
    commands = ["l", "ll", "p x", "print(x)", "y", "print(y)", "z", "exceptions"]
    shown = entered(one, monkeypatch, *commands)
    assert not {"\x1b", "\x9b", "\r", "\x08", "\u202e", "\u200b"} & set(shown)
    assert r"\r\u202eplain" in shown


def test_a_replay_prints_what_its_code_prints(monkeypatch):
    """Only recordings are escaped: there it is the user's own code that prints."""
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    try:
        text = "\x1b[1mbold\x1b[0m\x07"
        raise ValueError(text)
    except ValueError as error:
        monkeypatch.setattr("sys.stdin", io.StringIO("print(text)\nq\n"))
        with redirect_stdout(io.StringIO()) as output:
            debugger.enter(error)
    assert text in output.getvalue()


NAMES = ["__builtins__", "__pdb_convenience_variables", "__tracebackhide__"]
NAMES += ["__return__", "__exception__", "__name__", "__loader__", "__file__"]


@pytest.mark.parametrize("kept", [True, ["dict", []], ["list", [1]], None])
def test_names_that_debuggers_know_mean_nothing_to_them(monkeypatch, kept):
    one = recording(
        frames=[frame(locals=[local(name, "1") for name in [*NAMES, "x"]])],
        kept=[[0, name, kept] for name in [*NAMES, "x"]],
    )
    shown = entered(one, monkeypatch, "where", "p len('abc')", "p x", "retval")
    assert "(Pdb) 3" in shown


def test_names_that_are_none_are_left_out():
    one = recording(
        frames=[
            frame(
                "a\nb\0c",
                function="f\ng",
                locals=[local("a b", "1"), local("\u3164x", "2"), local(".0", "3")],
            ),
            frame(function="<genexpr>", locals=[local("größe", "4")]),
        ],
        causes=[cause(exception_type="A\0\n\ud800")],
    )
    first, second = one.frames
    assert first.function == "<unnamed>" and first.filename == r"a\nb\x00c"
    assert [name for name, _ in first.locals] == [".0"] and first.omitted_locals == 2
    assert second.function == "<genexpr>" and second.locals[0][0] == "größe"
    assert type(as_exception(one).__cause__).__name__ == r"A\x00\n\ud800"


@pytest.mark.parametrize("parent", [1, 0, -2, 99])
def test_a_cause_of_what_comes_later_is_none(parent):
    with pytest.raises(ValueError, match="a cause"):
        recording(causes=[cause(parent=parent)])


def test_thousands_of_causes_are_counted():
    one = recording(causes=[cause(parent=n - 1) for n in range(3_000)])
    assert len(one.causes) == 100 and one.more_causes == 2_900
    as_exception(one)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_would_explode_stays_a_text(name):
    with bounded(seconds=SECONDS, nbytes=50_000_000):
        one = recording(
            frames=[frame(locals=[local("x", "as text")])],
            kept=[[0, "x", VALUES[name]]],
        )
    assert one.values == {}
    ((made, _),) = walk(as_exception(one).__traceback__)
    assert repr(made.f_locals["x"]) == "<recorded int: as text>"


def test_values_together_are_bounded_as_one_is():
    data = ["array", ["<f8", [500_000], bytes(4_000_000), "C", False]]
    names = [f"v{n}" for n in range(40)]
    with bounded(seconds=SECONDS, nbytes=200_000_000):
        one = recording(
            frames=[frame(locals=[local(name, "") for name in names])],
            kept=[[0, name, data] for name in names],
        )
    assert 10 < len(one.values[0]) < 20  # of 160 MB, 64


def test_lines_here_are_those_of_a_regular_file_or_of_a_cell(tmp_path):
    import linecache

    path = tmp_path / "job.py"
    path.write_text("a = 1\x0c\nb = 2\n")
    assert local_lines(str(path)) == ["a = 1\x0c\n", "b = 2\n"]
    assert local_line(str(path), 2) == "b = 2\n" and local_line(str(path), 3) == ""
    name = "<ipython-input-99-0123456789ab>"
    linecache.cache[name] = (6, None, ["c = 3\n"], name)
    try:
        assert local_lines(name) == ["c = 3\n"]
    finally:
        del linecache.cache[name]
    for wrong in (str(tmp_path), "", "a\0b", "/dev/zero", "nowhere.py", "~"):
        assert local_lines(wrong) == []


def fails(number):
    return 1 / number


def test_a_forged_recording_of_a_pipe_is_listed_and_entered(
    harmable, pipe, monkeypatch
):
    from dbgkit.remote.recording.packing import pack

    forged = content(
        frames=[frame(pipe, source=[]), frame("/dev/zero")],
        traceback_text=f'  File "{pipe}", line 6, in ratio\n    1 / y\n',
        kept=[[1, "x", VALUES["series_of_a_range"]]],
    )
    packed = pack(forged, 256_000)[0]

    def forge(dask_scheduler):
        for plugin in dask_scheduler.plugins.values():
            for held in getattr(plugin, "kinds", {}).values():
                for entry in held:
                    entry["packed"] = packed

    with harmable(n_workers=1, processes=True) as client, dbgkit.record():
        wait(client.submit(fails, 0, key="bad-0"))
        client.run_on_scheduler(forge)
        with bounded(seconds=20.0, nbytes=100_000_000):
            (one,) = dbgkit.recordings("bad-0").recordings
            str(one)
            shown = entered(one, monkeypatch, "l", "up", "l", "ll")
    assert [each.filename for each in one.frames] == [pipe, "/dev/zero"]
    assert "(6)ratio()" in shown and not one.values
