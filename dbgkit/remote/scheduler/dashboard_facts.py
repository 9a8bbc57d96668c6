"""What the page shows, in texts that may be shown: secrets hidden, all on one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.endings import NO_REPORT, box_of, how_ended, used_by
from ..common.sentences import clock, counted, cut, quoted, seconds, several, typed_key
from ..common.texts import in_line
from ..secrets.redact import environment_secrets, redact_cut, redact_text

if TYPE_CHECKING:
    from ..common.wire_deaths import DeathForm
    from ..common.wire_failures import GroupForm

MESSAGE = 400  # characters
KEY = 80
LONG_KEY = 120  # is not to be typed


class Item(NamedTuple):
    """One entry of a list: its title, lines below it, and what to type to go on."""

    title: tuple[tuple[str, str], ...]  # style, text
    lines: tuple[str, ...] = ()
    go_on: str = ""


class Teller:
    """Words for one scheduler: its address, and which secrets it hides."""

    def __init__(self, address: str, names: Iterable[str], now: float) -> None:
        self._address = address
        self._names = tuple(names)
        self._values = environment_secrets(self._names)
        self._now = now

    def safe(self, text: str, limit: int = MESSAGE) -> str:
        """A text in one line, cut; secrets hidden."""
        found, more = redact_cut(
            " ".join(text.split()), limit, extra=self._names, values=self._values
        )
        return in_line(found) + ("…" if more else "")

    def key(self, key: Any) -> str:
        """A key as Python writes it."""
        return cut(self.safe(repr(key), KEY), KEY)

    def _hidden(self, text: str) -> str:
        return redact_text(text, extra=self._names, values=self._values)

    def command(self, verb: str, key: Any = None, *options: str) -> str:
        """What to type to go on; a call where a scheduler has no address to reach.

        A key that is hidden, or that nobody types, is not part of it: the list that
        the command then shows leads on.
        """
        text = typed_key(key)
        typed = len(text) <= LONG_KEY and self._hidden(text) == text
        if key is not None and not (typed and text):
            return self.command("failures" if verb == "debug" else verb)
        if self._address.startswith("inproc:"):
            given = [] if key is None else [repr(key)]
            given += [f"{name.lstrip('-')}={value!r}" for name, value in _two(options)]
            return f"dbgkit.{verb}({', '.join(given)})"
        words = ["dbgkit", verb, "--scheduler", self._address, *options]
        if key is not None:
            words += ["--", text] if text.startswith("-") else [text]
        return " ".join(map(quoted, words))

    def ago(self, when: float) -> str:
        """``at 15:09:58 UTC, 12 s ago``"""
        return f"at {clock(when)}, {seconds(max(0.0, self._now - when))} ago"

    # -- failures and deaths -------------------------------------------------------

    def failures(self, group: GroupForm, recorded: set[Any]) -> Item:
        """Failures with one root cause; ``recorded``: keys that have a recording."""
        count, key = group["count"], group["example"]["key"]
        title = [("", f"{counted(count, 'task')} · ")]
        kind = group["exception_type"] or "exception not known"
        title.append(("red", self.safe(kind)))
        message = self.safe(group["message"])
        if group["exception_type"] == "KilledWorker":
            died = counted(group["example"].get("suspicious") or 1, "worker")
            message = f"Dask gave up after {died} died while assigned to it"
        if message:
            title.append(("", f": {message}"))
        if group["messages"]:
            title.append(("dim", f" ({group['different']:,} different)"))
        lines = list(filter(None, [self._place(group["place"])]))
        if group["last"] is not None:
            lines.append(f"last {self.ago(group['last'])}")
        if group["cascaded"]:
            them = "it" if count == 1 else "them"
            more = counted(group["cascaded"], "more task")
            lines.append(f"{more} failed because of {them}")
        gone = group["forgotten"] >= count
        go_on = ""
        if gone and key in recorded:
            go_on = self.command("debug", key, "--using", "recording")
        elif not gone and key is not None:
            go_on = self.command("debug", key)
        else:
            lines.append("the scheduler knows these from its history only")
        return Item(tuple(title), tuple(lines), go_on)

    def _place(self, place: tuple[str, str, int] | None) -> str:
        """Of the innermost own line; empty where no traceback shows it."""
        filename, function, line = place or ("", "", 0)
        if not filename:
            return ""
        if filename.startswith("<"):  # code that travelled by value has no file
            return self.safe(f"line {line} in {function}")
        return self.safe(f"{filename}:{line} in {function}")

    def death(self, death: DeathForm) -> Item:
        """A worker that went away."""
        name = f" ({self.safe(str(death['name']), KEY)})" if death["name"] else ""
        title = (
            ("", f"{self.safe(death['worker'], KEY)}{name} "),
            ("red", self.safe(_ending(death))),
        )
        lines = [self.ago(death["when"])]
        had = list(dict.fromkeys(_ran(death)))
        if had:
            lines.append(f"it ran {several(map(self.key, had))}")
        return Item(title, tuple(lines))


def _two(options: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    return zip(options[::2], options[1::2], strict=True)


def _ran(death: DeathForm) -> list[Any]:
    """Keys of what a worker ran, as its black box or its last heartbeat has them."""
    box = box_of(death)
    tasks: Iterable[Mapping[str, Any]] = death["heartbeat_tasks"]
    return [task["key"] for task in (box["tasks"] if box else tasks)]


def _ending(death: DeathForm) -> str:
    """How a worker ended, as far as its nanny, or itself, has reported it."""
    if used := used_by(death):
        return f"was ended by its nanny: it used {used} of memory"
    code = (death["report"] or NO_REPORT)["code"]
    if death["reason"] and (code is None or code >= 0):
        return f"closed: {death['reason']}"
    return how_ended(code) or "ended; how is not known here"
