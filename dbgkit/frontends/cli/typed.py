"""What is typed without the option that it needs: an address, a dump, a script."""

from __future__ import annotations

import os
import re
from typing import Any

import click

_ADDRESS = re.compile(r"[a-z][a-z+]*://")
_HOST_AND_PORT = re.compile(r"[\w.-]*:\d+|\d{4,5}|localhost")
_ENVIRONMENT = "DASK_SCHEDULER_ADDRESS"
_DUMP = (".msgpack", ".msgpack.gz", ".yaml", ".yml")
_SCRIPT = (".py", ".ipynb")


class Command(click.Command):
    """Takes an address as ``dask worker`` does: by its place, without ``--scheduler``.

    Whatever else is too much is named, with the option that it may be meant for.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words, addresses = self._without_addresses(list(args))
        twice = len(addresses) > 1 or (addresses and "--scheduler" in _options(words))
        if twice and not ctx.resilient_parsing:  # a shell completes what was typed
            raise click.UsageError("pass only one scheduler's address", ctx)
        # Options end at `--`.
        words = [*(f"--scheduler={each}" for each in addresses), *words]
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, words)
        if rest and not ctx.resilient_parsing:
            hint = meant(rest[0], self._flags())
            raise click.UsageError(f"unexpected argument {rest[0]!r}{hint}", ctx)
        key = ctx.params.get("key")
        if isinstance(key, str) and _is_script(key) and not _has_place(ctx.params):
            hint = f"to run a script, use dbgkit run {key}"
            raise click.UsageError(f"{key!r} is no key: {hint}", ctx)
        return rest

    def _without_addresses(self, words: list[str]) -> tuple[list[str], list[str]]:
        """The words, and those of them that are addresses but no option's value."""
        takes = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in (*param.opts, *param.secondary_opts)
        }
        left: list[str] = []
        addresses: list[str] = []
        before = ""
        for at, word in enumerate(words):
            if word == "--":
                left += words[at:]
                break
            is_address = before not in takes and _ADDRESS.match(word)
            (addresses if is_address else left).append(word)
            before = word
        return left, addresses

    def _flags(self) -> set[str]:
        return {name for param in self.params for name in param.opts}


def _is_script(word: str) -> bool:
    return word.lower().endswith(_SCRIPT) and os.path.isfile(word)


def _has_place(given: dict[str, Any]) -> bool:
    """Whether a cluster or dump was named, here or in the environment."""
    names = ("scheduler", "scheduler_file", "view")
    return any(given.get(name) for name in names) or _ENVIRONMENT in os.environ


def _options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def meant(word: str, flags: set[str]) -> str:
    """How a word may have been meant that has no place where it stands."""
    name = word.lower()
    if name.isdigit() or name == "localhost":
        host, port = ("HOST", name) if name.isdigit() else (name, "8786")
        return f": use --scheduler tcp://{host}:{port}"
    if _HOST_AND_PORT.fullmatch(name):
        return f": use --scheduler {word}"
    if name.endswith(_DUMP):
        return f": use --dump {word}"
    if name.endswith(_SCRIPT):
        return f": to run a script, use dbgkit run {word}"
    if name.endswith((".html", ".htm")) and "-o" in flags:
        return f": use -o {word}"
    return ""


def meant_command(word: str) -> str:
    """The command that may have been meant by a word in the place of one."""
    name = word.lower()
    if _is_script(word):
        return f"to run a script, use dbgkit run {word}"
    if _ADDRESS.match(name) or _HOST_AND_PORT.fullmatch(name) or name.endswith(_DUMP):
        return f"say what to do there, such as dbgkit failures{_place(word)}"
    return ""


def _place(word: str) -> str:
    if word.lower().endswith(_DUMP):
        return f" --dump {word}"
    return f" {word}" if _ADDRESS.match(word) else f" tcp://{word}"
