"""From code to its file: what is taken for what."""

from __future__ import annotations

import json
import linecache
import os
import sys
import types

import cloudpickle
import pytest
from fuzzing import WRONG, bounded, examples, places, with_wrong
from hypothesis import given
from hypothesis import strategies as st

from dbgkit.errors import WrongTarget
from dbgkit.remote.common.codes import (
    DYNAMIC,
    fingerprint,
    functions_of,
    identity,
    last_line,
    spans,
    under,
)
from dbgkit.source import Index, Reader, name_for_process, naming_sources, read_sources
from dbgkit.source.places import place
from dbgkit.source.texts import remember


def compiled(text, filename="given.py", name="f"):
    space = {"__name__": "elsewhere"}
    exec(compile(text, filename, "exec"), space)
    return space[name]


def travelled(function):
    """As cloudpickle brings it from 3.1.3 on."""
    return under(function.__code__, DYNAMIC)


@pytest.mark.parametrize(
    "one, other",
    [
        ("x / 1", "x / 1.0"),
        ("x / 1", "x / True"),
        ("x / 0.0", "x / -0.0"),
        ("x in {1, 2}", "x in {1, 3}"),
        ("x + 'a'", "x + b'a'"),
        ("x.a", "x.b"),
        ("[i for i in x]", "[i + 1 for i in x]"),
        ("lambda: 1", "lambda: 1.0"),
    ],
)
def test_code_that_differs_is_told_apart(one, other):
    texts = [f"def f(x):\n    return {each}" for each in (one, other)]
    first, second = (compiled(text).__code__ for text in texts)
    assert identity(first) != identity(second)
    assert fingerprint(first) != fingerprint(second)


def test_neither_file_nor_line_table_counts():
    text = "def f(x):\n    return [1 / i for i in {x, 2, 3}]"
    first, second = compiled(text).__code__, compiled(text, "other.py").__code__
    assert fingerprint(first) == fingerprint(second.replace(co_linetable=b""))


def test_nested_code_goes_under_the_same_file():
    code = under(compiled("def f():\n    return lambda: (i for i in ())").__code__, "a")
    inner = next(each for each in code.co_consts if isinstance(each, types.CodeType))
    assert inner.co_filename == "a"


def test_lines_of_code():
    text = "def f(x):\n    y = 1\n\n    def g():\n        return y\n    return g"
    code = compiled(text).__code__
    assert spans(code, 2) and not spans(code, 5)
    assert last_line(code) == 6


def test_codes_are_reached_through_what_a_task_is_made_of():
    import functools

    from dask._task_spec import Task, TaskRef

    def helper():
        return 1

    def made(x):
        return helper

    class Model:
        def method(self):
            return 2

    task = Task("key", functools.partial(made, 1), [Model()], TaskRef("other"))
    names = {function.__name__ for function in functions_of(task)}
    assert {"made", "helper", "method"} <= names


def test_hostile_values_are_walked_past():
    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError(name)

        __slots__ = ("__dict__", "never")

    assert list(functions_of([Hostile(), {1: [Hostile()]}]))


def test_a_cell_of_linecache_is_found(monkeypatch):
    text = "def cell_function(x):\n    return 1 / x\n"
    monkeypatch.setitem(
        linecache.cache, "<cell-1>", (9, None, text.splitlines(True), "<cell-1>")
    )
    code = travelled(compiled(text, name="cell_function"))
    assert Index().find(code).filename == "<cell-1>"


def test_another_text_on_the_same_lines_is_not_taken(monkeypatch):
    text = "def cell_function(x):\n    return 2 / x\n"
    monkeypatch.setitem(
        linecache.cache, "<cell-1>", (9, None, text.splitlines(True), "<cell-1>")
    )
    code = travelled(
        compiled("def cell_function(x):\n    return 1 / x\n", name="cell_function")
    )
    assert Index().find(code) is None


def test_equal_texts_are_all_named(tmp_path):
    text = "def f(x):\n    return 1 / x\n"
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(text)
    found = Index([str(tmp_path)]).find(travelled(compiled(text)))
    assert [os.path.basename(each) for each in (found.filename, *found.others)] == [
        "a.py",
        "b.py",
    ]


