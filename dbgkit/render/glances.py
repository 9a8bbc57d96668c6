"""A cluster at a glance: states in bars, failures by root cause, what is stuck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from rich.console import Console, ConsoleOptions, RenderResult

from dbgkit.model import Explanation, FailureGroup, Glance
from dbgkit.remote.common.texts import in_line
from dbgkit.render import words
from dbgkit.render.text import Text

BAR = 24  # columns
NAME = 32  # columns of a prefix
MOST = 20  # lines of each part, where there is no screen to fit in
# Letters of any encoding, told apart without colours too.
_STATES = {
    "memory": ("#", "green"),
    "processing": (">", "cyan"),
    "queued": (".", "dim"),
    "waiting": (".", "dim"),
    "no-worker": ("?", "magenta"),
    "erred": ("x", "red"),
    "released": ("-", "dim"),
}
_LEGEND = (
    ("#", "memory", "green"),
    (">", "processing", "cyan"),
    (".", "waiting or queued", "dim"),
    ("?", "no-worker", "magenta"),
    ("x", "erred", "red"),
    ("-", "released", "dim"),
)


class GlanceForm:
    """A `Glance`, as many lines of it as there is room for; what is cut is counted.

    Parameters
    ----------
    glance : Glance
    first : Glance, optional
        An earlier one: what has failed since then is told.
    footer : str
        A line below the first one.
    trouble : str
        What goes wrong with looking.
    screen : bool
        Whether to fit all into the height of the screen, a line each.
    """

    def __init__(
        self,
        glance: Glance,
        *,
        first: Glance | None = None,
        footer: str = "",
        trouble: str = "",
        screen: bool = False,
    ) -> None:
        self.glance = glance
        self.first = first
        self.footer = footer
        self.trouble = trouble
        self.screen = screen

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        head = [_header(self.glance), Text(self.footer or _taken(self.glance), "dim")]
        if self.trouble:
            head.append(Text(_one_line(self.trouble), "bold red"))
        parts = [
            _tasks(self.glance),
            _failures(self.glance, self.first),
            _stuck(self.glance),
        ]
        titles = [part.pop(0) for part in parts]
        if self.screen:
            height = options.height or console.size.height
            room = max(0, height - len(head) - 2 * len(parts))
            rooms = _share(room, [len(part) for part in parts])
        else:
            rooms = [MOST] * len(parts)
        lines = list(head)
        for title, part, room in zip(titles, parts, rooms, strict=True):
            lines += [Text(""), title, *_cut(part, room)]
        for line in lines:
            line.no_wrap = self.screen
            line.overflow = "ellipsis" if self.screen else "fold"
            yield line


def _share(room: int, wanted: Sequence[int]) -> list[int]:
    """Lines for each part: all that it wants, or as much as any other that is cut."""
    given = [0] * len(wanted)
    while room > 0 and (open_ := [i for i, n in enumerate(wanted) if given[i] < n]):
        for index in open_[:room]:
            given[index] += 1
        room -= len(open_[:room])
    return given


def _cut(lines: list[Text], room: int) -> list[Text]:
    if len(lines) <= room:
        return lines
    kept = max(0, room - 1)
    more = words.count(len(lines) - kept, "more line")
    return [*lines[:kept], Text(f"  … {more}", "dim")][:room]


# -- the head ------------------------------------------------------------------


def _header(glance: Glance) -> Text:
    line = Text(_one_line(glance.address) or "a cluster", "bold")
    count = sum(glance.workers.values())
    line.append(f" · {words.count(count, 'worker')}", "")
    others = [
        f"{number:,} {status.replace('_', ' ')}"
        for status, number in sorted(glance.workers.items())
        if status != "running"
    ]
    if others:
        line.append(f" ({', '.join(others)})", "bold red")
    line.append(f", {words.count(glance.threads, 'thread')}")
    total = _totals(glance.summary)
    line.append(f" · {words.count(sum(total.values()), 'task')}")
    return line


def _taken(glance: Glance) -> str:
    return f"taken {clock(glance.taken.end)}, took {words.seconds(glance.took)}"


def clock(when: datetime) -> str:
    """A time of day: a screen is of today."""
    return when.astimezone(timezone.utc).strftime("%H:%M:%S UTC")


# -- states --------------------------------------------------------------------


def _totals(summary: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in summary.values():
        for state, number in counts.items():
            total[state] = total.get(state, 0) + number
    return total


def _tasks(glance: Glance) -> list[Text]:
    title = Text("Tasks", "bold")
    if not glance.summary:
        return [title.append(": none", "")]
    for letter, name, style in _LEGEND:
        title.append("   ").append(letter, style).append(f" {name}", "dim")
    # Where there is no room for all, what is done is what can be missed.
    prefixes = sorted(glance.summary.items(), key=lambda item: _done(item[1]))
    rows = [*prefixes]
    if len(rows) > 1:
        rows.insert(0, ("all", _totals(glance.summary)))
    names = [_one_line(name, NAME) for name, _ in rows]
    width = max(map(len, names))
    lines = [title]
    for name, (_, counts) in zip(names, rows, strict=True):
        line = Text(f"  {name:<{width}} ").append(_bar(counts))
        told = [
            f"{counts[state]:,} {state}" for state in _STATES if counts.get(state, 0)
        ]
        lines.append(line.append(f" {', '.join(told)}"))
    return lines


def _done(counts: Mapping[str, int]) -> bool:
    return all(state in ("memory", "released") for state in counts)


def _bar(counts: Mapping[str, int], width: int = BAR) -> Text:
    """The shares of states; what is there at all has one column at least."""
    present = [(state, counts[state]) for state in _STATES if counts.get(state, 0)]
    total = sum(number for _, number in present) or 1
    cells = [max(1, round(width * number / total)) for _, number in present]
    while sum(cells) != width and cells:
        largest = cells.index(max(cells))
        cells[largest] += 1 if sum(cells) < width else -1
    bar = Text("[")
    for (state, _), cell in zip(present, cells, strict=True):
        letter, style = _STATES[state]
        bar.append(letter * cell, style)
    return bar.append("]")


# -- failures ------------------------------------------------------------------


def _failures(glance: Glance, first: Glance | None) -> list[Text]:
    report = glance.failures
    title = Text("Failures", "bold")
    if not report.total:
        title.append(": none", "")
    else:
        causes = words.count(len(report.groups) + report.omitted, "root cause")
        title.append(f": {words.count(report.total, 'task')} failed", "bold red")
        title.append(f", of {causes}", "")
    if report.cascaded:
        title.append(f"; {report.cascaded:,} more fell because of them", "")
    if report.healed:
        title.append(f"; {report.healed:,} succeeded in a retry", "")
    before = _counts(first) if first is not None else None
    lines = [title]
    for group in report.groups:
        lines.append(_failure(group, before))
    if report.omitted:
        more = words.count(report.omitted, "more root cause")
        lines.append(Text(f"  … {more}", "dim"))
    return lines


def _failure(group: FailureGroup, before: Mapping[tuple[str, str], int] | None) -> Text:
    line = Text(f"  {group.count:>6,} ")
    if before is not None:
        known = before.get(_alike(group), 0)
        if not known:
            line.append("new ", "bold red")
        elif group.count > known:
            line.append(f"+{group.count - known:,} ", "bold red")
    kind = group.exception_type or "an exception of a class that is not known"
    line.append(_one_line(words.said(kind, group.message, 300)), "red")
    if group.location:
        line.append(f"  {_one_line(group.location)}", "dim")
    if group.last is not None:
        line.append(f"  last {clock(group.last)}", "dim")
    return line


def _alike(group: FailureGroup) -> tuple[str, str]:
    return group.exception_type, group.location


def _counts(glance: Glance) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for group in glance.failures.groups:
        name = _alike(group)
        counts[name] = counts.get(name, 0) + group.count
    return counts


# -- what is stuck -------------------------------------------------------------


def _stuck(glance: Glance) -> list[Text]:
    why = glance.why
    told = [why, *why.others]
    said = "Nothing is in the way" if why.healthy else "What is in the way, and why"
    title = Text(said, "bold")
    lines = [title]
    for each in told:
        lines += _cause(each)
    notes = list(dict.fromkeys((*glance.failures.notes, *why.notes)))
    return [*lines, *(Text(f"  {_one_line(note)}", "dim") for note in notes)]


def _cause(each: Explanation) -> list[Text]:
    style = "" if each.healthy else "yellow"
    line = Text("  ").append(each.cause, f"bold {style}".strip())
    line.append(f": {_one_line(each.summary)}")
    if each.healthy or not each.advice:
        return [line]
    return [line, Text(f"      {_one_line(each.advice[0])}", "dim")]


def _one_line(text: str, limit: int = 400) -> str:
    text = in_line(" ".join(text.split()))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
