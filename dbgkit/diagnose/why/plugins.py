"""A cause beside others: plugins whose setup failed on some workers."""

from __future__ import annotations

from collections.abc import Iterator

from dbgkit.diagnose.sentences import MOST_NAMED, Words, counted
from dbgkit.diagnose.why.cause import Cause
from dbgkit.diagnose.why.look import Look
from dbgkit.remote.common.texts import type_and_message
from dbgkit.remote.secrets.redact import redact_text

# Worker, plugin, and its error as Python prints it.
Failed = tuple[str, str, str]


def find_plugin_failed(look: Look) -> Iterator[Cause[Failed]]:
    for worker, probe in sorted(look.probes.items()):
        for name, error in probe["plugins"]:
            yield Cause((worker, name, _error(error)), like=name)


def _error(text: str) -> str:
    """The exception's line: from its ``repr``, or as the log has it."""
    kind, message = type_and_message(text)
    line = (message.strip().splitlines() or [""])[0]
    return redact_text(f"{kind}: {line}" if kind else line)


def plugin_failed(cause: Cause[Failed]) -> Words:
    _, name, error = cause.first
    workers = list(dict.fromkeys(worker for worker, _, _ in cause.parts))
    said = f": {error}" if error else ""
    return (
        f"the setup of worker plugin {redact_text(repr(name))} failed on "
        f"{counted(len(workers), 'worker')}{said}",
        [
            *(f"{worker}: {text}" for worker, _, text in cause.parts[:MOST_NAMED]),
            "it is registered there all the same, so that tasks which rely on it fail "
            "or wait",
        ],
        [
            "mend what it says, then register the plugin again: "
            "client.register_plugin(plugin)",
            f"or client.restart_workers({workers[:MOST_NAMED]}) has it set up again",
        ],
    )
