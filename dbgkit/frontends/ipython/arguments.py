"""What is typed after a magic: options, and a target in any of its forms."""

from __future__ import annotations

import ast
import builtins
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbgkit.diagnose.tasks import STATES
from dbgkit.remote.common.parsing import parsed
from dbgkit.remote.scheduler.tasks import COLUMNS


class BadUsage(ValueError):
    """A line that cannot be understood; the text says how it is to be written."""


@dataclass(frozen=True)
class Option:
    """One option: ``--name value``, or a flag that stands for ``value``.

    ``choices`` are offered as completions of the value. With ``many`` it converts to a
    list, and those of all occurrences are joined.
    """

    name: str
    keyword: str
    help: str
    convert: Callable[[str], Any] | None = None
    value: Any = None
    choices: tuple[str, ...] = ()
    many: bool = False


def _one_of(*names: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text

    return convert


def _times(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError("a whole number from 1")
    return int(text)


def _duration(text: str) -> str:
    from dask.utils import parse_timedelta

    try:
        parse_timedelta(text)
    except (ValueError, KeyError):
        raise ValueError("a time such as 30s or 2m") from None
    return text


def _size(text: str) -> str:
    from dask.utils import parse_bytes

    try:
        parse_bytes(text)
    except ValueError:
        raise ValueError("a size such as 500MB or 2GiB") from None
    return text


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _name(text: str) -> list[str]:
    return [text]


def _path(text: str) -> str:
    return os.path.expanduser(text)


def _paths(text: str) -> list[str]:
    return [os.path.expanduser(text)]


CLIENT = Option("client", "client", "a client's variable, or an address", str)
TIMEOUT = Option("timeout", "timeout", "limit of each wait, as 30s", _duration)
DUMP = Option("dump", "view", "a cluster dump's file", _path)
PROMPT = Option("no-prompt", "prompt", "print the report, no prompt", value=False)
USING = Option(
    "using",
    "using",
    "replay or recording",
    _one_of("replay", "recording"),
    choices=("replay", "recording"),
)
SOURCE = Option("source", "source", "a file or folder with code", _paths, many=True)
DRY_RUN = Option("dry-run", "dry_run", "show what would be done", value=True)
REPLAY = (
    Option(
        "scope",
        "scope",
        "task (default) or ancestors",
        _one_of("task", "ancestors"),
        choices=("task", "ancestors"),
    ),
    Option(
        "where",
        "where",
        "here, process or worker",
        _one_of("here", "process", "worker"),
        choices=("here", "process", "worker"),
    ),
    Option("times", "times", "how often to run it", _times),
    Option("no-recompute", "recompute", "raise if inputs are gone", value=False),
    TIMEOUT,
    Option("max-bytes", "max_bytes", 'most to pull, as "1 GiB"', _size),
    CLIENT,
    SOURCE,
)
VIEW = (CLIENT, DUMP, SOURCE, TIMEOUT)
RECORD = (
    Option("hold", "hold", 'most to hold, as "64 MB"', _size),
    Option("keep-inputs", "keep_inputs", "inputs to keep, as 1GB", _size),
    CLIENT,
    TIMEOUT,
)
RECORDINGS = (Option("limit", "limit", "most recordings", _times), *VIEW)
FAILURES = (
    Option("since", "since", "how long ago at the most, as 5m", _duration),
    Option("span", "span", "a span's name or id", str),
    Option("limit", "limit", "most root causes", _times),
    *VIEW,
)
TASKS = (
    Option("state", "state", "a state", _names, choices=STATES, many=True),
    Option("prefix", "prefix", "a prefix of keys", _name, many=True),
    Option("worker", "worker", "a worker's address or name", str),
    Option("failed", "failed", "only what failed by itself", value=True),
    Option("not-failed", "failed", "only the rest", value=False),
    Option("sort", "sort", "a column", str, choices=COLUMNS),
    Option("limit", "limit", "most rows", _times),
    CLIENT,
    DUMP,
    TIMEOUT,
)


def split_options(line: str, options: tuple[Option, ...]) -> tuple[str, dict[str, Any]]:
    """Take the options out of a line: what is left, and keyword arguments.

    Options may stand before and after the target. The target is left as it was
    typed, blanks and quotes included, as keys may have both.
    """
    known = {option.name: option for option in options}
    keywords: dict[str, Any] = {}

    def take(found: re.Match[str]) -> str:
        option = known.get(found["name"])
        if option is None:
            raise BadUsage(f"no option --{found['name']}; there is {_listed(options)}")
        text = found["quoted"] or found["plain"]
        if option.convert is None:
            keywords[option.keyword] = option.value
            return f" {found['value'] or ''}"  # no value of its own
        if text is None:
            raise BadUsage(f"--{option.name} needs a value: {option.help}")
        text = text.strip("'\"")
        try:
            value = option.convert(text)
        except ValueError as error:
            raise BadUsage(f"--{option.name} {text}: {error}") from None
        if option.many:
            value = [*keywords.get(option.keyword, ()), *value]
        keywords[option.keyword] = value
        return " "

    pattern = (
        r"(?:^|(?<=\s))--(?P<name>[a-z][a-z-]*)"
        r"(?P<value>(?:=|\s+)(?:(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<plain>(?!--)\S+)))?"
    )
    # Anew after each: the value of a flag may be an option itself.
    rest = line
    while True:
        rest, count = re.subn(pattern, take, rest, count=1)
        if not count:
            return rest.strip(), keywords


def _listed(options: tuple[Option, ...]) -> str:
    return ", ".join(f"--{option.name}" for option in options)


def read_target(text: str, namespace: Mapping[str, Any]) -> Any:
    """The target that a text stands for: a variable, an expression, a key; or None.

    What is no Python, or names no variable, is a key as text. Sums and differences
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
