"""How advice is written for readers who type magics, or commands in a shell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dbgkit.advice import Calls, Variable
from dbgkit.frontends.verbs import MAGIC_VERBS, VERBS, spelled
from dbgkit.remote.common.sentences import literal_of, typed_key
from dbgkit.remote.common.sentences import quoted as quoted

_NEED_A_CLUSTER = (
    *("attach", "break_at", "debug", "live", "locate", "peek", "record", "replay"),
    *("save", "shrink", "to_test"),
)
_SWITCHED = ("live", "record")  # what is advised is to turn them on
_PLACED = ("client", "view")


class Magics(Calls):
    """As magics; options of the call that is under way as they were given.

    ``flags``: a magic is under way, so that its options are ``--where process``.
    """

    def __init__(self, *, flags: bool) -> None:
        self.flags = flags

    def call(self, verb: str, targets: tuple[Any, ...], options: dict[str, Any]) -> str:
        if f"dbg_{verb}" not in MAGIC_VERBS:
            return super().call(verb, targets, options)
        name = "%dbg" if verb == "debug" else f"%dbg_{verb}"
        words = [name, *(["on"] if verb in _SWITCHED else [])]
        named, given = _parts(verb, targets, options, _quoted)
        return " ".join([*words, *given, *map(_in_magic, named)])

    def option(self, name: str, value: Any) -> str:
        return (
            spelled(name, value, _quoted) if self.flags else super().option(name, value)
        )

    def next_cause(self, key: Any, options: Mapping[str, Any]) -> str:
        return "%dbg next"


class Commands(Calls):
    """As commands in a shell that looks at the same place."""

    def __init__(
        self, program: str, place: list[str], others: list[str], *, dump: bool
    ) -> None:
        self.program = program  # as it was called: ``dbgkit``, ``dask dbgkit``, …
        self.place = place  # the options that say where to look, as they were given
        self.others = others  # further options that each command is to be given again
        self.dump = dump  # whether the place is a dump, which runs no tasks

    def call(self, verb: str, targets: tuple[Any, ...], options: dict[str, Any]) -> str:
        if verb not in VERBS:
            return super().call(verb, targets, options)
        far = self.dump and verb in _NEED_A_CLUSTER
        given = ["--scheduler", "ADDRESS"] if far else self.place
        name = [verb.replace("_", "-"), *(["on"] if verb in _SWITCHED else [])]
        words = [*name, *map(quoted, [*given, *self.others])]
        # The place has these, and each command is given the files again.
        options = {n: v for n, v in options.items() if n not in (*_PLACED, "source")}
        named, options_given = _parts(verb, targets, options, quoted)
        keys = [each.key if isinstance(each, Variable) else each for each in named]
        texts = list(map(shell_text, keys))
        if any(text.startswith("-") for text in texts):
            options_given.append("--")
        return " ".join([self.program, *words, *options_given, *map(quoted, texts)])

    def option(self, name: str, value: Any) -> str:
        return spelled("scheduler" if name == "client" else name, value, quoted)

    def in_session(self, verb: str) -> str:
        return super().call(verb, (), {})


class Run(Calls):
    """As calls in a script; the options of one command, by default ``run``, as its own.

    The command has no cluster that others could be given.
    """

    def __init__(self, verb: str = "run") -> None:
        self.options = {option.keyword: option for option in VERBS[verb].options}

    def option(self, name: str, value: Any) -> str:
        known = self.options.get(name)
        if known is None or (known.choices and value not in (None, *known.choices)):
            return super().option(name, value)
        return spelled(name, value, quoted)


def _parts(
    verb: str, targets: tuple[Any, ...], options: dict[str, Any], quote: Any
) -> tuple[list[Any], list[str]]:
    """The targets, also one that has a name; and the options as they are typed."""
    name = VERBS[verb].target
    targets = (*targets, *([options[name]] if name in options else []))
    return [*targets], [
        spelled(option, each, quote)
        for option, value in options.items()
        if option != name
        for each in (value if isinstance(value, (list, tuple)) else [value])
    ]


def _quoted(text: str) -> str:
    """A value of a magic's option: in quotes where it has blanks."""
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}" if re.search(r"\s", text) else text


def shell_text(key: Any) -> str:
    """A key as the command line reads it, where a bare number is another thing."""
    from dbgkit.remote.secrets.redact import redact_text

    return redact_text(typed_key(key))


def _in_magic(key: Any) -> str:
    """A key as a magic reads it; a pattern is no literal, and needs no quotes."""
    from dbgkit.remote.secrets.redact import redact_text

    if isinstance(key, Variable):
        return str(key.number)
    plain = isinstance(key, str) and "*" in key and " " not in key
    # What stands after a blank in a text is not to be read as an option.
    text = key if plain else re.sub(r"(?<=\s)--", r"\\x2d-", literal_of(key))
    return redact_text(text)
