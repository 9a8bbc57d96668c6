"""Modules that workers lack, have otherwise, or imported before they were edited."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
import types
import zipfile
from contextlib import ExitStack, contextmanager

import cloudpickle
import pytest
from fuzzing import bounded
from watching import unchanged, wait_until

import dbgkit
from dbgkit.diagnose.doctor.modules import modules_here
from dbgkit.remote.common.modules import missing_modules, missing_names
from dbgkit.remote.worker import doctor_modules
from dbgkit.remote.worker.doctor_modules import ModuleFiles, compare_modules

NAME = "dbgkit_trades"
FIRST = """
    import functools

    import dask

    @functools.lru_cache
    def price(x):
        return x / 2

    @dask.delayed
    def lazy(x):
        return x + 1

    class Book:
        def total(self):
            return 1

        @staticmethod
        def empty():
            return []

        @property
        def size(self):
            return 0
"""


def write(folder, text=FIRST, name=NAME):
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def trades(tmp_path, monkeypatch):
    """A module of the user's own, imported here."""
    path = write(tmp_path / "here")
    monkeypatch.syspath_prepend(str(path.parent))
    importlib.invalidate_caches()
    yield importlib.import_module(NAME)
    sys.modules.pop(NAME)


def about(checkup, name=NAME):
    """Findings on the module alone: the tests' own are not on other workers either."""
    found = [each for each in checkup.findings if each.check == "modules"]
    return [
        (each, line)
        for each in found
        for line in each.evidence
        if line.startswith(f"{name}:")
    ]


@contextmanager
def worker_in(client, folder):
    """A worker that finds modules in a folder, and not where this process does."""
    folder.mkdir(exist_ok=True)
    before = len(client.scheduler_info(n_workers=-1)["workers"])
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_worker"),
            *(client.scheduler.address, "--no-nanny"),
        ],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        client.wait_for_workers(before + 1, timeout=30)
        yield
    finally:
        process.terminate()
        process.wait()


def test_other_files_on_workers_and_missing_ones(harmable, trades, tmp_path):
    write(tmp_path / "there", "def price(x):\n    return x / 3\n")
    # Line ends of another system are no other text.
    write(tmp_path / "same").write_bytes(
        textwrap.dedent(FIRST).replace("\n", "\r\n").encode()
    )
    with harmable(n_workers=0) as client, ExitStack() as stack:
        for folder in ("there", "same", "none"):
            stack.enter_context(worker_in(client, tmp_path / folder))
        with unchanged(client):
            found = about(dbgkit.doctor())
    (missing, gone), (differing, other) = found
    assert missing.level == differing.level == "warning"
    assert missing.summary.startswith("workers cannot import ")
    assert f"{trades.__file__} here, missing on worker tcp://" in gone
    assert differing.summary.startswith(f"workers have other source files of '{NAME}'")
    assert "do not run the code that you read here" in differing.summary
    there = tmp_path / "there" / f"{NAME}.py"
    assert f"here, another text in {there} on worker tcp://" in other


def test_an_uploaded_file_of_an_older_version(harmable, trades):
    path = trades.__file__
    with harmable(n_workers=0) as client, ExitStack() as stack:
        stack.enter_context(worker_in(client, client_folder(path)))
        client.upload_file(path)
        assert not about(dbgkit.doctor())
        with open(path, "a") as file:
            file.write("\n\ndef late():\n    return 1\n")
        ((found, line),) = about(dbgkit.doctor())
        assert "an uploaded version of another text on worker tcp://" in line
        assert f"client.upload_file({path!r}) replaces it" in found.advice
        client.upload_file(path)
        assert not about(dbgkit.doctor())


def client_folder(path):
    import pathlib

    return pathlib.Path(path).parent.parent / "elsewhere"


