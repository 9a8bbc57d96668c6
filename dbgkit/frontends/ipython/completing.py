"""Completion of what follows a magic: options and their values, keys, variables.

It asks nobody: keys are those of futures that are held, and of the list that was last
shown. Where it has anything to offer, IPython offers nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from dbgkit.frontends.ipython.arguments import flags_of
from dbgkit.frontends.ipython.session import Session
from dbgkit.frontends.kinds import Option
from dbgkit.frontends.verbs import MAGIC_VERBS, SWITCH

_MOST = 200
_MOST_MEMBERS = 100  # of a list, looked at for a future
# A magic, whose value may be assigned, and what is typed after it.
_LINE = re.compile(r"\s*(?:[\w\s,]+=\s*(?=%))?%{0,2}(?P<name>dbg\w*)(?P<rest>\s.*)")
# An option at the beginning, or the last that was typed, with its value or none.
_OPTION = re.compile(r"\s*(?P<flag>--[a-z][a-z-]*)(?:=|\s+)")
_VALUE = re.compile(r"(?:\"[^\"]*\"|'[^']*'|\S+)\s+")
_OPENED = re.compile(r"(?:^|(?<=\s))(?P<flag>--[a-z][a-z-]*)(?:=|\s+)(?P<value>\S*)$")
# Keys of which futures are worth asking about; None: of all.
_STATUSES = {
    "dbg_tasks": None,
    "dbg_story": None,
    "dbg_why": ("pending", "error", "lost"),
    "dbg_peek": ("pending",),
}


class Offered(NamedTuple):
    """What may follow, in place of the last part of what was typed."""

    part: str
    texts: list[str]


def matcher_of(shell: Any, session: Session) -> Any:
    """A matcher for ``Completer.custom_matchers``, which goes before all others."""

    @context_matcher(identifier="dbgkit", priority=1000)  # type: ignore[untyped-decorator, misc, unused-ignore]
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        found = _LINE.fullmatch(context.text_until_cursor)
        part, texts = Offered("", [])
        if found and found["name"] in MAGIC_VERBS:
            part, texts = offered(found["name"], found["rest"], shell.user_ns, session)
        return {
            "completions": [SimpleCompletion(text) for text in texts],
            "matched_fragment": part,
            "suppress": bool(texts),
            "ordered": True,
        }

    return matcher


def offered(
    magic: str, typed: str, names: Mapping[str, Any], session: Session
) -> Offered:
    """What may follow after a magic and what is typed behind it."""
    verb = MAGIC_VERBS[magic]
    values = _values(typed, verb.options, names)
    if values is not None:
        return values
    flags = flags_of(verb.options)
    last = "" if typed[-1:].isspace() else typed.split()[-1]
    if last.startswith("-"):
        return Offered(last, [each for each in flags if each.startswith(last)])
    if verb.target in ("", "switch"):
        words = () if {*typed.split()} & {*SWITCH} or not verb.target else SWITCH
        return Offered(last, [t for t in (*words, *flags) if t.startswith(last)])
    target = _after_options(typed, verb.options)
    keys = _held_keys(_STATUSES.get(magic, ("error",)))
    if magic != "dbg_peek":  # what has failed does not run
        keys += session.listed_keys
    texts = [text for key in keys for text in _spellings(key)]
    texts += [*_variables(names), *(["next"] if verb is MAGIC_VERBS["dbg"] else [])]
    fitting = [text for text in dict.fromkeys(texts) if text.startswith(target)]
    return Offered(target, fitting if target else [*fitting, *flags])


def _values(
    typed: str, options: tuple[Option, ...], names: Mapping[str, Any]
) -> Offered | None:
    """Values of the option before the cursor; None if there is none that takes any."""
    found = _OPENED.search(typed)
    named = [o for o in options if found and o.flag == found["flag"]]
    if found is None or not named or named[0].kind == "flag":
        return None
    part = found["value"].rpartition(",")[2]
    values = named[0].choices or named[0].some()
    if named[0].kind == "client":
        values = tuple(_clients(names))
    minus = "-" if named[0].keyword == "sort" and part.startswith("-") else ""
    texts = [f"{minus}{each}" for each in values]
    return Offered(part, [each for each in texts if each.startswith(part)])


def _after_options(typed: str, options: tuple[Option, ...]) -> str:
    """What stands behind the options of a line."""
    flags = {flag for o in options if o.kind == "flag" for flag in flags_of([o])}
    while found := _OPTION.match(typed):
        rest = typed[found.end() :]
        value = None if found["flag"] in flags else _VALUE.match(rest)
        typed = rest[value.end() :] if value else rest
    return typed.lstrip()


def _held_keys(statuses: Collection[str] | None) -> list[Any]:
    """Keys of futures that the current client holds, the newest first."""
    from dbgkit.cluster.clients import current_client, held_future_states

    client = current_client()
    if client is None:
        return []
    held = [
        key
        for key, state in held_future_states(client).items()
        if statuses is None or state.status in statuses
    ]
    return list(islice(reversed(held), _MOST))


def _spellings(key: Any) -> Iterator[str]:
    """A key as it may be typed: a text also without quotes, if it is read so."""
    if isinstance(key, str) and key.isprintable() and not key.isdecimal():
        yield key
    yield repr(key)


def _variables(namespace: Mapping[str, Any]) -> list[str]:
    """Names of variables that are a target."""
    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and _is_target(value)
    ]


def _clients(namespace: Mapping[str, Any]) -> list[str]:
    """Names of variables that are a client."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return []
    return [
        name
        for name, value in list(namespace.items())
        if not name.startswith("_") and isinstance(value, distributed.Client)
    ]


def _is_target(value: Any) -> bool:
    from dbgkit.cluster.clients import is_future

    if isinstance(value, (list, tuple, set)):
        return any(is_future(member) for member in islice(value, _MOST_MEMBERS))
    if isinstance(value, type):
        return False
    # A collection has this on its class; asking the object could compute something.
    return (
        is_future(value)
        or isinstance(value, BaseException)
        or hasattr(type(value), "__dask_graph__")
    )
