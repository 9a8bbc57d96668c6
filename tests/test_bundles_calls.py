"""Calls that fail, written into a file and read in another process, and Python."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import linecache
import os
import pickletools
import shutil
import subprocess
import sys
import textwrap
import traceback
import types
import zipfile
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from pythons import OTHERS, needs_others

import dbgkit
from dbgkit.bundles.calls import read_call, write_call
from dbgkit.bundles.manifest import CALL
from dbgkit.errors import BundleUnreadable

HERE = Path(__file__).parent
ROOT = Path(dbgkit.__file__).parents[1]
LIMIT = 10_000_000


def run(python, *args, cwd=None, stdin=""):
    """What a Python prints, in an environment that knows dbgkit alone."""
    done = subprocess.run(
        [python, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(cwd or "")},
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def run_forms(python, folder):
    """How calls of each form failed in the program that wrote them, which is gone."""
    program = folder / "job.py"
    shutil.copy(HERE / "bundle_forms.py", program)
    found = json.loads(run(python, program, folder, cwd=folder))
    program.unlink()
    return found


def read_by(python, folder):
    return json.loads(run(python, HERE / "bundle_reading.py", folder))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return folder, run_forms(sys.executable, folder)


def differing(written, read):
    """Forms that fail in another way than they did, the line of a library aside."""
    assert written.keys() == read.keys()
    found = {}
    for name, (fails, _, _) in written.items():
        known = 3 if name == "frame" else 4  # pandas may be another one
        if fails[:known] != read[name][:known]:
            found[name] = (fails, read[name])
    return found


def test_calls_of_every_form_fail_alike_in_another_process(written):
    folder, found = written
    assert not differing(found, read_by(sys.executable, folder))


def test_code_without_a_text_alone_travels_as_bytecode(written):
    _, found = written
    assert [name for name, (_, bytecode, _) in found.items() if bytecode] == [
        "executed"
    ]


def test_packages_are_named_that_reading_imports(written):
    _, found = written
    needed = {name: modules for name, (_, _, modules) in found.items() if modules}
    assert needed == {"frame": ["numpy", "pandas", "pyarrow"]}


@needs_others
def test_each_python_reads_what_each_other_wrote(written, tmp_path):
    folder, found = written
    both = {sys.executable: (folder, found)}
    for number, python in enumerate(OTHERS):
        (tmp_path / str(number)).mkdir()
        both[python] = (
            tmp_path / str(number),
            run_forms(python, tmp_path / str(number)),
        )
    versions = {
        python: run(python, "-c", "import sys; print(sys.version_info[:2])")
        for python in both
    }
    wrong = {}
    for writer, (folder, found) in both.items():
        for reader in both:
            others = differing(found, read_by(reader, folder))
            if versions[reader] != versions[writer]:
                _, (refused, *rest) = others.pop("executed")
                assert "bytecode of another version" in refused and not rest
            if others:
                wrong[writer, reader] = others
    assert not wrong


def test_cells_of_a_notebook_travel_as_they_ran(tmp_path):
    # GIVEN functions of cells: below a magic, with await, redefined since
    said = run(sys.executable, HERE / "bundle_cells.py", tmp_path, cwd=tmp_path)
    # WHEN they are read where these cells never were
    read = read_by(sys.executable, tmp_path)
    # THEN each has its text, on the line that it has in its cell
    assert "BYTECODE []" in said
    assert {name: fails[2:] for name, fails in read.items()} == {
        "plain": ["return 1 / x  # cell", 2],
        "timed": ["return 2 / x  # timed", 2],
        "awaited": ["return 3 / x  # awaited", 4],
        "later": ["return 4 / x  # later", 4],
        "later_too": ["return 4 / x  # later too", 2],
        "old": ["twice = lambda x: 5 / x  # first", 1],
        "twice": ["twice = lambda x: 6 / x  # second", 2],
        "method": ["return 7 / x  # method", 3],
    }


WRITES = """
import sys, zipfile
sys.path.insert(0, {root!r})
from dbgkit.bundles.calls import write_call
def fail(x):
    return 1 / x
{then}
with zipfile.ZipFile({file!r}, "w") as archive:
    print(write_call(archive, fail, (0,), {{}}).bytecode)
