"""A bundle: a failure as its file has it, and what the file can be used for."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType

from dbgkit.model import Bundle, Failure
from dbgkit.remote.common.texts import in_line
from dbgkit.remote.secrets.redact import redact_text
from dbgkit.render import templating as html
from dbgkit.render import words
from dbgkit.render.failure import FailureView, add_origin, title_text
from dbgkit.render.fields import Fields
from dbgkit.render.frames import Row, frame_of, frames_form, frames_of_text
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, NOTE
from dbgkit.render.text import Text

ROWS = 12  # inputs that are listed; the rest is counted


@dataclass(frozen=True)
class BundleView:
    """A bundle, ready to be shown."""

    head: str
    failure: FailureView
    call: str  # the function, and whether it can be run
    rows: tuple[Row, ...]
    omitted: int


def view_bundle(bundle: Bundle) -> BundleView:
    """Gather what is shown of a bundle."""
    rows = [
        Row(
            in_line(one.name), in_line(one.text), in_line(_stored(one.type, one.nbytes))
        )
        for one in bundle.inputs
    ]
    return BundleView(
        head=(
            f"saved {words.moment(bundle.saved)} by dbgkit {in_line(bundle.dbgkit)}, "
            f"Python {in_line(bundle.python)}: {in_line(bundle.path)}"
        ),
        failure=_failure(bundle),
        call=_call(bundle),
        rows=tuple(rows[:ROWS]),
        omitted=max(0, len(rows) - ROWS),
    )


def _stored(kind: str, nbytes: int) -> str:
    return f"{kind}, {words.size(nbytes)}" if nbytes else kind


def _failure(bundle: Bundle) -> FailureView:
    failure, recording = bundle.failure, bundle.recording
    frames = tuple(frame_of(each) for each in recording.frames) if recording else ()
    return FailureView(
        exception_type=in_line(failure.exception_type),
        message=words.clip(redact_text(failure.message)),
        name=in_line(failure.name),
        key="" if failure.key is None else words.key_text(failure.key),
        origin=_origin(failure),
        asked="",
        frames=frames or frames_of_text(failure.traceback_text, local=False),
        others=(),
        notes=(*bundle.notes, *failure.notes),
        came_from=words.came_from(
            # The call itself is shown with what it was given.
            one
            for one in failure.came_from
            if not one.call or one.key != failure.key
        ),
    )


def _origin(failure: Failure) -> str:
    pieces = [failure.worker] if failure.worker else []
    if failure.when is not None:
        pieces.append(words.moment(failure.when))
    return in_line(" · ".join(pieces))


def _call(bundle: Bundle) -> str:
    """What can be run of it, in one line."""
    if not bundle.function:
        return "none: it was saved without its inputs"
    name = in_line(bundle.function)
    if bundle.trusted:
        return f"{name}; a replay runs it in a process of its own"
    return f"{name}; it is run only with trust"


# --- on a console ---------------------------------------------------------------


def _bundle_form(bundle: Bundle, *, whole: bool = False) -> RenderableType:
    view = view_bundle(bundle)
    fields = Fields(8)
    add_origin(fields, view.failure)
    fields.add("call", view.call)
    for number, row in enumerate(view.rows):
        text = Text(f"{row.name} = {row.value}", overflow="fold")
        text.append(f"  {row.type}", style=LABEL)
        fields.add("" if number else "inputs", text)
    if view.omitted:
        fields.add("", f"… {words.count(view.omitted, 'more input')}")
    fields.add_each("note", view.failure.notes, NOTE)
    first, others = frames_form(view.failure.frames, whole=whole)
    head = Text(view.head, style=LABEL, overflow="fold")
    return Group(head, title_text(view.failure), *first, fields, *others)


def _bundle_html(bundle: Bundle) -> str:
    return html.part("bundle", view_bundle(bundle), frame="failure")


BUNDLE = Renderer[Bundle](
    rich=_bundle_form,
    whole=lambda bundle: _bundle_form(bundle, whole=True),
    html=_bundle_html,
)
