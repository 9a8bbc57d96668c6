"""A bundle opened: what it holds, with trust and without, and what is wrong with it."""

from __future__ import annotations

import io
import json
import linecache
import os
import pickle
import sys
import zipfile
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from bundle_files import (
    FILE,
    HEADER,
    SOURCE,
    as_json,
    bundle_bytes,
    call,
    cause,
    content,
    entries_of,
    failure,
    frame,
    listed,
    local,
    manifest,
    write_bundle,
    zipped,
)
from fuzzing import WRONG, examples, places, with_wrong
from hostile_bundles import ESCAPES
from hypothesis import given
from hypothesis import strategies as st

import dbgkit
from dbgkit import debugger
from dbgkit.bundles.archive import Archive
from dbgkit.bundles.opening import open_bundle
from dbgkit.bundles.saved_source import sources_of
from dbgkit.errors import BundleUnreadable
from dbgkit.model import Bundle, recording_from_wire
from dbgkit.remote.common.frames import walk
from dbgkit.source import Index

CALL = {"pickles/call.pickle": pickle.dumps((len, ([],), {}))}


ARGUMENT = {
    "name": "x",
    "type": "int",
    "text": "1",
    "format": "json",
    "entry": "inputs/0.json",
    "nbytes": 1,
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ratio.dbgkit"


def test_a_bundle_says_what_failed_and_where(path):
    said = {"call": call(arguments=[ARGUMENT]), "notes": ["a note"]}
    write_bundle(path, said=said, **CALL, **{"inputs/0.json": b"1"})
    bundle = open_bundle(path)
    assert isinstance(bundle, Bundle) and not bundle.trusted
    assert bundle.path == str(path)
    assert bundle.saved == datetime(2026, 11, 27, 10, tzinfo=timezone.utc)
    assert (bundle.dbgkit, bundle.function) == ("0.1.0", "ratio")
    (given,) = bundle.inputs
    assert (given.name, given.type, given.text, given.format) == (
        "x",
        "int",
        "1",
        "json",
    )
    assert bundle.notes == ("a note",)
    assert dict(bundle.sources) == {FILE: SOURCE}
    failed = bundle.failure
    assert (failed.key, failed.found_in) == (("ratio", 3), "file")
    assert (failed.exception_type, failed.message) == (
        "ZeroDivisionError",
        "division by zero",
    )
    assert failed.when == datetime(2026, 11, 27, 9, 59, 58, tzinfo=timezone.utc)
    assert failed.came_from[0].text == "load(i=3)"


def test_its_recording_has_frames_values_and_sources(path):
    recording = open_bundle(write_bundle(path)).recording
    assert recording.foreign and dict(recording.sources) == {FILE: SOURCE}
    assert recording.key == ("ratio", 3)
    assert recording.values == {0: {"x": 1, "y": 0}}
    assert recording.frames[0].source[-1] == (6, "    return 1 / y")


def test_a_bundle_need_not_have_a_recording(path):
    entries = entries_of()
    told = manifest(sources=[], entries={})
    path.write_bytes(zipped({"manifest.json": as_json(told)}))
    assert open_bundle(path).recording is None
    assert entries


def test_without_a_recording_nothing_of_the_files_here_is_shown(path, tmp_path):
    here = tmp_path / "job.py"
    here.write_text("before = 'here only'\nreturn_it = 1\n")
    text = f'  File "{here}", line 2, in ratio\n    return_it = 1\n'
    told = manifest(sources=[], entries={}, failure=failure(traceback_text=text))
    path.write_bytes(zipped({"manifest.json": as_json(told)}))
    for trust in (False, True):
        bundle = open_bundle(path, trust=trust)
        for each in (bundle, bundle.failure):
            shown = str(each) + each._repr_mimebundle_()["text/html"]
            assert "return_it" in shown and "here only" not in shown
            assert "here only" not in str(each.to_json())


def test_a_recording_may_have_no_content(path):
    form = {"header": {**HEADER, "gap": "larger than its limit"}, "content": None}
    write_bundle(path, **{"recording.json": as_json(form)})
    recording = open_bundle(path).recording
    assert recording.gap == "larger than its limit" and not recording.frames


def test_bytes_among_its_values_are_texts_in_json(path):
    kept = [
        [0, "x", b"\x00\xff"],
        [0, "y", ["list", ["b64", "b64"]]],
        [0, "z", ["array", ["<i2", [2], b"\x01\x00\x02\x00", "C", False]]],
    ]
    variables = [local(name, "") for name in "xyz"]
    write_bundle(path, {"kept": kept, "frames": [frame(locals=variables)]})
    values = open_bundle(path).recording.values[0]
    assert values["x"] == b"\x00\xff" and values["y"] == ["b64", "b64"]
    assert values["z"].tolist() == [1, 2]


def test_a_name_with_a_tilde_is_of_the_home_folder(path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    monkeypatch.setenv("USERPROFILE", str(path.parent))
    write_bundle(path)
    assert open_bundle("~/ratio.dbgkit").path == str(path)


@pytest.mark.parametrize("name", ["nowhere.dbgkit", "a\0b"])
def test_a_file_that_is_not_there_is_named(path, name):
    with pytest.raises(BundleUnreadable, match="cannot be opened"):
        open_bundle(path.parent / name)


def test_a_newer_format_is_refused_with_both_versions(path):
    from dbgkit._version import __version__

    write_bundle(path, said={"format": 7, "dbgkit": "3.2"})
    with pytest.raises(BundleUnreadable) as raised:
        open_bundle(path)
    said = str(raised.value)
    assert "format 7, written by dbgkit 3.2" in said
    assert __version__ in said and "reads format 1" in said and "newer dbgkit" in said


def test_so_is_a_recording_of_a_newer_one(path):
    write_bundle(path, {"format": 99}, {"dbgkit": "3.2"})
    with pytest.raises(BundleUnreadable, match=r"format 99, written by dbgkit 3\.2"):
        open_bundle(path)


def test_fields_that_came_later_are_ignored(path):
    write_bundle(path, said={"later": [1, 2]})
    assert open_bundle(path).failure.name == "ratio on partition 3"


def test_saved_again_it_has_its_own_source_and_nothing_of_the_files_here(
    path, tmp_path
):
    here = tmp_path / "job.py"
    here.write_text("import os\n\n\nclass Config:\n    held = 'here only'\n")
    frames = [frame(), frame(str(here), 5, source=[[1, "import os"]])]
    write_bundle(path, {"frames": frames, "kept": []})
    again = dbgkit.save(open_bundle(path), tmp_path / "again.dbgkit")
    assert dict(again.sources) == {FILE: SOURCE}
    assert [each.filename for each in again.recording.frames] == [FILE, str(here)]
    with zipfile.ZipFile(again.path) as archive:
        texts = [archive.read(name) for name in archive.namelist()]
    assert not any(b"here only" in text for text in texts)


def test_of_a_recording_from_a_cluster_only_recorded_lines_lead_to_a_file(tmp_path):
    here = tmp_path / "job.py"
    here.write_text("import os\n\n\nclass Config:\n    held = 'here only'\n")
    form = content(frames=[frame(str(here), 5, source=[[1, "import os"]])])
    made = recording_from_wire(HEADER, form, "ratio")
    assert sources_of(made) == {}


# -- trust ------------------------------------------------------------------------


def test_with_trust_every_entry_is_as_it_was_written(path):
    entries = entries_of(said={"call": call()}, **CALL)
    entries["pickles/call.pickle"] = entries["pickles/call.pickle"][:-2] + b"!."
    path.write_bytes(zipped(entries))
    assert open_bundle(path).failure.key == ("ratio", 3)  # it is not looked at
    with pytest.raises(BundleUnreadable, match=r"call\.pickle is not as"):
        open_bundle(path, trust=True)


def test_bytecode_of_another_python_is_refused_with_both_pythons(path):
    said = {"call": call(bytecode=True), "magic": "00000000", "python": "3.4.2"}
    write_bundle(path, said=said, **CALL)
    assert open_bundle(path).python == "3.4.2"
    with pytest.raises(BundleUnreadable) as raised:
        open_bundle(path, trust=True)
    here = sys.version.split()[0]
    assert f"3.4.2, which cpython {here} does not run" in str(raised.value)
    assert "open it with Python 3.4" in raised.value.hint


def test_bytecode_of_this_python_is_not(path):
    write_bundle(path, said={"call": call(bytecode=True)}, **CALL)
    assert open_bundle(path, trust=True).trusted


def test_source_of_another_python_is_not(path):
    write_bundle(path, said={"call": call(), "magic": "00000000"}, **CALL)
    assert open_bundle(path, trust=True).trusted


def test_with_trust_it_says_what_is_different_here(path):
    environment = {
        "python": "3.4.2",
        "packages": {"dask": "2020.1", "no-such-thing": "1"},
        "directory": None,
        "environment": {},
        "configuration": {},
    }
    write_bundle(path, said={"environment": environment})
    found = {
        each.name: each.there for each in open_bundle(path, trust=True).differences
    }
    assert (found["version"], found["dask"]) == ("3.4.2", "2020.1")
    assert found["no-such-thing"] == "1"
    assert open_bundle(path).differences == ()


def test_texts_to_compare_are_as_they_were_and_those_to_show_are_escaped(path):
    write_bundle(path, {"message": ESCAPES}, {"failure": failure(message=ESCAPES)})
    plain, trusted = open_bundle(path), open_bundle(path, trust=True)
    assert "\x1b" not in plain.failure.message + plain.recording.message
    assert trusted.failure.message == trusted.recording.message == ESCAPES
    for each in (trusted, trusted.failure, trusted.recording):
        assert "\x1b" not in repr(each) and "\x1b" not in str(each)
    assert "\x1b" not in str(debugger.as_exception(trusted.recording))


# -- the archive --------------------------------------------------------------------


def test_an_entry_is_read_in_parts_and_compared_at_its_end(path):
    data = bytes(range(256)) * 20_000
    write_bundle(path, **{"inputs/0.npy": data})
    with Archive(path) as archive:
        with archive.open("inputs/0.npy") as stream:
            assert stream.read(10) == data[:10]
            assert stream.read() == data[10:]
        assert archive.read("inputs/0.npy", len(data)) == data
        with pytest.raises(BundleUnreadable, match="larger than 1,000 bytes"):
            archive.read("inputs/0.npy", 1_000)
        with pytest.raises(BundleUnreadable, match="no entry"):
            archive.read("inputs/9.npy", 1_000)


def test_an_entry_that_was_changed_is_not_read_to_its_end(path):
    entries = entries_of(**{"inputs/0.npy": b"a" * 5_000})
    entries["inputs/0.npy"] = b"b" * 5_000
    path.write_bytes(zipped(entries))
    with Archive(path) as archive:
        stream = archive.open("inputs/0.npy")
        with stream, pytest.raises(BundleUnreadable, match="not as its"):
            stream.read()
        with pytest.raises(BundleUnreadable, match="not as its"):
            archive.read("inputs/0.npy", 5_000)


def test_a_file_is_closed_again_and_so_is_one_that_is_none(path, tmp_path):
    fds = "/proc/self/fd"
    if not os.path.isdir(fds):
        pytest.skip("no list of open files here")
    write_bundle(path)
    other = tmp_path / "none"
    other.write_bytes(b"PK\3\4" + bytes(100))
    before = len(os.listdir(fds))
    open_bundle(path)
    for wrong in (other, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BundleUnreadable):
            open_bundle(wrong)
    assert len(os.listdir(fds)) == before


@pytest.mark.parametrize("length", [0, 10, 100, 500, 900, 1_200, -1, -22, -100])
def test_a_file_cut_anywhere_is_unreadable(path, length):
    path.write_bytes(bundle_bytes()[:length])
    with pytest.raises(BundleUnreadable):
        open_bundle(path)


def test_any_byte_may_be_another_one(path):
    data = bundle_bytes()
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            open_bundle(path, trust=True)
        except BundleUnreadable:
            continue


def test_what_is_before_or_after_the_zip_is_not_looked_at(path):
    """As in files that pretend to be two things; each has the same content."""
    path.write_bytes(bundle_bytes() + b"")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment"
    assert open_bundle(path).failure.key == ("ratio", 3)


# -- at the prompt -------------------------------------------------------------------


def entered(recording, monkeypatch, *commands):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*commands, "q", ""])))
    output = io.StringIO()
    with redirect_stdout(output):
        debugger.enter(debugger.as_exception(recording), header="above")
    return output.getvalue()


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)