"""


def program(folder, then=""):
    text = WRITES.format(root=str(ROOT), then=then, file=str(folder / "fail.zip"))
    return textwrap.dedent(text)


def test_a_file_that_was_edited_since_is_not_written_as_what_ran(tmp_path):
    # GIVEN a script whose function is edited as it runs
    path = tmp_path / "job.py"
    path.write_text(
        program(
            tmp_path,
            "from pathlib import Path\n"
            "text = Path(__file__).read_text()\n"
            "Path(__file__).write_text(text.replace('1 / x', '2 / x'))",
        )
    )
    # THEN its bytecode is written, and does what it did
    assert run(sys.executable, path, cwd=tmp_path).strip() == "True"
    assert read_by(sys.executable, tmp_path)["fail"][:2] == [
        "ZeroDivisionError",
        "division by zero",
    ]


def test_a_function_that_has_only_moved_has_its_text_and_its_lines(tmp_path):
    path = tmp_path / "job.py"
    path.write_text(
        program(
            tmp_path,
            "from pathlib import Path\n"
            "text = Path(__file__).read_text()\n"
            "Path(__file__).write_text('# more\\n' * 3 + text)",
        )
    )
    assert run(sys.executable, path, cwd=tmp_path).strip() == "False"
    assert read_by(sys.executable, tmp_path)["fail"][2:] == ["return 1 / x", 6]


def test_a_program_of_the_command_line_has_its_text(tmp_path):
    assert run(sys.executable, "-c", program(tmp_path)).strip() == "False"
    assert read_by(sys.executable, tmp_path)["fail"][2:] == ["return 1 / x", 6]


def test_a_program_from_standard_input_has_none(tmp_path):
    assert run(sys.executable, "-", stdin=program(tmp_path)).strip() == "True"
    assert read_by(sys.executable, tmp_path)["fail"][0] == "ZeroDivisionError"


def test_an_optimised_program_is_read_as_it_ran(tmp_path):
    path = tmp_path / "job.py"
    path.write_text(program(tmp_path).replace("return 1 / x", "assert x; return 1 / x"))
    assert run(sys.executable, "-O", path, cwd=tmp_path).strip() == "False"
    assert read_by(sys.executable, tmp_path)["fail"][0] == "ZeroDivisionError"


# -- in this process -----------------------------------------------------------


def archive_of(function, *args, **kwargs):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        written = write_call(archive, function, args, kwargs)
    return zipfile.ZipFile(file), written


def there_and_back(function, *args, **kwargs):
    archive, written = archive_of(function, *args, **kwargs)
    return written, read_call(archive.open, LIMIT)


def pickled_texts(archive):
    data = archive.read(CALL)
    return [text for _, text, _ in pickletools.genops(data) if type(text) is str]


def test_as_little_of_a_file_is_written_as_gives_the_code():
    def fail(x):
        return 1 / x

    archive, _ = archive_of(fail, 0)
    (text,) = (text for text in pickled_texts(archive) if "return 1 / x" in text)
    assert text.startswith("def test_as_little_of") and len(text) < 500


def test_a_text_is_written_once():
    def fail(x):
        return 1 / x

    def other(x):
        return 2 / x

    archive, _ = archive_of(fail, other)
    assert sum("return 2 / x" in text for text in pickled_texts(archive)) == 1


def test_asserts_that_pytest_rewrote_are_bytecode():
    def fail(x):
        assert x == 1

    written, (function, args, _) = there_and_back(fail, 0)
    assert written.bytecode
    with pytest.raises(AssertionError, match="assert 0 == 1"):
        function(*args)


class Packed:
    """Is pickled as a pickle of its own, as some libraries do."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        return cloudpickle.loads, (cloudpickle.dumps(self.function),)


def test_pickles_within_the_pickle_count_as_bytecode():
    written, (_, (function,), _) = there_and_back(print, Packed(lambda x: 1 / x))
    assert written.bytecode
    with pytest.raises(ZeroDivisionError):
        function(0)


def test_data_is_stored_apart_wherever_it_is_and_once():
    array, frame = np.arange(3.0), pd.DataFrame({"a": [1, 2]})
    rows = list(range(1_000))
    written, (_, args, kwargs) = there_and_back(
        print, array, [array, {"frame": frame}], rows, frame=frame, more={"rows": rows}
    )
    formats = {id(array): "npy", id(frame): "arrow", id(rows): "json"}
    found = {which: stored.format for which, stored in written.stored.items()}
    assert found == formats
    assert len(written.entries) == 4
    # What was one object is one object.
    assert args[0] is args[1][0]
    assert args[1][1]["frame"] is kwargs["frame"]
    assert args[2] is kwargs["more"]["rows"] and args[2] == rows


def test_data_that_a_function_holds_is_that_of_its_arguments():
    array, rows = np.arange(3.0), [[n] for n in range(500)]

    def same(one, other):
        return one is array and other is rows

    _, (function, args, _) = there_and_back(same, array, rows)
    assert function(*args)


