"""Files that are no bundles, or none of ours: each by a name, as a function of a path.

`REFUSED` has what the error has to say; `OPENED` are bundles whose content is hostile.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile

from bundle_files import (
    HEADER,
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
    zipped,
)

# What a terminal obeys, and what a reader does not see.
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\u202e\u200b\ufeff\u2066end"
REFUSED = {}
OPENED = {}


def refused(why):
    def note(write):
        REFUSED[write.__name__] = (write, why)
        return write

    return note


def opened(write):
    OPENED[write.__name__] = write
    return write


# -- no zip at all ----------------------------------------------------------------


@refused("it is empty")
def empty(path):
    path.write_bytes(b"")


@refused("it is no zip")
def text(path):
    path.write_text("hello\n" * 1000)


@refused("dumps of clusters")
def gzipped(path):
    path.write_bytes(b"\x1f\x8b\x08" + os.urandom(10_000))


@refused("it is a folder")
def folder(path):
    path.mkdir()


@refused("No such file")
def missing(path):
    pass


@refused("it is no file")
def pipe(path):
    os.mkfifo(path)


@refused("it is no file")
def device(path):
    path.symlink_to("/dev/zero")


@refused("it is no zip")
def sparse(path):
    with path.open("wb") as file:
        file.truncate(2**40)


@refused("damaged zip|overlap|no zip")
def sparse_with_a_zip_at_its_end(path):
    with path.open("wb") as file:
        file.seek(2**40)
        file.write(bundle_bytes()[:-22] + _end(5, 2**39, 2**39))


@refused("damaged zip")
def cut(path):
    path.write_bytes(bundle_bytes()[:-300])


@refused("damaged zip")
def one_byte_short(path):
    path.write_bytes(bundle_bytes()[:-1])


# -- other zips, and what is wrong with a zip -----------------------------------


@refused("without manifest.json")
def document(path):
    path.write_bytes(zipped({"[Content_Types].xml": b"<x/>", "word/document.xml": b""}))


@refused("without manifest.json")
def zip_of_nothing(path):
    path.write_bytes(zipped({}))


@refused("an entry '../../evil.txt'")
def slip(path):
    path.write_bytes(_with_entry("../../evil.txt"))


@refused("an entry '/tmp/evil.txt'")
def absolute(path):
    path.write_bytes(_with_entry("/tmp/evil.txt"))


@refused("an entry")
def backslashes(path):
    path.write_bytes(_with_entry("sources\\..\\..\\evil.txt"))


@refused("an entry")
def other_script(path):
    path.write_bytes(_with_entry("sources/\u0661.txt"))


@refused("name of an entry")
def name_with_a_nul(path):
    data = _with_entry("sources/1.txtXevil")
    path.write_bytes(data.replace(b"1.txtXevil", b"1.txt\0evil"))


@refused("twice")
def entry_twice(path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries_of().items():
            archive.writestr(name, data)
        archive.fp.seek(0, 2)
        info = archive.filelist[-1]
        archive.filelist.append(info)
        archive._didModify = True
    path.write_bytes(stream.getvalue())


@refused("encrypted")
def encrypted(path):
    path.write_bytes(_patched(bundle_bytes(), 8, 6, b"\x01\x00"))


@refused("compressed in another way")
def other_method(path):
    path.write_bytes(zipped(entries_of(), zipfile.ZIP_LZMA))


@refused("entries")
def seventy_thousand_entries(path):
    entries = {f"sources/{n}.txt": b"" for n in range(15_000)}
    path.write_bytes(zipped({**entries_of(), **entries}, zipfile.ZIP_STORED))


@refused("table of contents")
def endless_table_of_contents(path):
    entries = {f"sources/{n:0200}.txt": b"" for n in range(5_000)}
    path.write_bytes(zipped(entries, zipfile.ZIP_STORED))


@refused("overlap")
def overlapping(path):
    """Many entries of one bomb, which is there once."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries_of().items():
            archive.writestr(name, data)
        archive.writestr("sources/1.txt", bytes(10_000_000))
        last = archive.filelist[-1]
        for number in range(2, 900):
            other = zipfile.ZipInfo(f"sources/{number}.txt")
            for name in ("compress_type", "CRC", "compress_size", "file_size"):
                setattr(other, name, getattr(last, name))
            other.header_offset = last.header_offset
            archive.filelist.append(other)
        archive._didModify = True
    path.write_bytes(stream.getvalue())


@refused("cannot be read")
def flipped_bits(path):
    data = bytearray(bundle_bytes())
    at = data.index(b"recording.json") + 30
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))


