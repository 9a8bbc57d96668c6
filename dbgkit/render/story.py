"""A task's story: what is missing, then the entries in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding

from dbgkit.model import Timeline
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.fields import notes_form, padded
from dbgkit.render.story_lines import Line, story_lines
from dbgkit.render.style import LABEL
from dbgkit.render.text import Text
from dbgkit.source.shown import Shown

LINES = 500  # of a story
DETAIL = 1_000  # characters of one
GAP = 2
BAD = ("erred", "error", "no-worker")


@dataclass(frozen=True)
class MomentView:
    """One line of a story."""

    when: str
    after: str
    source: str
    what: str
    detail: str
    bad: bool


@dataclass(frozen=True)
class StoryView:
    """A task's story, ready to be shown."""

    key: str
    sentence: str
    moments: tuple[MomentView, ...]
    omitted: str
    notes: tuple[str, ...]


def view_story(story: Timeline) -> StoryView:
    """Gather what is shown of a task's story: the last lines, if there are many."""
    shown = Shown()
    every = story_lines(story.moments, shown.line)
    lines = every[-LINES:]
    left = len(every) - len(lines)
    days = {each.when.astimezone(timezone.utc).date() for each in story.moments}
    dated = len(days) > 1
    return StoryView(
        key=words.short_key(story.key),
        sentence=_sentence(story),
        moments=tuple(
            MomentView(
                when="" if each.repeated else _clock(each.when, dated=dated),
                after="" if each.repeated else _after(lines[0].when, each.when),
                source=in_line(each.source),
                what=words.safe(each.what) + _again(each, dated=dated),
                detail=words.clip(redact_text(shown.logged(each.detail)), DETAIL),
                bad=each.what.partition(" ×")[0].endswith(BAD),
            )
            for each in lines
        ),
        omitted=f"{words.count(left, 'earlier line')}, not shown" if left else "",
        notes=words.safe_each(story.notes),
    )


def _after(first: datetime, when: datetime) -> str:
    return f"+{(when - first).total_seconds():.3f} s"


def _again(line: Line, *, dated: bool) -> str:
    """Until when it came again, and which lines if these are others."""
    if line.until is None:
        return ""
    lines = {0: "", 1: ": the line above"}
    which = lines.get(line.repeated, f": the {line.repeated} lines above")
    return f"{which}, until {_clock(line.until, dated=dated)}"


def _clock(when: datetime, *, dated: bool) -> str:
    """Time of day in UTC to the millisecond, with its date where there are several."""
    text = when.astimezone(timezone.utc).isoformat(sep=" ", timespec="milliseconds")
    text = text.removesuffix("+00:00")
    return text if dated else text.split(" ", 1)[1]


def _sentence(story: Timeline) -> str:
    """How many entries the logs have, and from when to when."""
    if not story.moments:
        return "no log mentions it any more"
    entries = words.count(len(story.moments), "log entry", "log entries")
    first, last = story.moments[0].when, story.moments[-1].when
    took = (last - first).total_seconds()
    if took < 0.001:
        return f"{entries}, at {words.moment(first)}"
    return f"{entries} within {words.duration(took)}, from {words.moment(first)}"


# --- on a console ---------------------------------------------------------------


def _form(view: StoryView) -> RenderableType:
    """What is missing, then the entries in order of time."""
    title = Text(view.key, style="bold", overflow="fold")
    parts: list[RenderableType] = [
        title.append(f"  {view.sentence}", style="not bold"),
        *notes_form(view.notes),
    ]
    if view.omitted:
        parts.append(Text(f"  … {view.omitted}", style=LABEL))
    return Group(*parts, _Entries(view))


class _Entries:
    """A story's entries: one line each and its details, or more where it is narrow."""

    def __init__(self, view: StoryView) -> None:
        self._entries = view.moments
        self._sources = max((cell_len(one.source) for one in view.moments), default=0)
        self._after = max((len(one.after) for one in view.moments), default=0)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        for entry in self._entries:
            if not entry.when:
                again = Text(entry.what, style=LABEL, overflow="fold")
                yield Padding(again, (0, 0, 0, GAP))
                continue
            head = Text(" " * GAP + entry.when, overflow="fold")
            head.append(f"  {entry.after:>{self._after}}  ", style="dim")
            source = padded(entry.source, self._sources)
            what = Text(entry.what, style="bold red" if entry.bad else "bold")
            what.overflow = "fold"
            head.append(source, style="cyan")
            if head.cell_len + GAP + what.cell_len <= options.max_width:
                yield head.append(" " * GAP).append_text(what)
            else:
                head.rstrip()
                yield head
                yield Padding(what, (0, 0, 0, 2 * GAP))
            if entry.detail:
                detail = Text(entry.detail, style="dim", overflow="fold")
                yield Padding(detail, (0, 0, 0, 3 * GAP))


STORY = html.renderer("story", view_story, _form)