def test_containers_that_share_a_part_go_on_sharing_it():
    part = [1, 2]
    one, other = [part, *range(500)], [part, *range(500, 1_000)]
    whole = [[3], *range(500)]
    written, (_, args, _) = there_and_back(print, one, other, whole, {"part": whole[0]})
    assert args[0][0] is args[1][0] and args[2][0] is args[3]["part"]
    assert not written.stored


def test_a_container_that_holds_itself_is_left_in_the_pickle():
    rows = list(range(1_000))
    rows.append(rows)
    written, (_, args, _) = there_and_back(print, rows)
    assert args[0][-1] is args[0] and not written.stored


def test_small_and_other_values_stay_in_the_pickle():
    class Own(list):
        pass

    values = ([1, 2], "text", 3, Own(range(1_000)), np.float64(2), np.ma.array([1]))
    written, (_, args, _) = there_and_back(print, *values)
    kept = {stored.format for stored in written.stored.values()}
    assert kept <= {"npy"}  # of the masked array, its numbers
    assert list(map(type, args))[:3] == [list, str, int]
    assert type(args[3]).__name__ == "Own" and list(args[3]) == list(range(1_000))


def test_many_arrays_are_not_as_many_entries():
    small = [np.arange(3.0) for _ in range(3_000)]
    large = [np.arange(300.0) for _ in range(1_500)]
    written, (_, args, _) = there_and_back(print, small, large)
    assert 400 < len(written.stored) <= 500
    assert all(map(np.array_equal, args[1], large))
    assert all(map(np.array_equal, args[0], small))


def test_lambdas_alike_on_a_line_are_told_apart():
    one, other = lambda x: 1 / x, lambda x: 1 / x
    for function in (one, other):
        _, (found, _, _) = there_and_back(function, 0)
        # Before Python 3.11 there is nothing that tells them apart.
        columns = getattr(found.__code__, "co_positions", list)
        assert list(columns()) == list(
            getattr(function.__code__, "co_positions", list)()
        )


def test_a_class_of_this_process_that_has_not_changed_is_itself_used():
    @dataclasses.dataclass
    class Model:
        rate: float = 1.0

        @functools.cached_property
        def cached(self):
            return self.rate / 0

        def fail(self, x):
            return self.rate / x

    _, (function, _, _) = there_and_back(Model().fail, 0)
    assert type(function.__self__) is Model


def test_an_array_that_is_locked_is_locked_afterwards():
    array = np.arange(3.0)
    array.flags.writeable = False
    frame = pd.DataFrame(array.reshape(3, 1), copy=False)

    def write(array, frame):
        array[0] = 1

    _, (function, args, _) = there_and_back(write, array, frame)
    with pytest.raises(ValueError, match="read-only"):
        function(*args)
    assert not args[1]._mgr.blocks[0].values.flags.writeable


def test_of_what_cannot_be_pickled_nothing_is_in_the_archive():
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        with pytest.raises(TypeError, match="cannot pickle"):
            write_call(archive, print, (np.arange(3.0), sys._getframe()), {})
        assert archive.namelist() == []


def test_entries_are_noted_with_size_and_hash():
    from hashlib import sha256

    archive, written = archive_of(print, np.arange(3.0), list(range(1_000)))
    assert sorted(archive.namelist()) == sorted(written.entries)
    for name, noted in written.entries.items():
        data = archive.read(name)
        assert noted == {"nbytes": len(data), "sha256": sha256(data).hexdigest()}


def test_a_module_goes_by_name_or_by_value_if_registered():
    module = types.ModuleType("some_module")
    module.__file__ = "/nowhere/some_module.py"
    text = "def fail(x):\n    return 1 / x\n"
    exec(compile(text, module.__file__, "exec"), vars(module))
    linecache.cache[module.__file__] = (
        *(len(text), None, text.splitlines(True), module.__file__),
    )
    sys.modules["some_module"] = module
    try:
        written, _ = there_and_back(module.fail, 0)
        assert written.modules == ("some_module",)
        cloudpickle.register_pickle_by_value(module)
        written, (function, args, _) = there_and_back(module.fail, 0)
        assert written.modules == () and not written.bytecode
        with pytest.raises(ZeroDivisionError):
            function(*args)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules["some_module"], linecache.cache[module.__file__]


def test_what_cannot_be_imported_is_named():
    module = types.ModuleType("gone_module")
    module.fail = types.FunctionType((lambda: 1).__code__, {}, "fail")
    module.fail.__module__, module.fail.__qualname__ = "gone_module", "fail"
    sys.modules["gone_module"] = module
    try:
        archive, written = archive_of(module.fail)
    finally:
        del sys.modules["gone_module"]
    assert written.modules == ("gone_module",)
    with pytest.raises(BundleUnreadable, match="gone_module"):
        read_call(archive.open, LIMIT)


