"""What all magics share: how a line is read, and how an error is shown."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError

from dbgkit.errors import DbgkitError, UnknownKey
from dbgkit.frontends.ipython.arguments import (
    BadUsage,
    Option,
    read_target,
    split_options,
)
from dbgkit.frontends.wording import Magics
from dbgkit.model.advice import worded
from dbgkit.remote.common.texts import in_line

_IN_MAGIC = Magics(flags=True)
_STOPPED = "_dbgkit_stopped"


@dataclass(frozen=True)
class Line:
    """What was typed after a magic.

    Attributes
    ----------
    target : object
        What the text without options stands for; None without any.
    options : dict
        Keyword arguments for the verb.
    typed : str
        The text that `target` was read from.
    silent : bool
        Whether it ends with a semicolon: its value is not to be shown.
    client : str
        The text that the client was read from; empty without any.
    """

    target: Any
    options: dict[str, Any]
    typed: str
    silent: bool
    client: str = ""


def read_line(
    magic: str, line: str, options: tuple[Option, ...], names: Mapping[str, Any]
) -> Line:
    """Read a line; what cannot be understood is a `UsageError`.

    A client and a dump's path may be given by the name of a variable.
    """
    line = line.rstrip()
    silent = line.endswith(";")
    try:
        typed, keywords = split_options(line.removesuffix(";"), options)
        target = read_target(typed, names)
    except BadUsage as error:
        raise UsageError(in_line(f"%{magic}: {error}")) from None
    client = keywords.get("client", "")
    if client:
        keywords["client"] = names.get(client, client)
    path = names.get(keywords.get("view", ""))
    if isinstance(path, (str, os.PathLike)):
        keywords["view"] = path
    return Line(target, keywords, typed, silent, client)


def call(verb: Any, *targets: Any, instead: str = "target", **options: Any) -> Any:
    """Call a verb; our own errors, and Ctrl-C, are shown in one line.

    Parameters
    ----------
    verb : callable
    *targets : object
        One at the most.
    instead : str
        The arguments to call it with where a magic cannot: with an asynchronous
        client.
    **options : object
    """
    try:
        with worded(_IN_MAGIC):
            result = verb(*targets, **options)
    except DbgkitError as error:
        if isinstance(error, UnknownKey) and targets and str(targets[0]).isidentifier():
            error.hint = f"there is no variable {targets[0]!r} either; {error.hint}"
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