@refused("larger than")
def bomb(path):
    big = b'{"header": "' + b"a" * 100_000_000 + b'"}'
    path.write_bytes(bundle_bytes(**{"recording.json": big}))


@refused("not as its manifest.json says|cannot be read")
def bomb_that_lies(path):
    big = b'{"header": "' + b"a" * 30_000_000 + b'"}'
    entries = entries_of(**{"recording.json": big})
    told = manifest(entries=listed({"recording.json": big[:1000]}))
    told["entries"]["sources/0.txt"] = listed(entries)["sources/0.txt"]
    data = zipped({**entries, "manifest.json": as_json(told)})
    said = struct.pack("<L", len(big))
    path.write_bytes(data.replace(said, struct.pack("<L", 1000)))


@refused("larger than")
def bomb_of_a_manifest(path):
    path.write_bytes(zipped({"manifest.json": b" " * 30_000_000}))


@refused("larger than")
def bomb_of_a_source(path):
    path.write_bytes(bundle_bytes(**{"sources/0.txt": bytes(50_000_000)}))


@refused("larger than")
def many_sources(path):
    """Each within its limit."""
    sources = {f"sources/{n}.txt": bytes(2_000_000) for n in range(50)}
    said = [{"file": f"/f{n}.py", "entry": f"sources/{n}.txt"} for n in range(50)]
    path.write_bytes(bundle_bytes(said={"sources": said}, **sources))


@refused("not as its manifest.json says")
def not_listed(path):
    entries = entries_of()
    path.write_bytes(zipped({**entries, "sources/7.txt": b"more"}))


@refused("not as its manifest.json says")
def listed_and_missing(path):
    entries = entries_of()
    del entries["sources/0.txt"]
    path.write_bytes(zipped(entries))


@refused("not as its manifest.json says")
def other_hash(path):
    entries = entries_of()
    entries["sources/0.txt"] = entries["sources/0.txt"].replace(b"x", b"z")
    path.write_bytes(zipped(entries))


# -- manifests --------------------------------------------------------------------


@refused("of format 2, written by dbgkit 9.9.*reads format 1")
def newer(path):
    entries = entries_of(said={"format": 2, "dbgkit": "9.9"})
    path.write_bytes(zipped({**entries, "later/thing.bin": b""}))


@refused("does not say its format")
def format_that_is_none(path):
    path.write_bytes(bundle_bytes(said={"format": True}))


@refused("does not say its format")
def list_for_a_manifest(path):
    path.write_bytes(zipped({"manifest.json": b"[]"}))


@refused("cannot be read")
def no_json(path):
    path.write_bytes(zipped({"manifest.json": b"{'format': 1}"}))


@refused("cannot be read")
def utf_16(path):
    path.write_bytes(zipped({"manifest.json": '{"format": 1}'.encode("utf-16")}))


@refused("levels deep")
def deep(path):
    path.write_bytes(zipped({"manifest.json": b"[" * 200_000}))


@refused("levels deep")
def deep_behind_quotes(path):
    data = b'["\\\\", "\\"[", ' + b'{"a":' * 100_000
    path.write_bytes(zipped({"manifest.json": data}))


@refused("has a name twice")
def name_twice(path):
    path.write_bytes(zipped({"manifest.json": b'{"format": 1, "format": 1}'}))


@refused("digits")
def endless_number(path):
    data = b'{"format": 1' + b"0" * 1_500_000 + b"}"
    path.write_bytes(zipped({"manifest.json": data}))


@refused("digits")
def endless_fraction(path):
    data = b'{"format": 1.' + b"0" * 1_500_000 + b"}"
    path.write_bytes(zipped({"manifest.json": data}))


@refused("values")
def endless_list(path):
    path.write_bytes(zipped({"manifest.json": b"[" + b"[]," * 600_000 + b"0]"}))


@refused("values")
def endless_texts(path):
    path.write_bytes(zipped({"manifest.json": b'"",' * 650_000}))


def _wrong_manifest(name, **said):
    def write(path):
        path.write_bytes(bundle_bytes(said=said))

    write.__name__ = name
    REFUSED[name] = (write, "cannot be read|holds what no bundle")


_wrong_manifest("failure_that_is_none", failure=None)
_wrong_manifest("failure_without_fields", failure={})
_wrong_manifest("time_that_is_none", saved="yesterday")
_wrong_manifest("time_without_a_zone", saved="2026-11-27T10:00:00")
_wrong_manifest("endless_attempts", failure=failure(attempts=10**300))
_wrong_manifest("deep_key", failure=failure(key=[[[[["x"]]]]] * 3 + [{"a": 1}]))
_wrong_manifest("sources_elsewhere", sources=[{"file": "/a", "entry": "/etc/passwd"}])
_wrong_manifest(
    "source_out_of_the_manifest", sources=[{"file": "/a", "entry": "manifest.json"}]
)
_wrong_manifest("call_of_another_kind", call=call(what="anything"))
_wrong_manifest("origin_with_more", failure=failure(came_from=[{"text": "a", "z": 1}]))