# -- where a text is shown -----------------------------------------------------


def compiled(path, text):
    """A function of a text that only ``linecache`` has."""
    filename = str(path)
    space = {"__name__": "__main__"}
    linecache.cache[filename] = (len(text), None, text.splitlines(True), filename)
    exec(compile(text, filename, "exec"), space)
    return space["fail"]


def shown(function, *args):
    """The file and the text of the line that failed."""
    try:
        function(*args)
    except ZeroDivisionError as error:
        found = traceback.extract_tb(error.__traceback__)[-1]
        return found.filename, found.line


def read_function(archive):
    return read_call(archive.open, LIMIT)[0]


def test_a_text_does_not_stand_in_for_another_file_of_its_name(tmp_path):
    # GIVEN a call of a file that has another text where it is read
    path = tmp_path / "job.py"
    archive, _ = archive_of(compiled(path, "\ndef fail(x):\n    return 1 / x\n"), 0)
    del linecache.cache[str(path)]
    path.write_text("def own():\n    return 3\n\n# more\n")
    # THEN both are shown as they are
    assert shown(read_function(archive), 0) == (f"{path} (as saved)", "return 1 / x")
    assert linecache.getline(str(path), 2) == "    return 3\n"


def test_a_file_that_has_the_same_text_is_itself_shown(tmp_path):
    path = tmp_path / "job.py"
    text = "import os\n\ndef fail(x):\n    return 1 / x\n"
    archive, _ = archive_of(compiled(path, text), 0)
    del linecache.cache[str(path)]
    path.write_text(text)
    assert shown(read_function(archive), 0) == (str(path), "return 1 / x")
    assert linecache.getline(str(path), 1) == "import os\n"


def test_parts_of_a_file_that_is_not_here_are_shown_together(tmp_path):
    path = tmp_path / "job.py"
    text = "def fail(x):\n    return 1 / x\n"
    first, _ = archive_of(compiled(path, f"{text}\n\n"), 0)
    second, _ = archive_of(compiled(path, f"\n\n\n{text.replace('1', '2')}"), 0)
    del linecache.cache[str(path)]
    functions = [read_function(first), read_function(second)]
    found = [shown(function, 0) for function in functions]
    assert found == [(str(path), "return 1 / x"), (str(path), "return 2 / x")]


def test_a_pipe_of_that_name_is_not_read(tmp_path):
    path = tmp_path / "job.py"
    archive, _ = archive_of(compiled(path, "def fail(x):\n    return 1 / x\n"), 0)
    del linecache.cache[str(path)]
    os.mkfifo(path)
    assert shown(read_function(archive), 0) == (f"{path} (as saved)", "return 1 / x")


def test_lines_are_counted_as_python_counts_them(tmp_path):
    text = "x = '''\x0c\x1c\u2028'''\r\n\r\ndef fail(x):\r\n    return 1 / x\r\n"
    path = tmp_path / "job.py"
    path.write_bytes(text.encode())
    space = {"__name__": "__main__"}
    exec(compile(text, str(path), "exec"), space)
    archive, written = archive_of(space["fail"], 0)
    path.unlink()
    linecache.checkcache()
    assert not written.bytecode
    assert shown(read_function(archive), 0) == (str(path), "return 1 / x")


def test_a_class_of_this_process_keeps_what_was_mended_since():
    class Model:
        def fail(self, x):
            return 1 / x

    archive, _ = archive_of(Model().fail, 0)
    mended = Model.fail = lambda self, x: 0
    function, args, _ = read_call(archive.open, LIMIT)
    with pytest.raises(ZeroDivisionError):
        function(*args)
    assert Model.fail is mended


# -- damaged, or of others -----------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"garbage", cloudpickle.dumps(1), cloudpickle.dumps((1, 2))),
        b"\x80\x05C\x03abcQ.",  # an entry whose name is bytes
        b"\x80\x05\x8c\x0einputs/9.arrowQ.",  # an entry that is not there
        b"\x80\x05ccloudpickle.cloudpickle\n_no_such_function\n.",
        b"\x80\x05cdbgkit.bundles.codes\nread_later\n.",
    ],
)
def test_a_pickle_that_is_none_of_ours_is_a_clear_error(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(CALL, data)
    with pytest.raises(BundleUnreadable):
        read_call(zipfile.ZipFile(file).open, LIMIT)


def test_a_pickle_over_the_limit_is_not_read():
    archive, _ = archive_of(functools.partial(print), "x" * 900)
    with pytest.raises(BundleUnreadable, match="more than 100 bytes"):
        read_call(archive.open, 100)
