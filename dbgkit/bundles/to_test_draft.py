"""A test as it is put together: imports, code, files, and whose each line is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dbgkit.bundles.to_test_beside import MOST_BYTES, Kept, Reference, keep
from dbgkit.bundles.to_test_importable import root_of
from dbgkit.bundles.to_test_layout import Expression, docstring, quoted
from dbgkit.bundles.to_test_layout import text as plain
from dbgkit.bundles.to_test_text import Line
from dbgkit.errors import InputsTooLarge

INPUTS = "INPUTS"
_DEFINES = re.compile(r"(async def|def|class|@)\b|@")
_NAMED: list[Line] = [
    ("class Named(pickle.Unpickler):", 0),
    ('    """Reads values with functions and classes of this file in them."""', 0),
    ("", 0),
    ("    def persistent_load(self, name):", 0),
    ("        return eval(name)", 0),
]
Places = dict[int, tuple[str, int]]  # of the test's lines: file and line of the job


@dataclass
class Block:
    """Lines that belong together, of a file of the job's or made up."""

    lines: list[Line]
    filename: str = ""

    @property
    def stands_apart(self) -> bool:
        """Whether it is a function or a class, with empty lines around it."""
        code = [line for line, _ in self.lines if not line.startswith("#")]
        return bool(code) and bool(_DEFINES.match(code[0]))


@dataclass
class Draft:
    """The parts of one test file; ``name`` is that of the file, without ``.py``."""

    name: str
    header: tuple[str, ...] = ()
    imports: dict[str, None] = field(default_factory=dict)
    # Of modules of the user's own, with the folder that each is imported from.
    own_imports: dict[str, None] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    function: str = "test_call"
    files: dict[str, Kept] = field(default_factory=dict)
    from_job: bool = False  # whether it has code of the job in its text

    def need(self, line: str) -> None:
        self.imports.setdefault(line)

    def need_from(self, module: str, line: str) -> None:
        """Import by a line from a module, which may be one of the user's own."""
        if self.has_own(module):
            self.own_imports.setdefault(line)
        else:
            self.need(line)

    def has_own(self, module: str) -> bool:
        """Whether a module is the user's own; the test has its folder then."""
        root = root_of(module)
        if root is None:
            return False
        self.modules[module.partition(".")[0]] = root
        return True

    def beside(
        self, name: str, value: object, reference: Reference
    ) -> tuple[Expression, Kept]:
        """Keep a value in a file; how it is read, and what is in it."""
        kept = keep(value, name, reference)
        held = sum(len(each.data) for each in self.files.values())
        if held + len(kept.data) > MOST_BYTES:
            raise InputsTooLarge(
                f"the files of a test would hold more than {MOST_BYTES // 10**6} MB: "
                f"{name!r} has {len(kept.data) // 10**6} MB",
                "make the input smaller first",
            )
        stem = "".join(c if c.isalnum() or c == "_" else "_" for c in name) or "value"
        file, number = f"{stem}.{kept.ending}", 1
        while file in self.files:
            number += 1
            file = f"{stem}_{number}.{kept.ending}"
        self.files[file] = kept
        for line in kept.imports:
            self.need(line)
        for module in kept.modules:
            self.has_own(module)
        self.need("from pathlib import Path")
        place = f"{INPUTS} / {quoted(file)}"
        read = re.sub(r"\{\}\.", lambda _: f"({place}).", kept.read)
        if kept.named and not any(block.lines == _NAMED for block in self.blocks):
            self.blocks.append(Block(_NAMED))
        read = read.replace("{}", place)
        return plain(read), kept

    @property
    def folder(self) -> str:
        return f"{self.name}_inputs"

    def render(self, found_at: dict[str, str]) -> tuple[str, Places]:
        """The text, and where its lines are from.

        ``found_at`` has an expression for each folder that is to be imported from.
        """
        lines: list[tuple[str, str, int]] = []

        def add(block: Iterable[Line], filename: str = "") -> None:
            lines.extend((line, filename, number) for line, number in block)

        add(_made(docstring(self.header)))
        add(_made(self._imports(found_at)))
        before = None
        for block in self.blocks:
            apart = block.stands_apart or (before is not None and before.stands_apart)
            add(_made(["", ""] if apart else [""] if before is None else []))
            add(block.lines, block.filename)
            before = block
        add(_made(["", "", f"def {self.function}():", *self.body]))
        places = {
            at: (filename, number)
            for at, (_, filename, number) in enumerate(lines, 1)
            if filename and number
        }
        return "\n".join(line for line, _, _ in lines) + "\n", places

    def _imports(self, found_at: dict[str, str]) -> Iterator[str]:
        future = [line for line in self.imports if line.startswith("from __future__")]
        plain_lines = {*self.imports} - {*future}
        if found_at:
            plain_lines |= {"import sys", "from pathlib import Path"}
        yield from ([""] if future else [])
        yield from future
        ordered = sorted(plain_lines, key=lambda line: (line.startswith("from"), line))
        yield from ([""] if ordered else [])
        yield from ordered
        if found_at:
            names = sorted(
                name for name, root in self.modules.items() if root in found_at
            )
            yield ""
            yield f"# Where {_listed(names)} {'is' if len(names) == 1 else 'are'}."
            for expression in found_at.values():
                yield f"sys.path.insert(0, str({expression}))"
        yield from ([""] if self.own_imports else [])
        yield from sorted(self.own_imports)
        if self.files:
            yield ""
            yield f"{INPUTS} = Path(__file__).parent / {quoted(self.folder)}"


def _made(lines: Iterable[str]) -> Iterator[Line]:
    return ((line, 0) for line in lines)


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def relative(root: str, folder: Path) -> str:
    """An expression for a folder, as seen from the test's own."""
    try:
        rest = os.path.relpath(root, folder).replace(os.sep, "/")
    except ValueError:  # on another drive
        return f"Path({quoted(root)})"
    if rest == ".":
        return "Path(__file__).parent"
    return f"(Path(__file__).parent / {quoted(rest)}).resolve()"