def test_a_module_that_was_edited_after_workers_had_imported_it(harmable, trades):
    with harmable(n_workers=1) as client:
        assert client.submit(trades.price, 4).result() == 2
        write_edited(trades)
        (workers, there), (mine, here) = about(dbgkit.doctor())
        assert "changed after workers had imported it" in workers.summary
        assert there.startswith(f"{NAME}: price, lazy, Book.total on worker tcp://")
        assert "changed after this process had imported it" in mine.summary
        assert here == f"{NAME}: price, lazy, Book.total"
        importlib.reload(trades)
        ((left, _),) = about(dbgkit.doctor())
        assert "workers had imported" in left.summary
        client.upload_file(trades.__file__)
        assert not about(dbgkit.doctor())
        assert client.submit(trades.price, 4, pure=False).result() == 4 / 33


def write_edited(module):
    text = textwrap.dedent(FIRST)
    for before, after in (("x / 2", "x / 33"), ("x + 1", "x + 11"), ("n 1", "n 11")):
        text = text.replace(before, after)
    with open(module.__file__, "w") as file:
        file.write(text)


def test_what_was_moved_or_commented_is_not_edited(trades):
    with open(trades.__file__, "w") as file:
        file.write("# a comment\n\n" + textwrap.dedent(FIRST))
    assert ModuleFiles().describe(NAME)["edited"] == []


@pytest.mark.parametrize("text", ["def price(x:\n", "\0", "x = '\\ud800'\n#\xff"])
def test_a_file_that_is_being_edited_is_no_error(trades, text):
    with open(trades.__file__, "w", encoding="latin-1") as file:
        file.write(text)
    assert len(ModuleFiles().describe(NAME)["edited"]) in (0, 3, 5)


def test_a_file_that_blocks_or_is_too_large_is_not_read(trades, monkeypatch):
    monkeypatch.setattr(doctor_modules, "MOST_BYTES", 10)
    assert not ModuleFiles().describe(NAME)["digest"]
    monkeypatch.undo()
    os.unlink(trades.__file__)
    os.mkfifo(trades.__file__)
    assert not ModuleFiles().describe(NAME)["digest"]
    os.unlink(trades.__file__)
    assert not ModuleFiles().describe(NAME)["digest"]


class Raises(types.ModuleType):
    """A module that runs code as it is asked for anything."""

    def __getattribute__(self, name):
        raise RuntimeError(f"asked for {name}")


class Nothing:
    __slots__ = ()


def without_name():
    """A module that has none of what modules have, and makes it as it is asked."""
    module = types.ModuleType("dbgkit_odd")
    vars(module).clear()
    vars(module)["__getattr__"] = lambda name: 1 / 0
    return module


ODD = {
    "raises": lambda: Raises("m"),
    "slots": Nothing,
    "number": lambda: 7,
    "type": lambda: type,
    "without-name": without_name,
}


@pytest.mark.parametrize("kind", ODD)
def test_a_module_that_is_not_one_is_asked_for_nothing(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "dbgkit_odd", ODD[kind]())
    for name in ("dbgkit_odd", "dbgkit_odd.part"):
        assert not ModuleFiles().describe(name)["digest"]
    assert "dbgkit_odd" not in {each["name"] for each in modules_here()[0]}


