"""What `origins.origins_of` found, in words, with secrets hidden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..secrets.names import key_secrecy
from ..secrets.redact import HIDDEN, hides_text, redact_text

if TYPE_CHECKING:
    from ..common.wire_failures import OriginForm
    from ..common.wire_recordings import OriginWords


def worded(
    wire: OriginForm, *, extra: Iterable[str] = (), values: Iterable[str] = ()
) -> OriginWords:
    """The fields of a `model.Origin`.

    ``extra`` and ``values`` are names, and texts, to hide besides the usual ones.
    """
    if "more" in wire:
        least = "at least " if wire["least"] and wire["more"] else ""
        number = f"{wire['more']:,} " if wire["more"] else ""
        return {"text": f"… {least}{number}more"}
    extra, values = tuple(extra), tuple(values)

    def hide(text: Any) -> str:
        return redact_text(str(text), extra=extra, values=values)

    what, path, place = str(wire["what"]), hide(wire["path"]), hide(wire["place"])
    texts = [
        (
            str(name),
            HIDDEN if hides_text(key_secrecy(name, extra), str(text)) else hide(text),
        )
        for name, text in wire["args"]
    ]
    if path:
        text = f"{what} {path!r}" + (f", {place}" if place else "")
    elif wire.get("call"):
        args = ", ".join(f"{name}={text}" if name else text for name, text in texts)
        text = f"{what}({args})"
    elif texts:
        text = f"{what} {texts[0][1]}".strip()
    else:
        text = f"{what}{' ' if place[:1] in '<[' else ', '}{place}"
    return {
        "text": text,
        "what": what,
        "path": path,
        "place": place,
        "key": wire["key"],
        "call": bool(wire.get("call")),
    }