def test_it_is_entered_with_all_of_its_source(path, monkeypatch):
    recording = open_bundle(write_bundle(path)).recording
    shown = entered(recording, monkeypatch, "l 1, 3", "p x + 1", "ll")
    assert f"> <{FILE} (as recorded)>(6)ratio()" in shown
    assert "import os" in shown and "(Pdb) 2\n" in shown and "def ratio(x):" in shown


def test_lines_that_were_not_saved_are_empty(path, monkeypatch):
    half = "\n\n\ndef ratio(x):\n\n\n"
    write_bundle(path, **{"sources/0.txt": half.encode()})
    shown = entered(open_bundle(path).recording, monkeypatch, "l 1, 7")
    assert "return 1 / y" in shown and "import" not in shown


def test_no_rc_file_is_run_for_it_and_for_others_it_is(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".pdbrc").write_text("p 'the rc file'\n")
    recording = open_bundle(write_bundle(path)).recording
    # Nor by a debugger within that one, as Python's own would.
    shown = entered(recording, monkeypatch, "p 1", "debug 1", "p 2")
    assert "the rc file" not in shown
    assert "nothing of a file can be stepped through" in shown and "(Pdb) 2" in shown
    try:
        raise ValueError("here")
    except ValueError as error:
        monkeypatch.setattr("sys.stdin", io.StringIO("q\n"))
        with redirect_stdout(io.StringIO()) as output:
            debugger.enter(error)
    assert "the rc file" in output.getvalue()


