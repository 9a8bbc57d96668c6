"""A checkup of a cluster: problems first, then warnings, then what is fine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Group, RenderableType

from dbgkit.model import Checkup, Finding
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.fields import Fields, notes_form, page_form
from dbgkit.render.style import LABEL, LEVELS
from dbgkit.render.text import Text


@dataclass(frozen=True)
class CheckupView:
    """A checkup, ready to be shown: what is wrong, and what is not."""

    sentence: str
    healthy: bool
    wrong: tuple[Finding, ...]
    fine: tuple[Finding, ...]
    notes: tuple[str, ...]
    page: str  # where failures are followed live


def view_checkup(checkup: Checkup) -> CheckupView:
    """Gather what is shown of a checkup."""
    findings = list(map(view_finding, checkup.findings))
    return CheckupView(
        sentence=_sentence(checkup),
        healthy=checkup.healthy,
        wrong=tuple(one for one in findings if one.level != "ok"),
        fine=tuple(one for one in findings if one.level == "ok"),
        notes=words.safe_each(checkup.notes),
        page=in_line(checkup.page),
    )


def view_finding(found: Finding) -> Finding:
    """A finding whose texts can be shown."""
    return replace(
        found,
        check=in_line(found.check),
        summary=words.safe_line(found.summary),
        advice=words.safe_line(found.advice),
        evidence=tuple(map(words.safe, found.evidence)),
    )


def _sentence(checkup: Checkup) -> str:
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


# --- on a console ---------------------------------------------------------------


def checkup_form(view: CheckupView) -> RenderableType:
    """Problems first, then warnings; what is fine in one line."""
    style = LEVELS[view.wrong[0].level if view.wrong else "ok"]
    parts: list[RenderableType] = [Text(view.sentence, style, overflow="fold")]
    parts += notes_form(view.notes)
    parts += page_form(view.page)
    parts += map(_finding_form, view.wrong)
    if view.fine:
        passed = Fields(11)
        passed.add("passed", ", ".join(one.check for one in view.fine))
        parts.append(passed)
    return Group(*parts)


def _finding_form(view: Finding) -> RenderableType:
    title = Text(overflow="fold").append(view.level, style=LEVELS[view.level])
    title.append(f" · {view.check}: ", style=LABEL).append(view.summary, style="bold")
    fields = Fields(11)
    fields.add_each("because", view.evidence)
    if view.advice:
        fields.add("advice", view.advice)
    return Group(title, fields)


CHECKUP = html.renderer("doctor", view_checkup, checkup_form)
FINDING = html.renderer("doctor", view_finding, _finding_form, show="finding")
