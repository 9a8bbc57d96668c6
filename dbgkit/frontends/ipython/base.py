"""What all magics share: how a line is read, and how an error is shown."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, no_var_expand

from dbgkit.advice import worded
from dbgkit.errors import DbgkitError, UnknownKey
from dbgkit.frontends.ipython.arguments import BadUsage, read_target, split_options
from dbgkit.frontends.ipython.session import NoMore, Session
from dbgkit.frontends.kinds import listed
from dbgkit.frontends.verbs import MAGIC_VERBS, Verb
from dbgkit.frontends.wording import Magics
from dbgkit.remote.common.texts import in_line

_IN_MAGIC = Magics(flags=True)
_STOPPED = "_dbgkit_stopped"


@dataclass(frozen=True)
class Line:
    """What was typed after a magic."""

    target: Any  # what the text without options stands for; None without any
    options: dict[str, Any]  # keyword arguments for the verb
    typed: str  # the text that the target was read from
    silent: bool  # whether it ends with a semicolon: its value is not to be shown
    verb: Verb
    clients: dict[str, str]  # the text that each client was read from, by parameter
    number: int = 0  # of the target in the list that was last shown; 0: it is no number


def magic(method: Callable[[Any, Line], Any]) -> Callable[[Any, str], Any]:
    """Make a method that takes a `Line` the line magic of its verb.

    Its value is not shown where the line ends with a semicolon.
    """
    name = method.__name__

    @wraps(method)
    def run(self: Any, line: str) -> Any:
        asked = read_line(name, line, self.shell.user_ns, self.session)
        found = method(self, asked)
        return None if asked.silent else found

    document(run, name)
    made: Callable[[Any, str], Any] = no_var_expand(line_magic(run))
    return made


def document(magic: Any, name: str) -> None:
    """Have the help of a magic list the options of its verb."""
    text = inspect.cleandoc(magic.__doc__ or "")  # there is none under python -OO
    magic.__doc__ = f"{text}\n\n{listed(MAGIC_VERBS[name].options)}\n"


def read_line(
    magic: str, line: str, names: Mapping[str, Any], session: Session
) -> Line:
    """Read a line; what cannot be understood is a `UsageError`.

    A client and a dump's path may be given by the name of a variable, and a failure by
    its number in the list that was last shown.
    """
    verb = MAGIC_VERBS[magic]
    line = line.rstrip()
    silent = line.endswith(";")
    try:
        typed, keywords = split_options(line.removesuffix(";"), verb.options)
        typed = _without_address(typed, keywords, verb)
        target = read_target(typed, names)
    except BadUsage as error:
        raise UsageError(in_line(f"%{magic}: {error}")) from None
    if target is not None and not verb.target:
        more = "a value with spaces needs quotes"
        if type(target).__name__ == "Client":
            more = f"a client is named with --client {typed}"
        raise UsageError(f"%{magic} takes options only, not {typed!r}; {more}")
    clients = {}
    for option in verb.options:
        text = keywords.get(option.keyword)
        named = names.get(text, text) if isinstance(text, str) else text
        if text is not None and option.kind == "client":
            name = named if isinstance(named, str) and named is text else ""
            if name.isidentifier() and name != "localhost":
                other = "a scheduler's address"
                if option.keyword != "client":
                    other = "its id"
                raise UsageError(
                    f"%{magic}: variable {text!r} does not exist; {option.flag} takes "
                    f"a client's variable, or {other}"
                )
            keywords[option.keyword], clients[option.keyword] = named, text
        elif option.kind == "dump" and isinstance(named, (str, os.PathLike)):
            keywords[option.keyword] = named
    asked = Line(target, keywords, typed, silent, verb, clients)
    if not (typed.isascii() and typed.isdecimal()):
        return asked
    numbered = verb.target == "target" and verb.numbered
    return _numbered(magic, asked, session) if numbered else asked


def _numbered(magic: str, asked: Line, session: Session) -> Line:
    """A line that names a failure by its number, with what that stands for."""
    number = int(asked.typed)
    try:
        target, given = session.listed(number)
    except NoMore as error:
        raise UsageError(f"%{magic}: {error}") from None
    known = {option.keyword for option in asked.verb.options}
    options = {n: v for n, v in given.items() if n in known} | asked.options
    typed = repr(getattr(target, "key", target))
    return replace(asked, target=target, options=options, typed=typed, number=number)


def _without_address(typed: str, keywords: dict[str, Any], verb: Verb) -> str:
    """What was typed in place of a target; an address is that of ``--client``."""
    takes = {option.keyword for option in verb.options} - keywords.keys()
    if "client" in takes and re.fullmatch(r"(tcp|tls|ucx|wss?|inproc)://\S+", typed):
        keywords["client"] = typed
        return ""
    return typed


def show(asked: Line, verb: Any, *targets: Any, **others: Any) -> Any:
    """Call a verb with a target and the options of a line, and ``others``."""
    return call(verb, *targets, instead=_spell(asked), **asked.options, **others)


def _spell(asked: Line) -> str:
    """The arguments of a line as they are written in a call."""
    parts = []
    if asked.target is not None and asked.verb.target != "switch":
        same = isinstance(asked.target, str) and asked.target == asked.typed
        typed = repr(asked.typed) if same else asked.typed
        parts.append(f"keys={typed}" if asked.verb.target == "keys" else typed)
    for name, value in asked.options.items():
        variable = asked.clients.get(name) if not isinstance(value, str) else None
        if name != "keys":
            parts.append(f"{name}={variable or repr(value)}")
    return ", ".join(parts)


def call(verb: Any, *targets: Any, instead: str = "target", **options: Any) -> Any:
    """Call a verb; our own errors, and Ctrl-C, are shown in one line.

    ``instead``: the arguments to call it with where a magic cannot, as the client is
    asynchronous.
    """
    try:
        with worded(_IN_MAGIC):
            result = verb(*targets, **options)
    except DbgkitError as error:
        if isinstance(error, UnknownKey) and targets and str(targets[0]).isidentifier():
            error.hint = f"variable {targets[0]!r} does not exist either; {error.hint}"
        in_one_line(error)
        raise
    except KeyboardInterrupt as error:
        # Where we waited is of no use to anybody.
        in_one_line(error)
        vars(error)[_STOPPED] = True
        raise
    if inspect.isawaitable(result):
        _abandon(result)
        raise UsageError(
            "the client is asynchronous: "
            f"`await dbgkit.{verb.__name__}({instead})` in a cell"
        )
    return result


def was_stopped(error: BaseException) -> bool:
    """Whether it was a verb of ours that Ctrl-C stopped, and nothing of the user's."""
    return _STOPPED in vars(error)


def in_one_line(error: BaseException) -> None:
    """Have IPython show an exception in a line, without its traceback.

    IPython asks an exception for ``_render_traceback_``.
    """
    text = in_line(" ".join(str(error).split("\n")))
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]


def _abandon(result: Any) -> None:
    """Close a coroutine that nobody will await, so that it does not warn."""
    close = getattr(result, "close", None)
    if close is not None:
        close()