@refused("cannot be read")
def entries_that_are_none(path):
    told = manifest(entries=[1])
    path.write_bytes(zipped({**entries_of(), "manifest.json": as_json(told)}))


# -- recordings -------------------------------------------------------------------


def _wrong_recording(name, why, **recorded):
    def write(path):
        path.write_bytes(bundle_bytes(recorded))

    write.__name__ = name
    REFUSED[name] = (write, why)


_NONE = "holds what no bundle holds"
_wrong_recording("frames_that_are_none", _NONE, frames=5)
_wrong_recording("parent_out_of_range", _NONE, causes=[cause(parent=7)])
_wrong_recording("negative_parent", _NONE, causes=[cause(parent=-5)])
_wrong_recording("own_parent", _NONE, causes=[cause(parent=0)])
_wrong_recording("unknown_link", _NONE, causes=[cause(how="magic")])
_wrong_recording("endless_line_number", _NONE, frames=[frame(lineno=10**300)])
_wrong_recording("time_of_no_clock", _NONE, when=float("nan"))


@refused(_NONE)
def recording_that_is_a_list(path):
    path.write_bytes(bundle_bytes(**{"recording.json": b"[]"}))


@refused(_NONE)
def header_of_another_kind(path):
    form = {"header": {**HEADER, "worker": 5}, "content": content()}
    path.write_bytes(bundle_bytes(**{"recording.json": as_json(form)}))


@refused("levels deep")
def deep_recording(path):
    path.write_bytes(bundle_bytes(**{"recording.json": b"[" * 200_000}))


def _recorded(name, **recorded):
    def write(path):
        path.write_bytes(bundle_bytes(recorded))

    write.__name__ = name
    OPENED[name] = write


_recorded("many_frames", frames=[frame(lineno=n) for n in range(1, 3_000)], kept=[])
_MANY = [local(f"v{n}", "1") for n in range(3_000)]
_recorded("many_locals", frames=[frame(locals=_MANY)])
_recorded("far_line", frames=[frame(lineno=10**12)])
_recorded("far_line_here", frames=[frame(f"/f{n}.py", 999_999) for n in range(40)])
_recorded("far_source", frames=[frame(source=[[10**15, "x"], [-5, "y"], [6, "z"]])])
_recorded("line_before_the_first", frames=[frame(lineno=-1), frame(lineno=0), frame()])
_recorded("many_causes", causes=[cause(parent=n - 1) for n in range(2_000)])
_recorded("values_of_nothing", kept=[[99, "x", 1], [-1, "x", 1], [True, "x", 1]])
_recorded("long_texts", message="m" * 2_000_000, traceback_text="t" * 2_000_000)
_recorded(
    "line_number_of_many_digits",
    traceback_text=f'  File "/x.py", line {"9" * 5_000}, in f\n    1\n',
)
_recorded(
    "traceback_that_takes_time",
    traceback_text='  File "' + '", line 1' * 100_000 + "\n" + "| " * 100_000,
)
_recorded("no_frames", frames=[], kept=[])
_recorded("infinities", seconds=float("inf"), kept=[[0, "x", float("nan")]])
_recorded(
    "odd_names",
    exception_type="A\0\n\x1b[31mB" + "C" * 5_000,
    frames=[
        frame(function="f\n\x1b[31mg"),
        frame(function="\ud800"),
        frame(
            locals=[
                local("a b", "1"),
                local("\x1b[31m", "1"),
                local("__builtins__", "{}"),
                local("__pdb_convenience_variables", "{}"),
                local("__tracebackhide__", "True"),
                local("__return__", "1"),
                local("__exception__", "1"),
                local("x\u3164", "1"),
                local("good", "1", "T\x1b[31m\n"),
            ]
        ),
    ],
    kept=[
        [2, "__builtins__", ["dict", []]],
        [2, "__pdb_convenience_variables", 5],
        [2, "__tracebackhide__", True],
    ],
)
_recorded(
    "escapes",
    message=ESCAPES,
    exception_type=f"E{ESCAPES}",
    traceback_text=f'  File "/{ESCAPES}.py", line 6, in {ESCAPES}\n    {ESCAPES}\n',
    frames=[
        frame(
            f"/home/{ESCAPES}/job.py",
            source=[[5, "a = 1"], [6, f"raise {ESCAPES}"]],
            locals=[local("x", ESCAPES, ESCAPES), local("y", ESCAPES)],
        )
    ],
    kept=[[0, "x", ESCAPES], [0, "y", ["list", ["\r\u202e\ufeffplain"]]]],
    causes=[cause(message=ESCAPES, exception_type=ESCAPES)],
    secret_names=[ESCAPES],
)
MARKUP = '<script>"own"</script><img src=x onerror=own()>[bold red]'
_recorded(
    "markup",
    message=MARKUP,
    exception_type=MARKUP,
    frames=[frame(MARKUP, source=[[6, MARKUP]], locals=[local("x", MARKUP, MARKUP)])],
    causes=[cause(message=MARKUP)],
    came_from=[{"text": MARKUP}],
)
_recorded("half_surrogates", message="\ud800", kept=[[0, "x", "\udfff"]])


