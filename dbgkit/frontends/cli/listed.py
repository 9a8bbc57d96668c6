"""What `dbgkit failures` listed last: a number stands for what was shown beside it.

Failures come and go, so that the second of the list may be another one a moment later.
The keys are kept in a file of the user's cache, for the terminals of this user alone;
a key that holds what looks like a secret is not.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dbgkit.remote.common.parsing import literal
from dbgkit.remote.common.sentences import clock
from dbgkit.remote.secrets.redact import redact_text

MOST_LISTS = 20  # of all terminals, the newest first
MOST_BYTES = 2_000_000  # of the file
MOST_SECONDS = 32_503_680_000.0  # the year 3000: times beyond cannot be shown
LONGEST = 10_000  # characters of a key that is kept


@dataclass(frozen=True)
class Listed:
    """One list of failures, as it was shown."""

    where: str  # id of the scheduler, or a dump's path and time
    address: str  # of the scheduler; empty for a dump
    terminal: str  # the session that it was shown in
    when: float
    keys: tuple[str, ...]  # how Python spells them; empty: not kept

    def key(self, number: int) -> Any:
        """The key with a number; `LookupError` if it was not kept."""
        text = self.keys[number - 1]
        if not text:
            raise LookupError(number)
        return literal(text)

    @property
    def time(self) -> str:
        return clock(self.when)


def remember(where: str, address: str, keys: Sequence[Any]) -> None:
    """Keep what was just listed; without a place to write, nothing is kept."""
    now = datetime.now(timezone.utc).timestamp()
    made = Listed(where, address, _terminal(), now, tuple(map(spelled, keys)))
    others = [
        each
        for each in known()
        if (each.where, each.terminal) != (made.where, made.terminal)
    ]
    path = place()
    if path is None:
        return
    lists = [asdict(each) for each in [made, *others][:MOST_LISTS]]
    while len(text := json.dumps(lists)) > MOST_BYTES and lists:
        del lists[len(lists) // 2 :]
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only the user may read it, and nobody reads half of it.
        number, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise


def last_listed(where: str) -> Listed | None:
    """The last list of a scheduler or dump: of this terminal, if it has shown one."""
    lists = [each for each in known() if each.where == where]
    terminal = _terminal()
    own = (each for each in lists if each.terminal == terminal)
    return next(own, lists[0] if lists else None)


def known() -> list[Listed]:
    """All lists that are kept, the newest first; a file that is damaged has none."""
    path = place()
    try:
        if path is None or not path.is_file():  # a pipe would keep us waiting
            return []
        with open(path, encoding="utf-8") as file:
            found = json.loads(file.read(MOST_BYTES))
        return [_read(each) for each in found]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []


def place() -> Path | None:
    """The file, in the user's cache; None for a user without a home."""
    home = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    cache = os.environ.get(home) or os.path.expanduser("~/.cache")
    path = Path(cache, "dbgkit", "listed.json")
    return path if path.is_absolute() else None


def _read(form: Any) -> Listed:
    return Listed(
        where=str(form["where"]),
        address=str(form["address"]),
        terminal=str(form["terminal"]),
        when=_time(form["when"]),
        keys=tuple(map(str, form["keys"])),
    )


def _time(value: Any) -> float:
    """A time that a clock may show; `ValueError` if it is none."""
    when = float(value)
    if not 0 <= when < MOST_SECONDS:
        raise ValueError(f"not a time: {when}")
    return when


def spelled(key: Any) -> str:
    """A key as Python spells it; empty if it cannot be read back, or is not to be."""
    text = repr(key)
    if len(text) > LONGEST:
        return ""
    try:
        same = literal(text) == key
    except ValueError:
        return ""
    return text if same and redact_text(text) == text else ""


def _terminal() -> str:
    """The session of the shell that called us."""
    session = getattr(os, "getsid", None)
    return str(session(0) if session else os.getppid())