def test_other_recordings_may_be_stepped_from(path, monkeypatch, tmp_path):
    recording = open_bundle(write_bundle(path)).recording
    recording = replace(recording, foreign=False)
    shown = entered(recording, monkeypatch, "debug x + 1", "p 6", "q", "p 7")
    assert "ENTERING RECURSIVE DEBUGGER" in shown and "((Pdb)) 6" in shown
    assert "\n(Pdb) 7" in shown


def test_other_debuggers_are_not_given_it(path, monkeypatch):
    monkeypatch.setenv("PYTHONBREAKPOINT", "webbrowser.open")
    before = getattr(sys, "last_value", None)
    recording = open_bundle(write_bundle(path)).recording
    shown = entered(recording, monkeypatch, "p 1")
    assert "not opened in 'webbrowser'" in shown and "(Pdb) 1" in shown
    assert getattr(sys, "last_value", None) is before  # for %debug and pdb.pm()


def test_its_files_are_found_nowhere_here(path, tmp_path, monkeypatch):
    """Also once another tool has cleared what linecache knows."""
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "job.py"
    here.write_text("held = 'here only'\n" * 9)
    names = [str(here), "job.py", "os.py", "/dev/zero"]
    frames = [frame(name, source=source) for name in names for source in ([], None)]
    write_bundle(path, {"frames": frames, "kept": []}, {"sources": []})
    error = debugger.as_exception(open_bundle(path).recording)
    for clear in (lambda: None, linecache.clearcache):
        clear()
        for made, lineno in walk(error.__traceback__):
            name = made.f_code.co_filename
            assert not os.path.exists(name)
            found = linecache.getlines(name, made.f_globals)
            assert "here only" not in "".join(found)
            assert "import" not in "".join(found)
            assert lineno == 6


