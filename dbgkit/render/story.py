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
from dbgkit.render.style import LABEL
from dbgkit.render.text import Text
from dbgkit.source.shown import Shown

MOMENTS = 500  # entries of a story
DETAIL = 1_000  # characters of one
GAP = 2


@dataclass(frozen=True)
class MomentView:
    """One entry of a story."""

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
    """Gather what is shown of a task's story: the last entries, if there are many."""
    moments, shown = story.moments[-MOMENTS:], Shown()
    left = len(story.moments) - len(moments)
    days = {each.when.astimezone(timezone.utc).date() for each in moments}
    entries = words.count(left, "earlier entry", "earlier entries")
    return StoryView(
        key=words.short_key(story.key),
        sentence=_sentence(story),
        moments=tuple(
            MomentView(
                when=_clock(each.when, dated=len(days) > 1),
                after=f"+{(each.when - moments[0].when).total_seconds():.3f} s",
                source=in_line(each.found_in),
                what=words.safe(each.what),
                detail=words.clip(redact_text(shown.logged(each.detail)), DETAIL),
                bad=each.what.endswith(("erred", "error", "no-worker")),
            )
            for each in moments
        ),
        omitted=f"{entries}, not shown" if left else "",
        notes=words.safe_each(story.notes),
    )


def _clock(when: datetime, *, dated: bool) -> str:
    """Time of day in UTC to the millisecond, with its date where there are several."""
    text = when.astimezone(timezone.utc).isoformat(sep=" ", timespec="milliseconds")
    text = text.removesuffix("+00:00")
    return text if dated else text.split(" ", 1)[1]


def _sentence(story: Timeline) -> str:
    """How many entries there are, and from when to when."""
    if not story.moments:
        return "no log mentions it any more"
    entries = words.count(len(story.moments), "entry", "entries")
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
