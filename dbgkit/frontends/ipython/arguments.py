"""What is typed after a magic: options, and a target in any of its forms."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dbgkit.frontends.kinds import Option
from dbgkit.remote.common.parsing import parsed


class BadUsage(ValueError):
    """A line that cannot be parsed; the text says how to write it."""


def split_options(line: str, options: Iterable[Option]) -> tuple[str, dict[str, Any]]:
    """Take the options out of a line: what is left, and keyword arguments.

    Options may stand before and after the target. The target is left as it was
    typed, spaces and quotes included, as keys may have both.
    """
    options = list(options)
    known = {flag: (option, on) for option in options for flag, on in _flags(option)}
    short = {flag: each for each in options for flag in each.also if flag[1] != "-"}
    known |= {flag: (option, option.value) for flag, option in short.items()}
    keywords: dict[str, Any] = {}

    def take(found: re.Match[str]) -> str:
        if found["flag"] not in known:
            raise BadUsage(f"no option {found['flag']}; available: {', '.join(known)}")
        option, on = known[found["flag"]]
        if option.kind == "flag":
            keywords[option.keyword] = on
            return f" {found['value'] or ''}"  # no value of its own
        text = found["quoted"] or found["plain"]
        if text is None:
            raise BadUsage(f"{option.flag} needs a value: {option.help}")
        try:
            value = option.read(text.strip("'\""))
        except ValueError as error:
            raise BadUsage(f"{option.flag}: {error}") from None
        if option.many:
            value = [*keywords.get(option.keyword, ()), *value]
        keywords[option.keyword] = value
        return " "

    pattern = (
        r"(?:^|(?<=\s))(?P<flag>--[a-z][a-z-]*"
        + "".join(rf"|{re.escape(flag)}(?=[=\s]|$)" for flag in short)
        + r")"
        r"(?P<value>(?:=|\s+)(?:(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<plain>(?!--)\S+)))?"
    )
    # Anew after each: the value of a flag may be an option itself.
    rest = line
    while True:
        rest, count = re.subn(pattern, take, rest, count=1)
        if not count:
            return rest.strip(), keywords


def flags_of(options: Iterable[Option]) -> list[str]:
    """All flags, as they are typed."""
    return [flag for option in options for flag, _ in _flags(option)]


def _flags(option: Option) -> list[tuple[str, bool]]:
    """What is typed for an option, and what that stands for, if it is a flag."""
    flags = [(option.flag, option.value)]
    if option.opposite:
        flags.append((f"--{option.opposite}", not option.value))
    return flags


def read_target(text: str, namespace: Mapping[str, Any]) -> Any:
    """The target that a text stands for: a variable, an expression, a key; or None.

    Text that is not Python, or does not name a variable, is a key. Sums and differences
    are keys too, as ``inc-0`` is one.
    """
    if not text:
        return None
    try:
        tree = parsed(text, "eval").body
    except ValueError:
        return text
    if isinstance(tree, ast.Name):
        return namespace.get(tree.id, text)
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError, SyntaxError):
        pass
    if not _is_expression(tree, namespace):
        return text
    try:
        code = compile(text, "<target>", "eval")
        return eval(code, {**namespace})
    except Exception as error:  # the user's own expression may raise anything
        raise BadUsage(f"{text}: {type(error).__name__}: {error}") from error


def _is_expression(tree: ast.expr, namespace: Mapping[str, Any]) -> bool:
    if not isinstance(
        tree,
        (
            ast.Attribute,
            ast.Subscript,
            ast.Call,
            ast.List,
            ast.Tuple,
            ast.Set,
            ast.ListComp,
        ),
    ):
        return False
    bound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return all(
        node.id in namespace or node.id in bound or hasattr(builtins, node.id)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    )
