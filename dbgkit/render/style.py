"""The one table of styles: which colour means what, on a console and on a page."""

from __future__ import annotations

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

_COLORS = ("red", "green", "yellow", "blue", "magenta")
# Mid tones that read on white and on black; brighter ones for dark pages.
_PALETTES = {
    "mid": ("#d7352f", "#2a8540", "#a06a00", "#2f76c9", "#a45bd0"),
    "dark": ("#ff7b72", "#56d364", "#e3b341", "#79b8ff", "#d2a8ff"),
    "print": ("#b3241f", "#1c6b30", "#7a5000", "#1d5a9e", "#7b35a5"),
}


def verdict_style(healthy: bool) -> str:
    """Of a cause, or of a sentence that says whether something is wrong."""
    return "green" if healthy else "red"


def css_color(style: str) -> str:
    """The colour of a style, as pages have it."""
    color = style.rpartition(" ")[2]
    return f"var(--dbgkit-{color})" if color in _COLORS else "currentColor"


def css_rules() -> str:
    """A rule for each state, level, verdict on a death, and outcome of a replay."""
    rules = []
    for prefix, styles in (
        ("state-", STATES),
        ("level-", LEVELS),
        ("death-", DEATHS),
        ("", OUTCOMES),
    ):
        for name, style in styles.items():
            rule = f"color: {css_color(style)}" if style != "dim" else "opacity: .65"
            rules.append(f".dbgkit .dbgkit-{prefix}{name} {{ {rule}; }}")
    return "\n".join(rules)


def css_palette(name: str) -> str:
    """The colours of a palette as variables."""
    colors = zip(_COLORS, _PALETTES[name], strict=True)
    return " ".join(f"--dbgkit-{color}: {value};" for color, value in colors)
