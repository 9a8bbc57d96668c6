"""A cluster in a few lines: states in bars, failures, what is stuck, workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult

from dbgkit.model import Glance
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.console import printed
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL
from dbgkit.render.tasks import totals
from dbgkit.render.text import Text
from dbgkit.render.watch_sections import Section, one_line, sections_of
from dbgkit.render.words import clock

MOST = 20  # lines of each part, where there is no screen to fit in
LOW = 20  # lines of a screen on which there is no room for blank ones


@dataclass
class Overview:
    """A `Glance`, with as many lines as fit; the rest is counted."""

    glance: Glance
    _: KW_ONLY
    first: Glance | None = None  # an earlier one: what has failed since then is marked
    footer: str = ""  # a line below the first one
    trouble: str = ""  # why there is no newer answer
    screen: bool = False  # to fit all into the height of the screen, a line each
    at: Any = None  # the id of the entry that is selected

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        head = [_header(self.glance), Text(self.footer or _taken(self.glance), LABEL)]
        if self.trouble:
            head.append(Text(one_line(self.trouble), "bold red"))
        sections = sections_of(self.glance, self.first)
        parts = [_lines(section, self.at) for section in sections]
        gap, heights = 1, [MOST] * len(parts)
        if self.screen:
            height = options.height or console.size.height
            gap = int(height >= LOW)
            left = max(0, height - len(head) - (1 + gap) * len(parts))
            heights = _share(left, [len(lines) for lines, _ in parts])
        shown = list(head)
        for section, (lines, at), most in zip(sections, parts, heights, strict=True):
            shown += [Text("")] * gap
            shown += [section.title, *_window(lines, most, at)]
        for line in shown:
            line.no_wrap = self.screen
            line.overflow = "ellipsis" if self.screen else "fold"
            yield line


def _lines(section: Section, selected: Any) -> tuple[list[Text], int | None]:
    """The lines of a list, and which of them is selected."""
    lines: list[Text] = []
    at = None
    for entry in section.entries:
        if entry.id == selected:
            at = len(lines)
            first, *more = entry.lines
            lines += [Text(f"> {first.plain[2:]}", "reverse"), *more]
        else:
            lines += entry.lines
    return [*lines, *section.notes], at


def _share(lines: int, wanted: Sequence[int]) -> list[int]:
    """Lines for each part: all that it needs, or as many as others that are cut."""
    given = [0] * len(wanted)
    while lines > 0 and (open_ := [i for i, n in enumerate(wanted) if given[i] < n]):
        for index in open_[:lines]:
            given[index] += 1
        lines -= len(open_[:lines])
    return given


def _window(lines: list[Text], most: int, at: int | None) -> list[Text]:
    """As many lines as fit, the selected one among them; the rest is counted."""
    if len(lines) <= most:
        return lines
    first = 0
    if at is not None and at >= most - 1:
        first = min(at - max(0, most - 3), len(lines) - most + 1)
    last = first + most - (first > 0) - 1
    if last + 1 == len(lines):  # a line that would say that there is one more
        last += 1
    above = [_more(first, "line above", "lines above")] if first else []
    below = [_more(len(lines) - last, "more line")] if last < len(lines) else []
    shown = [*above, *lines[first:last], *below]
    if at is not None and not first <= at < last:  # room for one or two lines
        shown = [lines[at]]
    return shown[: max(0, most)]


def _more(count: int, noun: str, nouns: str = "") -> Text:
    return Text(f"  … {words.count(count, noun, nouns)}", LABEL)


# -- the head ------------------------------------------------------------------


def _header(glance: Glance) -> Text:
    line = Text(one_line(glance.address) or "a cluster", "bold")
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


# -- in a notebook -------------------------------------------------------------


def _html(glance: Glance) -> str:
    return html.part("overview", printed(Overview(glance), width=100, color=False))


OVERVIEW = Renderer[Glance](rich=Overview, html=_html)
