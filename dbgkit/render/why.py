"""Why something makes no progress: the cause, its evidence, advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding

from dbgkit.model import Explanation, TaskGraph
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.fields import Fields, notes_form
from dbgkit.render.graph import graph_form, graph_html
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, verdict_style
from dbgkit.render.text import Text

OTHERS = 12  # further causes
CHAIN = 8  # tasks of a chain


@dataclass(frozen=True)
class WhyView:
    """Why something makes no progress, ready to be shown."""

    cause: str
    summary: str
    healthy: bool
    evidence: tuple[str, ...]
    advice: tuple[str, ...]
    chain: str
    graph: TaskGraph | None
    others: tuple[tuple[str, str, bool], ...]  # cause, summary, healthy
    more_others: str
    notes: tuple[str, ...]


def view_why(found: Explanation) -> WhyView:
    """Gather what is shown of an explanation."""
    # What it waits for has been said already.
    further = [other for other in found.others if other.summary not in found.summary]
    others = further[:OTHERS]
    more = len(further) - len(others)
    # "waiting-on" has its chain in its evidence.
    chain = () if found.cause == "waiting-on" else found.chain
    return WhyView(
        cause=in_line(found.cause),
        summary=words.safe_line(found.summary, 1_000),
        healthy=found.healthy,
        evidence=tuple(map(words.safe, found.evidence)),
        advice=tuple(map(words.safe_line, found.advice)),
        chain=_chain(chain),
        graph=found.graph,
        others=tuple(
            (in_line(o.cause), words.safe_line(o.summary), o.healthy) for o in others
        ),
        more_others=words.count(more, "more cause") if more else "",
        notes=words.safe_each(found.notes),
    )


def _chain(keys: tuple[Any, ...]) -> str:
    """From the task asked for to the one at the end, without the middle."""
    if len(keys) < 2:
        return ""
    names = [words.shorten(words.short_key(key), 60) for key in keys]
    if len(names) > CHAIN:
        half = CHAIN // 2
        names = [*names[:half], f"… {len(names) - CHAIN:,} more …", *names[-half:]]
    return " needs ".join(names)


# --- on a console ---------------------------------------------------------------


def why_form(view: WhyView) -> RenderableType:
    """The cause and one sentence, its evidence, advice, and other causes."""
    title = Text(overflow="fold")
    title.append(view.cause, style=f"bold {verdict_style(view.healthy)}")
    title.append(f": {view.summary}", style="bold")
    fields = Fields(11)
    fields.add_each("because", view.evidence)
    if view.chain:
        fields.add("chain", view.chain)
    fields.add_each("advice", view.advice)
    parts: list[RenderableType] = [title, fields, *notes_form(view.notes)]
    if view.graph is not None:
        parts += [Text(""), Padding(graph_form(view.graph), (0, 0, 0, 2))]
    if view.others:
        parts.append(Text("\nother causes, in order of what they block", style=LABEL))
    others = Fields(4)
    for number, (cause, summary, healthy) in enumerate(view.others, 1):
        other = Text(cause, style=verdict_style(healthy), overflow="fold")
        others.add(f"{number}.", other.append(f": {summary}", style="default"))
    if others:
        parts.append(others)
    if view.more_others:
        parts.append(Text(f"  … {view.more_others}", style=LABEL))
    return Group(*parts)


WHY = Renderer[Explanation](
    rich=lambda found: why_form(view_why(found)),
    html=lambda found: html.part("why", view_why(found), graph_html(found.graph)),
)
