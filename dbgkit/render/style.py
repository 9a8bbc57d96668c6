"""The one table of styles: which colour means what, on a console and on a page."""

from __future__ import annotations

from collections.abc import Mapping

LABEL = "dim"
NOTE = "yellow"

# In the order in which they are listed.
STATES = {
    "erred": "red",
    "no-worker": "magenta",
    "waiting": "yellow",
    "queued": "yellow",
    "processing": "blue",
    "memory": "green",
    "released": "dim",
}
OUTCOMES = {
    "same": "bold green",
    "different": "bold yellow",
    "passed": "bold yellow",
    "died": "bold red",
    "timeout": "bold red",
}
LEVELS = {"problem": "bold red", "warning": "bold yellow", "ok": "green"}
DEATHS = {"closed-on-purpose": "dim", "unknown": "yellow"}
OTHER_DEATH = "bold red"

# Mid tones that read on white and on black; brighter ones for dark pages.
PALETTES: Mapping[str, Mapping[str, str]] = {
    "mid": {
        "red": "#d7352f",
        "green": "#2a8540",
        "yellow": "#a06a00",
        "blue": "#2f76c9",
        "magenta": "#a45bd0",
    },
    "dark": {
        "red": "#ff7b72",
        "green": "#56d364",
        "yellow": "#e3b341",
        "blue": "#79b8ff",
        "magenta": "#d2a8ff",
    },
    "print": {
        "red": "#b3241f",
        "green": "#1c6b30",
        "yellow": "#7a5000",
        "blue": "#1d5a9e",
        "magenta": "#7b35a5",
    },
}


def verdict_style(healthy: bool) -> str:
    """Of a cause, or of a sentence that says whether something is wrong."""
    return "green" if healthy else "red"


def css_color(style: str) -> str:
    """The colour of a style, as pages have it."""
    color = style.rpartition(" ")[2]
    known = color in PALETTES["mid"]
    return f"var(--dbgkit-{color})" if known else "currentColor"


def css_rules() -> str:
    """A rule for each state, level and outcome of a replay."""
    groups = (("state-", STATES), ("level-", LEVELS), ("", OUTCOMES))
    rules = []
    for prefix, styles in groups:
        for name, style in styles.items():
            look = f"color: {css_color(style)}" if style != "dim" else "opacity: .65"
            rules.append(f".dbgkit .dbgkit-{prefix}{name} {{ {look}; }}")
    return "\n".join(rules)


def css_palette(name: str) -> str:
    """The colours of a palette as variables."""
    colors = PALETTES[name].items()
    return " ".join(f"--dbgkit-{color}: {value};" for color, value in colors)
