"""What is said of states, in human words: lists, spans, ages, sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from dbgkit.model import Checkup, FailureReport, Span, TaskTable, Timeline
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import words

# The order in which they are told.
STATES = (
    "erred",
    "no-worker",
    "waiting",
    "queued",
    "processing",
    "memory",
    "released",
)
LINE = 400  # characters of one piece of evidence, of one log line


def told(text: str, chars: int = LINE) -> str:
    """A sentence out of the data: short, nothing secret, no control characters."""
    return words.clip(redact_text(text), chars, 6)


def sentence(text: str, chars: int = LINE) -> str:
    """As `told`, in one line: a name in it begins no other."""
    return in_line(told(text, chars))


def tell_all(texts: Iterable[str]) -> tuple[str, ...]:
    """`told` of each, without repetitions."""
    return tuple(dict.fromkeys(map(told, texts)))


def rank(state: str) -> tuple[int, str]:
    """Where a state stands among the others; an unknown one last."""
    return STATES.index(state) if state in STATES else len(STATES), state


def listed(names: Sequence[str], most: int, omitted: int = 0) -> str:
    """The first few of some names, and how many more there are."""
    shown = ", ".join(in_line(name) for name in names[:most])
    more = max(0, len(names) - most) + omitted
    return f"{shown} and {more:,} more" if more and shown else shown


def shorten(text: str, most: int) -> str:
    """A text without its middle, as both ends of a key tell something."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def age(seconds: float) -> str:
    """How long something has lasted: ``"0.4 s"``, ``"3 min 5 s"``, ``"2 h 10 min"``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def clock(when: datetime, *, dated: bool) -> str:
    """Time of day in UTC to the millisecond, with its date where there are several."""
    text = when.astimezone(timezone.utc).isoformat(sep=" ", timespec="milliseconds")
    text = text.removesuffix("+00:00")
    return text if dated else text.split(" ", 1)[1]


def between(first: datetime | None, last: datetime | None) -> str:
    """From one time to another; empty where neither is known."""
    if first is None or last is None or abs((last - first).total_seconds()) < 1:
        return words.moment(first or last)
    start, end = words.moment(first), words.moment(last)
    if start[:10] == end[:10]:
        end = end[11:]
    return f"{start.removesuffix(' UTC')} to {end}"


def span(taken: Span | None) -> str:
    """When an answer was taken."""
    return between(taken.start, taken.end) if taken else ""


# --- sentences ------------------------------------------------------------------


def failures_sentence(report: FailureReport) -> str:
    """How many failed, in how many ways, and what became of the rest."""
    parts = []
    if report.total:
        ways = len(report.groups) + report.omitted
        text = f"{words.count(report.total, 'task')} failed"
        if report.total > 1:
            text += f" in {ways:,} ways" if ways > 1 else " in the same way"
        parts.append(text + _on_workers(report))
        if report.cascaded:
            them = "it" if report.total == 1 else "them"
            parts.append(f"{report.cascaded:,} more fell because of {them}")
    else:
        parts.append("no task has failed")
    if report.healed:
        were = "was" if report.healed == 1 else "were"
        parts.append(f"{report.healed:,} failed and {were} healed by a retry")
    return "; ".join(parts)


def _on_workers(report: FailureReport) -> str:
    known = {worker for group in report.groups for worker in group.workers}
    if not known:
        return ""
    more = report.omitted or any(group.omitted_workers for group in report.groups)
    least = "at least " if more else ""
    return f" on {least}{words.count(len(known), 'worker')}"


def tasks_sentence(table: TaskTable) -> str:
    """How many tasks match, how many there are, and how many rows are left out."""
    known = sum(sum(states.values()) for states in table.summary.values())
    if not table.matched:
        of = f"; {words.count(known, 'task')} in all" if known else ""
        return f"no task matches{of}" if known else "the scheduler knows no task"
    if table.matched == known:
        text = words.count(known, "task")
    else:
        verb = "matches" if table.matched == 1 else "match"
        of = f" of {known:,}" if known > table.matched else ""
        noun = "task" if table.matched == 1 and not of else "tasks"
        text = f"{table.matched:,}{of} {noun} {verb}"
    if table.omitted:
        text += f"; {len(table.rows):,} are shown, {table.omitted:,} left out"
    return text


def story_sentence(story: Timeline) -> str:
    """How many entries there are, and from when to when."""
    if not story.moments:
        return "no log tells of it any more"
    entries = words.count(len(story.moments), "entry", "entries")
    first, last = story.moments[0].when, story.moments[-1].when
    took = (last - first).total_seconds()
    if took < 0.001:
        return f"{entries}, at {words.moment(first)}"
    return f"{entries} within {words.seconds(took)}, from {words.moment(first)}"


def checkup_sentence(checkup: Checkup) -> str:
    """How many problems and warnings there are."""
    levels = [finding.level for finding in checkup.findings]
    counts = [
        words.count(number, noun)
        for noun in ("problem", "warning")
        if (number := levels.count(noun))
    ]
    text = ", ".join(counts) if counts else "nothing wrong found"
    fine = levels.count("ok")
    return f"{text}; {words.count(fine, 'check')} passed" if fine else text