@pytest.mark.parametrize("foreign", [True, False])
def test_its_source_is_no_source_of_this_process(path, foreign):
    """Where another failure has only a function's name and a line, say."""
    text = "\n\n\n\ndef only_in_a_file(x):\n    return 1 / x\n"
    frames = [frame(function="only_in_a_file", source=[[5, "def only_in_a_file(x):"]])]
    write_bundle(path, {"frames": frames}, **{"sources/0.txt": text.encode()})
    recording = replace(open_bundle(path).recording, foreign=foreign)
    debugger.as_exception(recording)
    assert Index().find_text("only_in_a_file", 5) is None


def test_entering_many_bundles_leaves_little_behind(path):
    from dbgkit.debugger import recorded_files

    for number in range(40):
        frames = [frame(f"/{number}-{n}.py", 5 + number) for n in range(100)]
        write_bundle(path, {"frames": frames, "kept": []})
        debugger.as_exception(open_bundle(path).recording)
    ours = [name for name in linecache.cache if "(as recorded" in name]
    assert len(ours) <= recorded_files._MOST_NAMES


def test_a_content_may_lack_what_recorders_of_old_did_not_have(path):
    old = content()
    assert old["more_causes"] == 0
    write_bundle(path, {"frames": [frame(code=[])]})
    assert open_bundle(path).recording.frames[0].code == ()


