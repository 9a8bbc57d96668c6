"""What bundles rely on in zipfile, linecache and json, by name."""

from __future__ import annotations

import io
import json
import linecache
import os
import zipfile

import pytest


def test_a_zip_says_where_its_table_of_contents_begins():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", b"12345")
    with zipfile.ZipFile(stream) as archive:
        (info,) = archive.infolist()
        assert archive.start_dir == 30 + len("a.txt") + 5
        assert info.orig_filename == info.filename == "a.txt"
        assert info.header_offset == 0


def test_linecache_looks_for_no_file_whose_name_is_in_angle_brackets(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "<job.py>").write_text("held = 1\n")
    assert linecache.updatecache("<job.py>") == []
    os.mkdir(tmp_path / "<")
    (tmp_path / "<" / "job.py (as recorded)>").write_text("held = 1\n")
    assert linecache.updatecache("</job.py (as recorded)>") == []


def test_linecache_keeps_what_has_no_time_of_change():
    name = "</job.py (as recorded)>"
    linecache.cache[name] = (6, None, ["kept\n"], name)
    try:
        linecache.checkcache()
        linecache.checkcache(name)
        assert linecache.getlines(name, {}) == ["kept\n"]
    finally:
        del linecache.cache[name]


def test_json_hands_over_numbers_as_texts():
    with pytest.raises(ZeroDivisionError):
        json.loads("[123]", parse_int=lambda digits: 1 // (len(digits) - 3))
    with pytest.raises(ZeroDivisionError):
        json.loads("[1.5]", parse_float=lambda digits: 1 // (len(digits) - 3))
