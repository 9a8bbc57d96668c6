"""Shell completion of keys and addresses, by click's own mechanism.

A key is offered as the shell would have to be given it. The cluster has a second at
most to name some, and whatever goes wrong there is not said: nobody has asked for it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from dbgkit.errors import DbgkitError

if TYPE_CHECKING:
    from dbgkit.cluster.view import View

LIMIT = 0.8  # seconds that a cluster has
MOST = 50  # keys
MOST_RUNNING = 1_000  # tasks that are looked through for some
_ADDRESS = re.compile(r"[a-z+]+://[\w.:/%\[\]-]+", re.ASCII)  # nothing a shell reads
# Of which only what has failed is worth asking for.
_OF_FAILED = ("debug", "locate", "recordings", "replay", "shrink")
_COMPLETING = ("bash_complete", "fish_complete", "zsh_complete", "powershell_complete")


def complete_keys(
    open_place: Callable[[], AbstractContextManager[View]], verb: str, incomplete: str
) -> list[CompletionItem]:
    """Keys that begin with a text; without one, those of failures."""
    found: list[Any] = []

    def ask() -> None:
        # A daemon: a scheduler that does not answer keeps no prompt waiting.
        unasked = contextlib.suppress(DbgkitError, click.ClickException, OSError)
        with unasked, open_place() as view:
            found.extend(_keys(view, incomplete, verb))

    # What takes a while to import is not the cluster's fault.
    import dbgkit.api.failures
    import dbgkit.api.tasks  # noqa: F401

    with contextlib.redirect_stderr(io.StringIO()):
        thread = threading.Thread(target=ask, name="dbgkit-complete", daemon=True)
        thread.start()
        thread.join(LIMIT)
    return [CompletionItem(text) for text in _for_shell(list(found))]


def complete_addresses(incomplete: str) -> list[CompletionItem]:
    """Addresses of schedulers whose failures were listed, the newest first."""
    from dbgkit.frontends.cli.listed import known

    addresses = dict.fromkeys(each.address for each in known() if each.address)
    return [
        CompletionItem(each)
        for each in addresses
        if each.startswith(incomplete) and _ADDRESS.fullmatch(each)
    ]


def whole_words(words: list[str]) -> list[str]:
    """The words of a line of which bash has broken some at ``:`` and ``=``."""
    whole: list[str] = []
    goes_on = False
    for word in words:
        breaks = bool(word) and not word.strip(":=")
        if whole and (breaks or goes_on):
            whole[-1] += word
        else:
            whole.append(word)
        goes_on = breaks
    return whole


def _keys(view: View, text: str, verb: str) -> Iterator[Any]:
    from dbgkit.api.failures import failures
    from dbgkit.frontends.cli.keys import beginning

    limit = f"{LIMIT} s"
    if verb == "peek":  # only what runs is worth looking at
        yield from _running(view, text, limit)
        return
    groups = failures(view=view, timeout=limit).groups
    known = dict.fromkeys(key for g in groups for key in (g.example.key, *g.keys))
    known.pop(None, None)
    fitting = [key for key in known if _begins(key, text)]
    yield from fitting
    failed = verb in _OF_FAILED
    if text and not (failed and fitting):
        others = beginning(view, text, limit, "erred" if failed else None, MOST)
        yield from (key for key in others if key not in known)


def _running(view: View, text: str, limit: str) -> Iterator[Any]:
    from dbgkit.api.tasks import tasks

    table = tasks(state="processing", view=view, timeout=limit, limit=MOST_RUNNING)
    yield from islice((r.key for r in table.rows if _begins(r.key, text)), MOST)


def _begins(key: Any, text: str) -> bool:
    from dbgkit.frontends.wording import shell_text

    name = key[0] if isinstance(key, tuple) else key
    return shell_text(key).startswith(text) or str(name).startswith(text)


def _for_shell(keys: Iterable[Any]) -> Iterator[str]:
    """Keys as click's script of the shell has to be given them, without secrets."""
    from dbgkit.frontends.cli.listed import spelled
    from dbgkit.frontends.wording import shell_text

    texts = [shell_text(key) for key in keys if spelled(key)]
    shell = next((v for v in os.environ.values() if v in _COMPLETING), "")
    if shell.startswith("bash"):
        yield from (_in_bash(text) for text in texts)
    elif shell.startswith("fish"):  # whose script ends a value at a comma
        yield from (text for text in texts if "," not in text)
    else:
        yield from texts


def _in_bash(text: str) -> str:
    """A text that goes on after the quote that was typed; its script reads ``\\``."""
    from dbgkit.frontends.wording import quoted

    words = os.environ.get("COMP_WORDS", "").split("\n")
    opened = words[-1][:1]
    if opened == '"':
        for each in '\\"$`':
            text = text.replace(each, f"\\{each}")
        text = text.replace("!", "\"'!'\"")  # the history's, in double quotes too
    elif opened == "'":
        text = text.replace("'", "'\"'\"'")
    else:
        text, opened = quoted(text), ""
    if opened and text.endswith(opened):
        text += opened  # bash takes it for the one that closes, and adds none
    return text.replace("\\", "\\\\")