@opened
def escapes_in_its_manifest(path):
    said = {
        "failure": failure(
            name=ESCAPES,
            message=ESCAPES,
            exception_type=ESCAPES,
            worker=ESCAPES,
            notes=[ESCAPES],
            came_from=[{"text": ESCAPES, "path": ESCAPES}],
            key=[ESCAPES],
            kind=ESCAPES,
        ),
        "notes": [ESCAPES],
        "dbgkit": ESCAPES,
        "python": ESCAPES,
        "call": call(function=ESCAPES),
        "sources": [{"file": ESCAPES, "entry": "sources/0.txt"}],
    }
    path.write_bytes(bundle_bytes(said=said, **{"sources/0.txt": ESCAPES.encode()}))


class _Runs:
    def __reduce__(self):
        return os.system, ("echo ran > ran.txt",)


@opened
def pickle_that_runs(path):
    said = {"call": call(modules=["antigravity", "this"])}
    more = {"pickles/call.pickle": pickle.dumps(_Runs())}
    path.write_bytes(bundle_bytes(said=said, **more))


@opened
def no_pickle_at_all(path):
    more = {"pickles/call.pickle": b"\x80\x05" + bytes(100_000)}
    path.write_bytes(bundle_bytes(said={"call": call()}, **more))


# -- names of files ---------------------------------------------------------------

# Relative ones are looked for along sys.path.
NAMES = ["/dev/zero", "local.py", "./local.py", "os.py", "pipe.py", "", "a\0b", "~"]
NAMES += ["<frozen os>", "<string>", "<stdin>", "<dynamic-code>", "http://x/y", "C:\\x"]
NAMES += ["<ipython-input-1-0123456789ab>", "/proc/self/mem", "//host/share/x.py"]
NAMES += ["/tmp/ipykernel_1/2.py", "a" * 5_000, "../" * 50 + "etc/passwd", "x" * 300]


@opened
def names_of_files(path):
    """A file of each name, with a line and without one; with all of its text, too."""
    frames = [frame(name, source=source) for name in NAMES for source in ([], None)]
    frames.append(frame(source=[]))  # the last one is where the prompt is
    texts = "".join(
        f'  File "{name}", line 2, in f\n    held here\n' for name in NAMES if name
    )
    recorded = {"frames": frames, "kept": [], "traceback_text": texts}
    said = {"failure": failure(traceback_text=texts)}
    path.write_bytes(bundle_bytes(recorded, said))


# -- values that are far larger than their text -------------------------------------

