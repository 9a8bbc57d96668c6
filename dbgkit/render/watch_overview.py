"""A cluster in a few lines: states in bars, failures by root cause, what is stuck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from rich.console import Console, ConsoleOptions, RenderResult

from dbgkit.model import Explanation, FailureGroup, Glance
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.console import printed
from dbgkit.render.failures import message_of
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, STATES
from dbgkit.render.tasks import totals
from dbgkit.render.text import Text
from dbgkit.render.words import clock

BAR = 24  # columns
NAME = 32  # columns of a prefix
MOST = 20  # lines of each part, where there is no screen to fit in
# Characters of any encoding, distinct without colours too.
_LETTERS = {
    "memory": "#",
    "processing": ">",
    "queued": ".",
    "waiting": ".",
    "no-worker": "?",
    "erred": "x",
    "released": "-",
}


@dataclass
class Overview:
    """A `Glance`, with as many lines as fit; the rest is counted."""

    glance: Glance
    _: KW_ONLY
    first: Glance | None = None  # an earlier one: what has failed since then is marked
    footer: str = ""  # a line below the first one
    trouble: str = ""  # why there is no newer answer
    screen: bool = False  # to fit all into the height of the screen, a line each

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        head = [_header(self.glance), Text(self.footer or _taken(self.glance), LABEL)]
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
            lines_left = max(0, height - len(head) - 2 * len(parts))
            heights = _share(lines_left, [len(part) for part in parts])
        else:
            heights = [MOST] * len(parts)
        lines = list(head)
        for title, part, most in zip(titles, parts, heights, strict=True):
            lines += [Text(""), title, *_cut(part, most)]
        for line in lines:
            line.no_wrap = self.screen
            line.overflow = "ellipsis" if self.screen else "fold"
            yield line


def _share(lines: int, wanted: Sequence[int]) -> list[int]:
    """Lines for each part: all that it needs, or as many as others that are cut."""
    given = [0] * len(wanted)
    while lines > 0 and (open_ := [i for i, n in enumerate(wanted) if given[i] < n]):
        for index in open_[:lines]:
            given[index] += 1
        lines -= len(open_[:lines])
    return given


def _cut(lines: list[Text], most: int) -> list[Text]:
    if len(lines) <= most:
        return lines
    kept = max(0, most - 1)
    more = words.count(len(lines) - kept, "more line")
    return [*lines[:kept], Text(f"  … {more}", LABEL)][:most]


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
    total = sum(totals(glance.summary).values())
    line.append(f" · {words.count(total, 'task')}")
    return line


def _taken(glance: Glance) -> str:
    return f"taken {clock(glance.taken.end)}, took {words.duration(glance.took)}"


# -- states --------------------------------------------------------------------


def _tasks(glance: Glance) -> list[Text]:
    title = Text("Tasks", "bold")
    if not glance.summary:
        return [title.append(": none", "")]
    for state, letter in _LETTERS.items():
        if state != "queued":  # has the letter of "waiting"
            title.append("   ").append(letter, STATES[state])
            name = "waiting or queued" if state == "waiting" else state
            title.append(f" {name}", LABEL)
    # Where not all fit, what is done is what can be missed.
    prefixes = sorted(glance.summary.items(), key=lambda item: _done(item[1]))
    rows: list[tuple[str, Mapping[str, int]]] = [*prefixes]
    if len(rows) > 1:
        rows.insert(0, ("all", totals(glance.summary)))
    names = [_one_line(name, NAME) for name, _ in rows]
    width = max(map(len, names))
    lines = [title]
    for name, (_, counts) in zip(names, rows, strict=True):
        line = Text(f"  {name:<{width}} ").append(_bar(counts))
        each = [
            f"{counts[state]:,} {state}" for state in _LETTERS if counts.get(state, 0)
        ]
        lines.append(line.append(f" {', '.join(each)}"))
    return lines


def _done(counts: Mapping[str, int]) -> bool:
    return all(state in ("memory", "released") for state in counts)


def _bar(counts: Mapping[str, int], width: int = BAR) -> Text:
    """The shares of states; each that occurs has at least one column."""
    present = [(state, counts[state]) for state in _LETTERS if counts.get(state, 0)]
    total = sum(number for _, number in present) or 1
    cells = [max(1, round(width * number / total)) for _, number in present]
    while sum(cells) != width and cells:
        largest = cells.index(max(cells))
        cells[largest] += 1 if sum(cells) < width else -1
    bar = Text("[")
    for (state, _), cell in zip(present, cells, strict=True):
        bar.append(_LETTERS[state] * cell, STATES[state])
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
        title.append(f"; {report.cascaded:,} more failed because of them", "")
    if report.healed:
        title.append(f"; {report.healed:,} succeeded in a retry", "")
    before = _counts(first) if first is not None else None
    lines = [title, *(_failure(group, before) for group in report.groups)]
    if report.omitted:
        more = words.count(report.omitted, "more root cause")
        lines.append(Text(f"  … {more}", LABEL))
    return lines


def _failure(group: FailureGroup, before: Counter[tuple[str, str]] | None) -> Text:
    line = Text(f"  {group.count:>6,} ")
    if before is not None:
        known = before[_alike(group)]
        if not known:
            line.append("new ", "bold red")
        elif group.count > known:
            line.append(f"+{group.count - known:,} ", "bold red")
    kind = group.exception_type or "an exception of a class that is not known"
    text = message_of(group, 300)
    line.append(_one_line(f"{kind}: {text}" if text else kind), "red")
    if group.location:
        line.append(f"  {_one_line(group.location)}", LABEL)
    if group.last is not None:
        line.append(f"  last {clock(group.last)}", LABEL)
    return line


def _alike(group: FailureGroup) -> tuple[str, str]:
    return group.exception_type, group.location


def _counts(glance: Glance) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for group in glance.failures.groups:
        counts[_alike(group)] += group.count
    return counts


# -- what is stuck -------------------------------------------------------------


def _stuck(glance: Glance) -> list[Text]:
    why = glance.why
    text = "Nothing is blocked" if why.healthy else "What is blocked, and why"
    lines = [Text(text, "bold")]
    for each in (why, *why.others):
        lines += _cause(each)
    notes = list(dict.fromkeys((*glance.failures.notes, *why.notes)))
    return [*lines, *(Text(f"  {_one_line(note)}", LABEL) for note in notes)]


def _cause(each: Explanation) -> list[Text]:
    style = "" if each.healthy else "yellow"
    line = Text("  ").append(each.cause, f"bold {style}".strip())
    line.append(f": {_one_line(each.summary)}")
    if each.healthy or not each.advice:
        return [line]
    return [line, Text(f"      {_one_line(each.advice[0])}", LABEL)]


def _one_line(text: str, limit: int = 400) -> str:
    text = in_line(" ".join(text.split()))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


# -- in a notebook -------------------------------------------------------------


def _html(glance: Glance) -> str:
    return html.part("overview", printed(Overview(glance), width=100, color=False))


OVERVIEW = Renderer[Glance](rich=Overview, html=_html)
