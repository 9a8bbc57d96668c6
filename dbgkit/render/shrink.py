"""The smallest input: what it is, what that means, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType

from dbgkit.model import Culprit, Shrinkage, Shrunk
from dbgkit.remote.common.texts import in_line
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.failure import FailureView, add_origin, title_text, view_failure
from dbgkit.render.fields import Fields
from dbgkit.render.style import NOTE
from dbgkit.render.text import Text

_LABEL = 20  # characters of one that stands where the others begin
ROWS = 12  # culprits that are listed; the rest is counted


@dataclass(frozen=True)
class ShrunkView:
    """A smallest input, ready to be shown."""

    failure: FailureView
    verdict: str
    meaning: str
    left: tuple[str, ...]
    culprits: tuple[tuple[str, str], ...]  # where each is, and what it holds
    more: str
    effort: str
    notes: tuple[str, ...]


def view_shrunk(found: Shrunk) -> ShrunkView:
    """Gather what is shown of a smallest input."""
    shown = found.culprits[:ROWS]
    more = len(found.culprits) - len(shown) + found.omitted
    return ShrunkView(
        failure=view_failure(found.original),
        verdict=found.verdict,
        meaning=meaning(found),
        left=tuple(_left(each) for each in _changed(found)),
        culprits=tuple(_culprit(each, found) for each in shown),
        more=f"… {words.count(more, 'more', 'more')}" if more else "",
        effort=_effort(found),
        notes=words.safe_each(found.notes),
    )


def meaning(found: Shrunk) -> str:
    """What the verdict says of this input, in one sentence."""
    main = _main(found)
    what = main.what if main is not None else "part"
    if main is None and found.culprits:
        what = found.culprits[0].what
    count = main.left if main is not None else len(found.culprits)
    parts = words.count(count, _noun(what), _nouns(what))
    others = f"other {_nouns(what)}" if count != 1 else f"another {_noun(what)}"
    their = "their" if count != 1 else "its"
    inputs = len({each.input for each in found.culprits})
    together = f"parts of {inputs} inputs" if inputs > 1 else parts
    text = {
        "one": f"one {_noun(what)} makes it fail",
        "block": f"{parts} next to each other make it fail together",
        "some": f"{together} make it fail together",
        "size": f"it fails with {parts} or more, whichever they are",
        "none": f"it fails with no {_nouns(what)} at all",
        "any": f"it fails with {parts}, and with {others} in {their} place too",
        "flaky": "the same input fails and passes",
    }[found.verdict]
    if found.verdict == "one" and not found.shrinkage and not found.culprits:
        text = "there is nothing in it that could be left out"
    return f"{text}{_ended(found)}"


_STOPPED = {
    "time": "stopped at the limit of time",
    "runs": "stopped at the limit of runs",
    "ctrl-c": "stopped by Ctrl-C",
    "hang": "stopped by a run that does not end",
    "gone": "stopped by the end of the worker",
}


def _ended(found: Shrunk) -> str:
    if found.stopped:
        how = _STOPPED.get(found.stopped, f"stopped: {in_line(found.stopped)}")
        return f" ({how}: less may do)"
    if found.minimal and found.verdict in ("some", "block"):
        return ", and without any one of them it does not"
    return ""


def _main(found: Shrunk) -> Shrinkage | None:
    """The axis along which the input was largest, of those that the verdict is of."""
    axes = [each for each in found.shrinkage if each.what not in ("column", "input")]
    largest = max(axes, key=_total, default=None)
    if largest is None or found.verdict == "none":
        return largest
    told = [each for each in axes if each.what != "key" or largest.what == "key"]
    return max((each for each in told if each.left), key=_total, default=largest)


def _total(each: Shrinkage) -> int:
    return each.total


def _noun(what: str) -> str:
    return "part" if what.startswith("axis") else what


def _nouns(what: str) -> str:
    return f"{_noun(what)}s"


def _changed(found: Shrunk) -> list[Shrinkage]:
    """What got smaller; an axis that was gone through again counts once."""
    return [each for each in found.shrinkage if each.left < each.total]


def _left(each: Shrinkage) -> str:
    nouns = "inputs" if each.what == "input" else _nouns(each.what)
    where = "" if each.what == "input" else f" of {in_line(each.input)}"
    along = f" along {each.what}" if each.what.startswith("axis") else ""
    return f"{each.left:,} of {each.total:,} {nouns}{along}{where}"


def _culprit(each: Culprit, found: Shrunk) -> tuple[str, str]:
    number = each.position + (each.what == "line")  # as editors count them
    where = f"{_noun(each.what)} {number:,}"
    label = in_line(each.label) if each.label != str(each.position) else ""
    parts = [in_line(each.value)] if each.value else []
    if 0 < len(label) <= _LABEL:
        where += f" ({label})"
    elif label:
        parts.insert(0, label)
    if len({one.input for one in found.culprits}) > 1:
        parts.append(f"of {in_line(each.input)}")
    if each.provenance is not None:
        parts.append(f"from {in_line(each.provenance.text)}")
    elif each.partition is not None:
        parts.append(f"in partition {each.partition:,}")
    return where, ", ".join(parts)


def _effort(found: Shrunk) -> str:
    places = {
        "here": "in this process",
        "process": "in processes of their own",
        "worker": f"on {in_line(found.worker)}",
    }
    text = f"{words.count(found.runs, 'run')} {places[found.where]}"
    if found.rows:
        times = found.rows_tested / found.rows
        text += f", on {times:.1f} times the input in all"
    return f"{text}, in {words.duration(found.seconds)}"


def _form(view: ShrunkView) -> RenderableType:
    fields = Fields(8)
    add_origin(fields, view.failure)
    verdict = Text(view.verdict, style="bold", overflow="fold")
    fields.add("verdict", verdict.append(f": {view.meaning}", style="not bold"))
    fields.add_each("left", view.left)
    for where, what in view.culprits:
        fields.add(where, what)
    if view.more:
        fields.add("", view.more)
    fields.add("took", view.effort)
    fields.add_each("note", view.notes, NOTE)
    return Group(title_text(view.failure), fields)


SHRUNK = html.renderer("shrink", view_shrunk, _form, frame="replay")