_RANGE = ["range", None, [0, 10**9, 1]]
_FLOATS = ["array", ["<f8", [1], b"12345678", "C", False]]
VALUES = {
    "scalar_series": ["series", [None, ["float64", 1.0], _RANGE]],
    "series_of_a_text": [
        "series",
        [None, ["object", "abc"], ["range", None, [0, 3, 1]]],
    ],
    "series_of_a_range": [
        "series",
        [None, ["int64", ["range", [0, 10**9, 1]]], _RANGE],
    ],
    "column_of_ranges": [
        "series",
        [
            None,
            ["string[python]", ["list", [["range", [0, 10**9, 1]]]]],
            ["range", None, [0, 1, 1]],
        ],
    ],
    "frame_of_a_range": [
        "frame",
        [
            ["range", None, [0, 1, 1]],
            [["int64", ["range", [0, 10**9, 1]]]],
            _RANGE,
        ],
    ],
    "empty_frame": ["frame", [["range", None, [0, 0, 1]], [], _RANGE]],
    "frame_of_labels": ["frame", [_RANGE, [], ["range", None, [0, 0, 1]]]],
    "many_columns": [
        "frame",
        [
            ["range", None, [0, 5_000, 1]],
            [["int64", ["array", ["<i8", [0], b"", "C", False]]]] * 5_000,
            ["range", None, [0, 0, 1]],
        ],
    ],
    "index_of_a_range": [
        "series",
        [None, ["float64", _FLOATS], ["index", None, ["int64", _RANGE], None]],
    ],
    "wide_text": ["array", ["<U1000000000", [0], b"", "C", False]],
    "wide_text_scalar": ["scalar", ["<U1000000000", [1], b"", "C", False]],
    "subarray": ["array", ["(1000000000,)f8", [0], b"", "C", False]],
    "void": ["array", ["V2000000000", [0], b"", "C", False]],
    "objects": ["array", ["O", [1], b"12345678", "C", False]],
    "fields": ["array", ["i4,i4", [1], b"12345678", "C", False]],
    "endless_nothing": ["array", ["<f8", [0, 10**12], b"", "C", False]],
    "category": ["series", [None, ["category", ["list", ["a"]]], _RANGE]],
    "zoned": ["series", [None, ["datetime64[ns, UTC]", ["list", ["2020"]]], _RANGE]],
    "extension": [
        "series",
        [None, ["Int64", ["list", [1]]], ["range", None, [0, 1, 1]]],
    ],
    "interval": [
        "series",
        [None, ["interval[int64]", ["list", []]], ["range", None, [0, 0, 1]]],
    ],
    "dates_to_parse": [
        "series",
        [
            None,
            ["datetime64[ns]", ["list", ["yesterday"] * 5_000]],
            ["range", None, [0, 5_000, 1]],
        ],
    ],
    "dates_to_generate": [
        "series",
        [
            None,
            ["int64", ["array", ["<i8", [100_000], bytes(800_000), "C", False]]],
            [
                "index",
                None,
                [
                    "datetime64[ns]",
                    ["array", ["<M8[ns]", [100_000], bytes(800_000), "C", False]],
                ],
                "MS",
            ],
        ],
    ],
    "frequency": [
        "series",
        [
            None,
            ["float64", _FLOATS],
            ["index", None, ["datetime64[ns]", _FLOATS], "C" * 100_000],
        ],
    ],
    "nesting": None,
    "long_integer": ["int", "0x" + "f" * 2_000_000],
    "integers_of_one_hash": [
        "set",
        [["int", hex(n * (2**61 - 1) + 5)] for n in range(5_000)],
    ],
    "numbers_of_one_hash": [
        "dict",
        [[["complex", [-1000003.0 * n, float(n)]], n] for n in range(5_000)],
    ],
    "unhashable": ["set", [["list", []]]],
    "not_a_pair": ["dict", [[1, 2, 3]]],
    "bytes_of_nothing": ["bytearray", 10**12],
    "no_base64": ["b64", "$$$$\ud800"],
    "no_such_kind": ["no such", 1],
    "tag_that_is_a_list": [["list"], 1],
    "mapping": {"a": 1},
    "one_part": ["list"],
}
_deep = 1
for _ in range(25):
    _deep = ["list", [_deep]]
VALUES["nesting"] = _deep


@opened
def values_that_explode(path):
    names = list(VALUES)
    frames = [frame(locals=[local(name, "as text", "thing") for name in names])]
    kept = [[0, name, VALUES[name]] for name in names]
    path.write_bytes(bundle_bytes({"frames": frames, "kept": kept}))


@opened
def many_values(path):
    """Each of them small."""
    series = ["series", [None, ["float64", _FLOATS], ["range", None, [0, 1, 1]]]]
    names = [f"v{n}" for n in range(900)]
    frames = [frame(locals=[local(name, "as text") for name in names])]
    kept = [[0, name, series] for name in names] * 8
    path.write_bytes(bundle_bytes({"frames": frames, "kept": kept}))


# -- parts of zips ----------------------------------------------------------------


def _with_entry(name, data=b"evil"):
    return zipped({**entries_of(), name: data})


def _end(entries, size, offset):
    """The end of a zip: how many entries, and where its table of contents is."""
    size, offset = min(size, 2**32 - 2), min(offset, 2**32 - 2)
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, entries, entries, size, offset, 0)


def _patched(data, central, place, new):
    """The zip with other bytes in each entry of its table, and before each entry."""
    found = bytearray(data)
    for mark, at in ((b"PK\1\2", central), (b"PK\3\4", place)):
        start = found.find(mark)
        while start >= 0:
            found[start + at : start + at + len(new)] = new
            start = found.find(mark, start + 4)
    return bytes(found)