def test_a_local_function_of_a_module_is_found_by_its_module():
    def local(x):
        return 1 / x

    assert Index().find(travelled(local), __name__).filename == __file__


def test_what_was_unpickled_itself_is_no_candidate(monkeypatch):
    function = compiled("def f(x):\n    return 1 / x")
    function.__code__ = travelled(function)
    monkeypatch.setattr(sys.modules["__main__"], "f", function, raising=False)
    assert Index().find(function.__code__) is None


def test_a_name_and_a_line_are_enough_where_one_alone_has_them(tmp_path):
    (tmp_path / "a.py").write_text("def f(x):\n    return 1 / x\n")
    index = Index([str(tmp_path)])
    assert index.find_text("f", 2).filename.endswith("a.py")
    assert index.find_text("f", 3) is None
    (tmp_path / "b.py").write_text("def f(x):\n    return 2 / x\n")
    assert Index([str(tmp_path)]).find_text("f", 2) is None


def test_a_fingerprint_tells_them_apart(tmp_path):
    for name, number in (("a.py", 1), ("b.py", 2)):
        (tmp_path / name).write_text(f"def f(x):\n    return {number} / x\n")
    mark = fingerprint(compiled("def f(x):\n    return 2 / x\n").__code__)
    assert Index([str(tmp_path)]).find_text("f", 2, mark).filename.endswith("b.py")


def test_files_that_are_no_python_are_passed_over(tmp_path):
    (tmp_path / "broken.py").write_text("def f(x: return")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00f")
    (tmp_path / "empty.ipynb").write_text("[]")
    (tmp_path / "good.py").write_text("def f(x):\n    return 1 / x\n")
    os.mkfifo(tmp_path / "pipe.py")
    os.mkfifo(tmp_path / "pipe.ipynb")
    code = travelled(compiled("def f(x):\n    return 1 / x\n"))
    assert Index([str(tmp_path)]).find(code).filename.endswith("good.py")


