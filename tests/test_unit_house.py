"""The house: folders, files, and the imports between them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import dbgkit
from dbgkit.cluster import shipping

ROOT = Path(dbgkit.__file__).parent
MOST_ROOMS = 8  # at one look
MOST_FLOORS = 4  # of folders within dbgkit.remote
LONGEST_CHAIN = 7  # of files within dbgkit.remote


@cache
def modules() -> dict[str, Path]:
    """Dotted name of each module -> its file."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


class _AtRunTime(ast.NodeTransformer):
    """Drops what only type checkers read."""

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return ast.Pass()
        return self.generic_visit(node)


@cache
def imports(name: str, *, checked: bool = True) -> frozenset[str]:
    """Modules of ours that one imports: anywhere in it.

    Under TYPE_CHECKING too, where ``checked``.
    """
    path = modules()[name]
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found: set[str] = set()
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree if checked else _AtRunTime().visit(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in modules() else base)
    return frozenset(found & modules().keys())


def circle_of(graph: dict[str, frozenset[str]]) -> list[str]:
    """One circle, if there is one; empty else."""
    done: set[str] = set()

    def visit(name: str, above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if found := visit(other, [*above, name]):
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        if found := visit(name, []):
            return found
    return []


def test_no_file_imports_one_that_imports_it():
    graph = {name: imports(name) - {name} for name in modules()}
    assert circle_of(graph) == []


def folder_of(name: str) -> str:
    return name if modules()[name].stem == "__init__" else name.rpartition(".")[0]


def test_no_folder_imports_one_that_imports_it():
    """A folder within another is a step of that one's work: these two do not count."""
    graph: dict[str, set[str]] = {}
    for name in modules():
        mine = folder_of(name)
        found = graph.setdefault(mine, set())
        for other in map(folder_of, imports(name)):
            if not (f"{other}.".startswith(f"{mine}.") or mine.startswith(f"{other}.")):
                found.add(other)
    assert circle_of({name: frozenset(found) for name, found in graph.items()}) == []


def remote() -> dict[str, frozenset[str]]:
    return {
        name: frozenset(imports(name) - {name})
        for name in modules()
        if name.startswith("dbgkit.remote.") and modules()[name].stem != "__init__"
    }


def longest(graph: dict[str, frozenset[str]]) -> list[str]:
    """The longest way down."""

    @cache
    def below(name: str) -> tuple[str, ...]:
        ways = (below(other) for other in graph[name])
        return (name, *max(ways, key=len, default=()))

    return list(max(map(below, graph), key=len))


def test_dbgkit_remote_is_a_house_of_few_floors():
    rooms = [path for path in (ROOT / "remote").iterdir() if path.suffix != ".pyc"]
    assert len([path for path in rooms if path.name[0] != "_"]) <= MOST_ROOMS
    floors = {
        folder_of(name): frozenset(
            {
                folder_of(o)
                for n in remote()
                if folder_of(n) == folder_of(name)
                for o in imports(n)
            }
            - {folder_of(name)}
        )
        for name in remote()
    }
    assert len(longest(floors)) <= MOST_FLOORS, longest(floors)


def test_chains_of_files_in_dbgkit_remote_are_short():
    assert len(longest(remote())) <= LONGEST_CHAIN, longest(remote())


# --- what is shipped follows from the imports -----------------------------------


@pytest.mark.parametrize("name", sorted(remote()))
def test_what_is_shipped_is_what_is_imported(name):
    part = name.removeprefix("dbgkit.remote.")
    wanted: set[str] = set()

    def add(name: str) -> None:
        if name not in wanted:
            wanted.add(name)
            for other in imports(name, checked=False):
                add(other)

    add(name)
    order = [f"dbgkit.remote.{part}" for part, _ in shipping.sources_of(part)]
    assert set(order) == wanted and len(order) == len(wanted)
    # and what is imported stands before what imports it
    for place, each in enumerate(order):
        assert not imports(each, checked=False) - set(order[:place]) - {each}, each
