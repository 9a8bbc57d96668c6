"""The examples of docstrings, each with what it prints, and those of the README."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import dask
import pytest
from conftest import own_cluster
from shells import shell_of_its_own
from tasks import ratio

import dbgkit

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text("utf-8"), re.M | re.S)


def examples():
    """Each docstring of the package that has examples, by name."""
    modules = pkgutil.walk_packages(dbgkit.__path__, "dbgkit.")
    names = [each.name for each in modules if not each.name.endswith("__main__")]
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [
        one
        for name in ["dbgkit", *names]
        for one in finder.find(import_module(name), name)
    ]
    return {one.name: one for one in found if one.examples}


EXAMPLES = examples()
VERBS = [
    verb
    for name in dbgkit.__all__
    if inspect.isfunction(verb := getattr(dbgkit, name))
    and not name.endswith("_ipython_extension")  # IPython calls those
]


def run(example, *, globs=None):
    """Run a docstring's examples, or a text's; fails unless they print what they say.

    What is handed in as `globs` holds the example's names afterwards.
    """
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    if globs is not None:
        example.globs = globs
    runner.run(example, out=said.append, clear_globs=globs is None)
    assert runner.tries and not runner.failures, "".join(said)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_it_says(name):
    run(EXAMPLES[name])


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_each_verb_has_an_example(verb):
    assert f"{verb.__module__}.{verb.__qualname__}" in EXAMPLES


# -- the README ------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A shell in which what the README takes for granted is there."""
    with (
        shell_of_its_own(tmp_path_factory.mktemp("reader")) as shell,
        own_cluster(processes=False) as client,
    ):
        total = dask.delayed(ratio)(25, 0, dask_key_name="total-1")
        future = client.submit(ratio, 25, 0, key="ratio-1")
        shell.push({"client": client, "total": total, "future": future})
        shell.run_cell("import dbgkit; from distributed import Client")
        yield shell
        shell.run_cell("dbgkit.record().off()")
        shell.run_cell("%unload_ext dbgkit")


def statements(block):
    """A block's statements one by one, since some of them fail as they should."""
    # Another cluster of this machine may have the usual port for the dashboard.
    block = block.replace("Client()", 'Client(processes=False, dashboard_address=":0")')
    if block.startswith("%"):
        return block.strip().split("\n\n")
    return [ast.get_source_segment(block, one) for one in ast.parse(block).body]


def test_the_blocks_of_the_readme_run_one_after_the_other(reader):
    for block in BLOCKS:
        run_block(reader, block)


def run_block(reader, block):
    if block.startswith(">>>"):
        parser = doctest.DocTestParser()
        test = parser.get_doctest(block, {}, "README.md", "README.md", 0)
        # Where a block does not say what is printed, it is no promise.
        for example in test.examples:
            if isinstance(ast.parse(example.source).body[0], ast.Expr):
                example.want = example.want or "...\n"
        run(test, globs=reader.user_ns)
        return
    for statement in statements(block):
        error = reader.run_cell(statement).error_in_exec
        fails = "total.compute()" in statement and "try:" not in statement
        assert type(error) is (ZeroDivisionError if fails else type(None)), statement