CELLS = [
    {"cell_type": "markdown", "source": ["# Ratios"]},
    {
        "cell_type": "code",
        "execution_count": 3,
        "metadata": {},
        "outputs": [],
        "source": ["%%time\n", "def f(x):\n", "    return 1 / x\n"],
    },
    {"cell_type": "code", "execution_count": None, "source": "!ls\nf(0)"},
]
NOTEBOOK = {"cells": CELLS, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


NEXT_TO_IT = "def g(x):\n    return 1 / x\n"


@examples(60)
@given(place=st.sampled_from(list(places(NOTEBOOK))), wrong=WRONG)
def test_a_spoilt_notebook_keeps_nothing_from_being_found(
    tmp_path_factory, place, wrong
):
    folder = tmp_path_factory.mktemp("spoilt")
    spoilt = json.dumps(with_wrong(NOTEBOOK, place, wrong), default=repr)
    (folder / "a.ipynb").write_text(spoilt)
    (folder / "b.py").write_text(NEXT_TO_IT)
    code = travelled(compiled(NEXT_TO_IT, name="g"))
    with bounded():
        assert Index([str(folder)]).find(code).filename.endswith("b.py")


CODE = st.text(alphabet="%!?\n\t \\;'\"()x=#\0\f\u2028", max_size=30)


@examples(60)
@given(data=st.one_of(st.binary(max_size=60), CODE.map(str.encode)), cell=CODE)
def test_any_text_is_source_or_none(tmp_path_factory, data, cell):
    folder = tmp_path_factory.mktemp("any")
    for name in ("a.ipynb", "a.py"):
        (folder / name).write_bytes(data)
    cells = [{"cell_type": "code", "execution_count": 1, "source": cell}]
    (folder / "b.ipynb").write_text(json.dumps({"cells": cells}))
    (folder / "b.py").write_text(NEXT_TO_IT)
    code = travelled(compiled(NEXT_TO_IT, name="g"))
    with bounded():
        assert Index([str(folder)]).find(code).filename.endswith("b.py")


def test_names_are_read_and_refused(tmp_path):
    (tmp_path / "a.py").write_text("")
    assert read_sources(tmp_path / "a.py") == (str(tmp_path / "a.py"),)
    assert read_sources([str(tmp_path)]) == (str(tmp_path),)
    assert read_sources(None) == ()
    for wrong in (tmp_path / "no.py", __file__ + "c"):
        with pytest.raises(WrongTarget):
            read_sources(wrong)


def test_names_hold_for_a_call_or_for_the_process(tmp_path):
    (tmp_path / "a.py").write_text("def f(x):\n    return 1 / x\n")
    code = travelled(compiled("def f(x):\n    return 1 / x\n"))
    with naming_sources([str(tmp_path)]):
        assert Index().find(code)
    assert Index().find(code) is None
    name_for_process([str(tmp_path)])
    try:
        assert Index().find(code)
    finally:
        name_for_process([])


def test_a_reader_tells_another_what_it_found(tmp_path):
    text = "def f(x):\n    return 1 / x\n"
    (tmp_path / "a.py").write_text(text)
    function = compiled(text)
    function.__module__ = "__main__"
    function.__globals__["__name__"] = "__main__"
    data = cloudpickle.dumps(function)
    reader = Reader([str(tmp_path)])
    found = reader.loads(data).__code__.co_filename
    if DYNAMIC.encode() in data:
        assert found.endswith("a.py")
        again = Reader(places=reader.places()).loads(data)
        assert again.__code__.co_filename == found
    else:  # before cloudpickle 3.1.3
        assert found == "given.py"


def test_what_is_remembered_outlives_a_check():
    remember("<dbgkit-test>", "one\ntwo\n")
    try:
        linecache.checkcache()
        assert linecache.getline("<dbgkit-test>", 2) == "two\n"
    finally:
        del linecache.cache["<dbgkit-test>"]


BELOW = "import math\n\n\n"
WORK = "def f(x):\n    def g():\n        return 1 / x\n    return g()\n"


@pytest.mark.parametrize(
    ("ran", "now", "said"),
    [
        (WORK, BELOW + WORK, "(now 3 lines down)"),
        (BELOW + WORK, WORK, "(now 3 lines up)"),
        ("\n" + WORK, WORK, "(now 1 line up)"),
        (WORK, "@abs\n" + WORK, None),  # another first line, not all others
        (WORK, WORK.replace("    return", "    # why\n    return"), None),
        (WORK, BELOW + WORK.replace("1 /", "2 /"), None),
        (WORK, BELOW + WORK + BELOW + WORK, None),
        (WORK, BELOW + WORK + WORK.replace("f(", "h("), "(now 3 lines down)"),
    ],
)
def test_code_that_moved_is_shown_by_its_present_text(tmp_path, ran, now, said):
    path = tmp_path / "a.py"
    path.write_text(now)
    code = travelled(compiled(ran))
    first = code.co_firstlineno
    index = Index([str(tmp_path)])
    found = index.find(code)
    by_mark = index.find_text("f", first + 3, fingerprint(code))
    if said is None:
        assert found is None and by_mark is None
        return
    assert found.filename == by_mark.filename == f"{path} {said}"
    assert place(found.filename, 4) == f"{path}:4 {said}"
    assert linecache.getline(found.filename, first + 3) == "    return g()\n"


def test_code_that_moved_in_two_files_is_taken_from_neither(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(BELOW + WORK)
    code = travelled(compiled(WORK))
    assert Index([str(tmp_path)]).find(code) is None
    assert Index([str(tmp_path)]).find_text("f", 4, fingerprint(code)) is None


def test_a_file_that_code_says_to_be_of_may_have_more_lines_by_now(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(BELOW + WORK)
    code = travelled(compiled(WORK))
    found = Index().find(code, "elsewhere", str(path))
    assert found.filename == f"{path} (now 3 lines down)"
    mark = fingerprint(code)
    found = Index().find_text("f", 4, mark, "elsewhere", str(path))
    assert found.filename == f"{path} (now 3 lines down)"