class OnDemand(types.ModuleType):
    """As large packages have it, to import their parts as they are asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return len


@pytest.mark.parametrize("kind", [OnDemand, Raises])
def test_what_a_module_has_on_demand_is_not_missing(monkeypatch, kind):
    monkeypatch.setitem(sys.modules, "dbgkit_odd", kind("dbgkit_odd"))
    assert missing_names([("dbgkit_odd", "AutoModel")]) == []
    assert missing_modules(["dbgkit_odd", "dbgkit_odd.part"]) == ["dbgkit_odd.part"]


def test_a_lazy_module_is_not_loaded(trades):
    spec = importlib.util.find_spec(NAME)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    assert ModuleFiles().describe(NAME)["digest"]
    assert object.__getattribute__(module, "__class__") is not types.ModuleType


@pytest.mark.parametrize("error", [RuntimeError, KeyError, TypeError, ImportError])
def test_a_finder_that_raises_has_found_nothing(monkeypatch, error):
    class Finder:
        @staticmethod
        def find_spec(name, path, target=None):
            raise error(name)

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert ModuleFiles().describe("colorsys")["digest"]


ODD_FILES = ["\0", "", "/dev/zero", "/", "x" * 5_000, "\ud800"]


@pytest.mark.parametrize("file", ODD_FILES, ids=range(len(ODD_FILES)))
def test_what_a_module_says_of_its_file_may_be_anything(file):
    assert not ModuleFiles().describe("any", file)["digest"]


def test_a_zip_file_that_blocks_or_is_damaged_is_not_read(tmp_path):
    packed = tmp_path / "odd.zip"
    os.mkfifo(packed)
    with bounded(5.0):
        assert not ModuleFiles().describe("odd", f"{packed}{os.sep}odd.py")["digest"]
    packed.unlink()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("odd.py", "x = 1\n" * 1_000)
    whole = packed.read_bytes()
    for at in range(len(whole)):
        packed.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        ModuleFiles().describe("odd", f"{packed}{os.sep}odd.py")


def test_code_that_is_nested_too_deeply_is_no_error(trades):
    with open(trades.__file__, "w") as file:
        file.write("x = " + "-" * 50_000 + "1\n")
    assert ModuleFiles().describe(NAME)["edited"] == []


def test_all_files_together_are_limited(trades, monkeypatch):
    files = ModuleFiles()
    assert files.describe(NAME)["digest"]
    monkeypatch.setattr(doctor_modules, "MOST_HASHED", files.hashed)
    assert not files.describe(NAME)["digest"]


def test_a_module_in_a_zip_that_was_uploaded(tmp_path, monkeypatch):
    packed = tmp_path / "dbgkit_packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("dbgkit_packed/__init__.py", "")
        file.writestr("dbgkit_packed/part.py", "x = 1\n")
    monkeypatch.syspath_prepend(str(packed))
    found = ModuleFiles().describe("dbgkit_packed")
    assert found["digest"]
    # What is below it is found without an import.
    part = ModuleFiles().describe("dbgkit_packed.part")
    assert part["file"].endswith(os.path.join("dbgkit_packed", "part.py"))
    assert part["digest"]
    assert "dbgkit_packed" not in sys.modules
    wanted = {"dbgkit_packed": found["digest"], "dbgkit_packed.part": "other"}
    (differs,) = compare_modules(str(tmp_path), wanted)
    assert differs["name"] == "dbgkit_packed.part"
    assert differs["local"]


def test_what_is_pickled_by_value_need_not_be_there(trades):
    def names():
        return [each["name"] for each in modules_here()[0]]

    assert NAME in names()
    assert not {"json", "dask", "dbgkit", "pytest", "__main__"} & set(names())
    cloudpickle.register_pickle_by_value(trades)
    try:
        assert NAME not in names()
    finally:
        cloudpickle.unregister_pickle_by_value(trades)


class Hostile:
    """A module's value that runs code if it is asked for anything."""

    def __getattribute__(self, name):
        raise RuntimeError("asked")


def test_values_of_a_module_run_nothing(trades):
    trades.hostile = Hostile()
    trades.price.__wrapped__.__dict__["__wrapped__"] = Hostile()
    write_edited(trades)
    assert ModuleFiles().describe(NAME)["edited"] == ["lazy", "Book.total"]


def test_modules_left_out_are_counted(harmable, trades, monkeypatch):
    monkeypatch.setattr("dbgkit.diagnose.doctor.modules.MOST_MODULES", 2)
    with harmable(n_workers=1, processes=False):
        notes = wait_until(lambda: dbgkit.doctor().notes, "there is a note")
    assert any("further modules of yours were not compared" in note for note in notes)
