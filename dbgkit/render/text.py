"""Text for rich and for HTML, without control characters."""

from __future__ import annotations

import html
from typing import Any

from rich import text as rich_text

from dbgkit.remote.common.texts import visible


class Text(rich_text.Text):
    """rich's `Text`, without control characters.

    Keys, names, messages, values and lines of source come from anywhere. Escaped here,
    before rich measures them, they keep columns straight; rich itself drops some
    control characters and lets others through.
    """

    def __init__(self, text: str = "", *args: Any, **options: Any) -> None:
        super().__init__(visible(text), *args, **options)

    def append(self, text: rich_text.Text | str, *args: Any, **options: Any) -> Text:
        super().append(
            visible(text) if isinstance(text, str) else text, *args, **options
        )
        return self


def escape(text: str) -> str:
    """A text for HTML, between tags or in an attribute."""
    return html.escape(visible(text))
