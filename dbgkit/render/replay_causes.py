"""What an exception holds and was raised from, as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from dbgkit.remote.common.exceptions import raised_from
from dbgkit.remote.common.objects import instance_dict
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.remote.values.summarize import summarize
from dbgkit.render import words
from dbgkit.targets.tracebacks import shown_chain

_CHAIN = 99  # exceptions: as many as `shown_chain` gives
_LONG = 10_000  # exceptions of a chain: of one that is longer no root is shown

Link = tuple[str, BaseException]  # how it follows from the one before


def causes_of(exception: BaseException | None, most: int) -> tuple[str, ...]:
    """An exception's own notes, what it holds and was raised from; nearest first.

    Of more than ``most`` the rest is counted, before the root that is shown always.
    """
    if exception is None:
        return ()
    held = (instance_dict(exception) or {}).get("__notes__")
    notes = held if isinstance(held, list) else []
    notes = [f"note: {note}" for note in notes if isinstance(note, str)]
    found = list(shown_chain(exception))
    lines = notes[: max(most // 2, most - len(found))]
    free = most - len(lines)
    if len(lines) < len(notes):
        lines.append(f"… {words.count(len(notes) - len(lines), 'more note')}")
    root = _root(exception, found[: free - 1]) if len(found) > free else None
    near = found[: free - 1 if root else free]
    lines += map(_follows, near)
    more = len(found) - len(near) - (root is not None)
    if more:
        least = "at least " if len(found) == _CHAIN else ""
        lines.append(f"… {least}{more:,} more")
    if root:
        lines.append(_follows(root))
    return tuple(words.clip(redact_text(line), 400, 4) for line in lines)


def _follows(link: Link) -> str:
    how, error = link
    return f"{words.FOLLOWS[how]} {summarize(error)['text']}"


def _root(exception: BaseException, near: Sequence[Link]) -> Link | None:
    """The end of the chain that is cut: the exception's own, or that of the last."""
    shown = {id(exception), *(id(error) for _, error in near)}
    for start in (exception, *(error for _, error in near[-1:])):
        line = list(islice(_line(start), _LONG))
        if 0 < len(line) < _LONG and id(line[-1][1]) not in shown:
            return line[-1]
    return None


def _line(error: BaseException) -> Iterator[Link]:
    """What an exception was raised from, and that, and so on; no members."""
    seen = {id(error)}
    step = raised_from(error)
    while step is not None and id(step[1]) not in seen:
        seen.add(id(step[1]))
        yield step
        step = raised_from(step[1])
