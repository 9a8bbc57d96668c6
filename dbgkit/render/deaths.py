"""Deaths of workers, on the console and in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType

from dbgkit.model import Death, Deaths, RunningTask
from dbgkit.remote.common.texts import in_line
from dbgkit.render import words
from dbgkit.render.facts import Facts
from dbgkit.render.text import Text

_STYLES = {"closed-on-purpose": "dim", "unknown": "yellow"}
MOST_RAN = 10  # tasks of one worker
MOST_QUEUED = 3
STACK_LINES = 12


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
    if death.lost:
        lines.append(("lost", f"{words.count(death.lost, 'result')} that it held"))
    lines.append(("where", _where(death)))
    if alike:
        count = "1 more" if len(alike) == 1 else f"{len(alike):,} more"
        first = words.moment(alike[-1].when)
        lines.append(("alike", f"{count} ended in the same way, the first at {first}"))
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
    told = f"{words.count(deaths.total, 'worker')} went away"
    if deaths.total > shown:
        return f"{told}, {unwanted:,} of the newest {shown:,} unexpectedly"
    if unwanted == shown:
        return f"{told} unexpectedly"
    return f"{told}, {unwanted:,} of them unexpectedly" if unwanted else told


def death_form(death: Death) -> RenderableType:
    """One death."""
    return _form(view_death(death))


def deaths_form(deaths: Deaths) -> RenderableType:
    """All deaths that are known of, the newest first."""
    view = view_deaths(deaths)
    parts: list[RenderableType] = [Text(view.headline, style="bold")]
    for each in view.deaths:
        parts += [Text(""), _form(each)]
    if view.notes:
        notes = Facts(8)
        for note in view.notes:
            notes.add_row(Text("note"), Text(note, style="yellow"))
        parts += [Text(""), notes]
    return Group(*parts)


def _form(view: DeathView) -> RenderableType:
    style = _STYLES.get(view.verdict, "bold red")
    head = Text(view.verdict, style=style)
    head.append(f"  {view.when}", style="dim")
    parts: list[RenderableType] = [head, Text(f"  {view.summary}")]
    last = ""
    for word, text in view.lines:
        line = Text("  ", overflow="fold")
        line.append(f"{word if word != last else '':<9}", style="dim")
        line.append(text, style="yellow" if word == "note" else "")
        parts.append(line)
        last = word
    if view.stack:
        parts += [Text(f"    {line}", style="dim") for line in view.stack.split("\n")]
    return Group(*parts)


def _ran(task: RunningTask) -> str:
    told = words.key_text(task.key)
    if task.seconds is not None:
        told += f" for {words.seconds(task.seconds)}"
    if task.ended:
        told += ", which had ended, but the scheduler had not heard of it"
    if task.found_in == "heartbeat":
        told += ", at its last heartbeat"
    if task.line:
        told += f", at {task.line}"
        if task.crashed:
            told += " (the crash)"
        elif task.line_age is not None:
            told += f" ({words.seconds(task.line_age)} before)"
    if task.inputs:
        told += f", with inputs of {words.size(task.inputs)}"
    return told


def _queued(death: Death) -> str:
    named = [words.key_text(key) for key in death.queued[:MOST_QUEUED]]
    more = death.queued_count - len(named)
    told = ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
    return f"{told} (not running)" if death.ran_known else told


def _memory(death: Death) -> str:
    told = words.size(death.memory)
    if death.memory_limit:
        told += f" of {words.size(death.memory_limit)}"
    if death.memory_age is not None:
        told += f", {words.seconds(death.memory_age)} before"
    return told


def _where(death: Death) -> str:
    named = death.name not in ("", death.worker)
    parts = [f"worker {death.name}" if named else "", death.worker]
    if death.pid is not None:
        parts.append(f"process {death.pid}")
    parts.append(f"under {death.nanny}" if death.nanny else "")
    return in_line(", ".join(part for part in parts if part))
