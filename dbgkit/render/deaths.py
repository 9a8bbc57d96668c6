"""Deaths of workers: how each ended, and what it ran then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType

from dbgkit.model import Death, Deaths, LoggedLine, RunningTask
from dbgkit.remote.common.sentences import several
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.fields import Fields
from dbgkit.render.registry import Renderer
from dbgkit.render.style import DEATHS as STYLES
from dbgkit.render.style import LABEL, NOTE, OTHER_DEATH
from dbgkit.render.text import Text

MOST_RAN = 10  # tasks of one worker
MOST_QUEUED = 3
MOST_LOGGED = 5
STACK_LINES = 12
STEADY = 1.2  # the most memory by the least: no more than this is not worth a picture


@dataclass(frozen=True)
class DeathView:
    """What is shown of one death: a headline, and lines with a word before each."""

    verdict: str
    when: str
    summary: str
    lines: tuple[tuple[str, str], ...]
    stack: str


@dataclass(frozen=True)
class DeathsView:
    """What is shown of all: one of each kind, and what was left out or is unknown."""

    headline: str
    deaths: tuple[DeathView, ...]
    notes: tuple[str, ...]


def view_death(death: Death, alike: Sequence[Death] = ()) -> DeathView:
    """Gather what is shown of a death, and of earlier ones that are like it."""
    lines = [("because", fact) for fact in death.evidence]
    lines += [("ran", _ran(task)) for task in death.ran[:MOST_RAN]]
    if len(death.ran) > MOST_RAN:
        lines.append(
            ("ran", f"… {words.count(len(death.ran) - MOST_RAN, 'more task')}")
        )
    if death.ran_known and not death.ran:
        lines.append(("ran", "no task"))
    if death.queued_count:
        lines.append(("queued" if death.ran_known else "had", _queued(death)))
    if death.memory:
        lines.append(("memory", _memory(death)))
    if len(death.memory_history) > 1:
        lines.append(("memory", _history(death.memory_history)))
    if death.lost:
        lines.append(("lost", f"{words.count(death.lost, 'result')} that it held"))
    lines.append(("where", _where(death)))
    if alike:
        count = "1 more" if len(alike) == 1 else f"{len(alike):,} more"
        first = words.moment(alike[-1].when)
        lines.append(("alike", f"{count} ended in the same way, the first at {first}"))
    lines += [("logged", line) for line in _logged(death)]
    lines += [("stderr", line) for line in death.stderr]
    lines += [("nanny", line) for line in death.said]
    lines += [("note", note) for note in death.notes]
    return DeathView(
        verdict=death.verdict,
        when=words.moment(death.when),
        summary=in_line(words.clip(death.summary, 400, 3)),
        lines=tuple((word, words.clip(text, 400, 3)) for word, text in lines),
        stack=words.clip(death.stack, 4_000, STACK_LINES) if death.stack else "",
    )


def view_deaths(deaths: Deaths) -> DeathsView:
    """Gather what is shown of deaths: of those that are alike the newest."""
    kinds: dict[Any, list[Death]] = {}
    for death in deaths.deaths:
        kinds.setdefault(_kind(death), []).append(death)
    notes = list(deaths.notes)
    if deaths.omitted:
        notes.insert(0, f"{words.count(deaths.omitted, 'earlier one')} left out")
    return DeathsView(
        _headline(deaths),
        tuple(view_death(newest, alike) for newest, *alike in kinds.values()),
        tuple(notes),
    )


def _kind(death: Death) -> Any:
    """What makes deaths alike: how they ended, and what kind of task ran."""
    ran = [task for task in death.ran if task.crashed] or death.ran
    tasks = sorted({words.key_text(task.prefix or task.key) for task in ran})
    ended = (death.verdict, death.exit_code, death.signal)
    return (*ended, bool(death.queued_count) and not ran, tuple(tasks))


def _headline(deaths: Deaths) -> str:
    if not deaths.deaths:
        return "no worker is known to have gone away"
    shown = len(deaths.deaths)
    unwanted = sum(not death.expected for death in deaths.deaths)
    text = f"{words.count(deaths.total, 'worker')} went away"
    if deaths.total > shown:
        return f"{text}, {unwanted:,} of the newest {shown:,} unexpectedly"
    if unwanted == shown:
        return f"{text} unexpectedly"
    return f"{text}, {unwanted:,} of them unexpectedly" if unwanted else text


def _ran(task: RunningTask) -> str:
    text = words.key_text(task.key)
    if task.seconds is not None:
        text += f" for {words.duration(task.seconds)}"
    if task.ended:
        text += ", which had ended, but the scheduler had not been notified"
    if task.found_in == "heartbeat":
        text += ", at its last heartbeat"
    if task.line:
        text += f", at {task.line}"
        if task.raised:
            text += f" (where it raised {task.raised})"
        elif task.crashed:
            text += " (the crash)"
        elif task.line_age is not None:
            text += f" ({words.duration(task.line_age)} before)"
    elif task.first_lines:
        which = "the function" if len(task.first_lines) == 1 else "one of the functions"
        text += f", in {which} at {'; '.join(task.first_lines)}"
    if task.inputs:
        text += f", with inputs of {words.size(task.inputs)}"
    return text


def _queued(death: Death) -> str:
    named = map(words.key_text, death.queued)
    text = several(named, death.queued_count, MOST_QUEUED)
    return f"{text} (not running)" if death.ran_known else text


def _memory(death: Death) -> str:
    text = words.size(death.memory)
    if death.memory_limit:
        text += f" of {words.size(death.memory_limit)}"
    if death.memory_age is not None:
        text += f", {words.duration(death.memory_age)} before"
    return text


def _history(samples: Sequence[tuple[float, int]]) -> str:
    """How memory changed: ``▁▂▄█ 66.00 MiB to 1.90 GiB within 42.00 s``."""
    sizes = [nbytes for _, nbytes in samples]
    within = words.duration(samples[0][0] - samples[-1][0])
    if max(sizes) <= STEADY * min(sizes):
        return f"about {words.size(max(sizes))} for {within}"
    text = f"{words.spark(samples)} {words.size(sizes[0])} to {words.size(sizes[-1])}"
    if max(sizes) > STEADY * sizes[-1]:
        text += f", at most {words.size(max(sizes))},"
    return f"{text} within {within}"


def _logged(death: Death) -> list[str]:
    """The last warnings and errors, or why there are none."""
    if not death.logged_known:
        return [] if death.expected else ["not recorded"]
    # As it closes, a worker warns of each task that it stops.
    told = [line for line in death.logged if line.level != "WARNING"]
    logged = told if death.expected else death.logged
    shown = [_line(line) for line in logged[-MOST_LOGGED:]]
    more = len(logged) - len(shown)
    if more:
        shown.insert(0, f"{words.count(more, 'earlier line')} left out")
    return shown or ([] if death.expected else ["no warning and no error"])


def _line(line: LoggedLine) -> str:
    often = "" if line.times == 1 else f", the last of {line.times:,}"
    return f"{line.level} {words.duration(line.age)} before{often}: {line.text}"


def _where(death: Death) -> str:
    named = death.name not in ("", death.worker)
    parts = [f"worker {death.name}" if named else "", death.worker]
    if death.pid is not None:
        parts.append(f"process {death.pid}")
    parts.append(f"under {death.nanny}" if death.nanny else "")
    return in_line(", ".join(part for part in parts if part))


# --- on a console ---------------------------------------------------------------


def deaths_form(view: DeathsView) -> RenderableType:
    """All deaths that are known of, the newest first."""
    parts: list[RenderableType] = [Text(view.headline, style="bold")]
    for each in view.deaths:
        parts += [Text(""), _form(each)]
    if view.notes:
        notes = Fields(8)
        for note in view.notes:
            notes.add("note", note, NOTE, indent="")
        parts += [Text(""), notes]
    return Group(*parts)


def _form(view: DeathView) -> RenderableType:
    style = STYLES.get(view.verdict, OTHER_DEATH)
    head = Text(view.verdict, style=style)
    head.append(f"  {view.when}", style=LABEL)
    fields, last = Fields(10), ""
    for word, text in view.lines:
        style = NOTE if word == "note" else ""
        fields.add(word if word != last else "", text, style)
        last = word
    parts: list[RenderableType] = [head, Text(f"  {view.summary}"), fields]
    if view.stack:
        parts += [Text(f"    {line}", style=LABEL) for line in view.stack.split("\n")]
    return Group(*parts)


DEATH = Renderer[Death](
    rich=lambda death: _form(view_death(death)),
    html=lambda death: html.part("deaths", DeathsView("", (view_death(death),), ())),
)
DEATHS = html.renderer("deaths", view_deaths, deaths_form)
