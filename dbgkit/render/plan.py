"""A plan: what a replay costs, and what to know before."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from dbgkit.model import InputInfo, Plan
from dbgkit.remote.common.sentences import several
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.failure import task_text
from dbgkit.render.fields import Fields
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text

ROWS = 12  # inputs that are listed; the rest is counted


@dataclass(frozen=True)
class PlanView:
    """A plan, ready to be shown."""

    name: str
    key: str
    lines: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, str, str], ...]  # key, name, size, what happens
    more_rows: int
    warnings: tuple[str, ...] = field(default=())


_HOW = {
    "pull": "pulled from a worker",
    "recompute": "computed again on the cluster",
    "run": "computed here",
    "have": "already here",
}
_HOW_THERE = {
    "pull": "fetched from another worker",
    "run": "computed again there",
    "have": "copied there",
}


def view_plan(plan: Plan) -> PlanView:
    """Gather what is shown of a plan, the largest inputs first."""
    places = {
        "here": "in this process",
        "process": "in a process of its own",
        "worker": f"on worker {plan.worker}, in a thread of its own",
    }
    lines = [("runs", _what(plan) + f", {places[plan.where]}")]
    if plan.call:
        lines.append(("call", plan.call))
    pulled = [one for one in plan.inputs if one.how == "pull"]
    if pulled:
        number = words.count(len(pulled), "input")
        to = " from other workers" if plan.worker else ""
        lines.append(("pulls", f"{words.size(plan.pull_bytes)} in {number}{to}"))
    if plan.worker and plan.scope == "task" and len(plan.run_here) > 1:
        again = words.count(len(plan.run_here) - 1, "task")
        lines.append(("computes", f"{again} again there, in the same thread"))
    if plan.recompute:
        lines.append(("computes", _again(plan)))
    if plan.own_keys:
        number = words.count(len(plan.own_keys), "key")
        lines.append(
            (
                "states",
                f"of {number} change meanwhile, as a shuffle runs under its own keys",
            )
        )
    ordered = sorted(plan.inputs, key=lambda one: -(one.nbytes or 0))
    return PlanView(
        name=plan.name,
        key=words.key_text(plan.key),
        lines=tuple(lines),
        rows=tuple(_input(one, plan) for one in ordered[:ROWS]),
        more_rows=max(0, len(ordered) - ROWS),
        warnings=tuple(dict.fromkeys(plan.warnings)),
    )


def _what(plan: Plan) -> str:
    """What runs, and how often."""
    several = len(plan.run_here) if plan.scope == "ancestors" else 0
    what = f"{words.count(several, 'task')} up to it" if several > 1 else "the task"
    return f"{what}, {plan.times:,} times" if plan.times > 1 else what


def _again(plan: Plan) -> str:
    """What the cluster computes again."""
    count = len(plan.recompute)
    named = several(map(words.key_text, plan.recompute[:3]), count)
    private = "" if plan.own_keys else ", under private keys"
    tasks = words.count(count, "task")
    return f"{tasks} again on the cluster{private}: {named}"


def _input(one: InputInfo, plan: Plan) -> tuple[str, str, str, str]:
    known = "" if one.nbytes is None else words.size(one.nbytes)
    kind = f"{one.type}, {known}" if one.type and known else one.type or known
    how = (_HOW_THERE if plan.worker else _HOW)[one.how]
    return words.key_text(one.key), one.name, kind, how


def _form(view: PlanView) -> RenderableType:
    fields = Fields(8)
    fields.add("task", task_text(view.name, view.key))
    for label, text in view.lines:
        fields.add(label, text)
    fields.add_each("warning", view.warnings, NOTE)
    if not view.rows:
        return Group(fields)
    table = Table.grid(padding=(0, 2))
    for key, name, kind, how in view.rows:
        table.add_row(
            Text(name or key, style="cyan", overflow="fold"),
            Text(kind, style=LABEL),
            Text(how),
        )
    parts: list[RenderableType] = [fields]
    parts += [Text("\ninputs", style=LABEL), Padding(table, (0, 0, 0, 2))]
    if view.more_rows:
        more = words.count(view.more_rows, "more input")
        parts.append(Text(f"  … {more}", style=LABEL))
    return Group(*parts)


PLAN = html.renderer("plan", view_plan, _form, frame="plan")
