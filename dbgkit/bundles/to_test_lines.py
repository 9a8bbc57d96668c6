"""Lines of a function that is cut out of its text: moved, made, and what they use."""

from __future__ import annotations

import ast
import dis
import inspect
import io
import tokenize

from dbgkit.bundles.to_test_layout import WIDTH
from dbgkit.bundles.to_test_text import Function, Home, Line
from dbgkit.errors import NotHere
from dbgkit.remote.common.codes import nested


def decorators(node: ast.AST | None) -> list[ast.expr]:
    found: list[ast.expr] = getattr(node, "decorator_list", [])
    return found


def node_name(node: Function | ast.Lambda) -> str:
    return "" if isinstance(node, ast.Lambda) else node.name


def is_annotated(lines: list[Line]) -> bool:
    """Whether some text has annotations, which may name what is not there."""
    tree = ast.parse("\n".join(line for line, _ in lines))
    return any(
        isinstance(node, ast.AnnAssign)
        or getattr(node, "annotation", None) is not None
        or getattr(node, "returns", None) is not None
        for node in ast.walk(tree)
    )


def lambda_lines(segment: list[Line], name: str, names: list[str]) -> list[Line]:
    """A lambda under a name, or what makes one of the values around it."""
    (first, number), *rest = segment
    head = f"{name} = " if not names else "    return "
    if not rest and len(head) + len(first) <= WIDTH:
        lines: list[Line] = [(f"{head}{first}", number)]
    else:
        space = " " * 4 * (1 + bool(names))
        lines = [(f"{head}(", 0), (f"{space}{first}", number), *rest]
        lines.append((f"{space[4:]})", 0))
    if names:
        lines.insert(0, (f"def {name}({', '.join(names)}):", 0))
    return lines


def factory_lines(
    body: list[Line], node: Function, name: str, names: list[str]
) -> list[Line]:
    """A function that makes the one that was nested, of the values around it."""
    inner, indent = moved(body, node.col_offset, 4), 4
    if not inner:  # a text within it goes over several lines: it stays where it is
        inner, indent = body, node.col_offset
    head = (f"def {name}({', '.join(names)}):", 0)
    return [head, *inner, ("", 0), (f"{' ' * indent}return {node.name}", 0)]


def moved(lines: list[Line], indent: int, wanted: int) -> list[Line]:
    """Lines with another indentation; none if that would change a text within them."""
    if indent == wanted:
        return lines
    text = "\n".join(line[indent:] for line, _ in lines)
    try:
        tokens = [*tokenize.generate_tokens(io.StringIO(text).readline)]
    except (tokenize.TokenError, SyntaxError):
        return []
    if any(
        token.start[0] != token.end[0] and token.type not in _LINE_ENDS
        for token in tokens
    ):
        return []
    return [
        (f"{' ' * wanted}{line[indent:]}" if line.strip() else "", number)
        for line, number in lines
    ]


_LINE_ENDS = (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)


# Functions that run, or may run, with the statement that they are in.
_RUN = ("__annotate__", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
_LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")


def names_used(text: str, home: Home, *, at_once: bool = False) -> list[str]:
    """Names of a module that some text uses, as it is compiled.

    ``at_once``: as it runs, without what functions in it use as they are called.
    """
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    head = "".join(f"from __future__ import {name}\n" for name in home.future)
    try:
        whole = compile(head + text, "<cut>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        raise NotHere(
            f"what was cut out of {home.filename!r} is no Python: {error}"
        ) from None
    found: dict[str, None] = {}
    for code in nested(whole):
        if (
            at_once
            and code.co_flags & inspect.CO_OPTIMIZED
            and code.co_name not in _RUN
        ):
            continue
        for instruction in dis.get_instructions(code):
            if instruction.opname in _LOADS and isinstance(instruction.argval, str):
                found.setdefault(instruction.argval)
    own = {"__name__", "__file__", "__module__", "__qualname__", "__doc__"}
    return [name for name in found if name not in own]