# -- anything at all ------------------------------------------------------------------

TOLD = manifest(
    call=call(arguments=[{**ARGUMENT, "entry": None}]),
    environment={
        "python": "3.4.2",
        "packages": {"dask": "2020.1"},
        "directory": None,
        "environment": {},
        "configuration": {},
    },
)
RECORDED = {"header": HEADER, "content": content(causes=[cause()])}


@examples(150)
@given(place=st.sampled_from([*places(TOLD)]), wrong=WRONG, trust=st.booleans())
def test_a_wrong_value_in_a_manifest_is_refused_or_shown(tmp_path, place, wrong, trust):
    told = with_wrong(TOLD, place, wrong)
    entries = {"recording.json": as_json(RECORDED), "sources/0.txt": b"", **CALL}
    if isinstance(told, dict):
        told.setdefault("entries", listed(entries))
    _opened_or_refused(tmp_path, {"manifest.json": _json(told), **entries}, trust)


@examples(150)
@given(place=st.sampled_from([*places(RECORDED)]), wrong=WRONG, trust=st.booleans())
def test_a_wrong_value_in_a_recording_is_refused_or_shown(
    tmp_path, place, wrong, trust
):
    data = _json(with_wrong(RECORDED, place, wrong))
    entries = entries_of(said={"call": call()}, **CALL, **{"recording.json": data})
    _opened_or_refused(tmp_path, entries, trust)


def _json(value):
    return json.dumps(value, default=str, skipkeys=True).encode()


def _opened_or_refused(folder, entries, trust):
    path = folder / "any.dbgkit"
    path.write_bytes(zipped(entries))
    try:
        bundle = open_bundle(path, trust=trust)
    except BundleUnreadable as error:
        assert str(path) in str(error) or "format" in str(error)
        return
    repr(bundle), str(bundle.failure), bundle.failure.to_json()
    if bundle.recording is not None:
        repr(bundle.recording), str(bundle.recording), bundle.recording.to_json()
        debugger.as_exception(bundle.recording)
