"""Boxes and arrows as SVG: graphviz places them, the rest is drawn here.

So no text of a key reaches graphviz, and the picture has no ids, no references, and
the colours of the page.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len

from dbgkit.render.text import escape

LIMIT = 3.0  # seconds for graphviz to place all boxes
INCH = 72.0  # pixels of graphviz's unit
FONT, WIDE, LINE = 11, 6.7, 15.0  # pixels: of the font, a character, a line
MARGIN = 8.0
ARROW = 7.0
SMALLEST = 0.55  # of its own size, before a picture is scrolled instead

Point = tuple[float, float]
# From which box to which, and whether dashed; once for two boxes.
Arrows = Sequence[tuple[int, int, bool]]


@dataclass(frozen=True)
class Box:
    """Some lines of text, the first of which stands out."""

    lines: tuple[str, ...]
    title: str = ""  # shown where one points at it
    color: str = "currentColor"  # of CSS, for the border and the second line
    bordered: bool = False
    marked: bool = False

    @property
    def size(self) -> Point:
        """Width and height in pixels."""
        columns = max(cell_len(line) for line in self.lines) + 2 * self.marked
        return columns * WIDE + 2 * MARGIN, len(self.lines) * LINE + MARGIN


class _Places(NamedTuple):
    """Where graphviz puts everything: in pixels, from above."""

    size: Point
    centers: dict[int, Point]
    lines: dict[tuple[int, int], list[Point]]


def draw(boxes: Sequence[Box], arrows: Arrows) -> str | None:
    """An ``<svg>`` element; None where graphviz is missing, fails or takes too long."""
    places = _place(_source(boxes, arrows))
    if places is None:
        return None
    dashes = {(start, end): dashed for start, end, dashed in arrows}
    parts = [_arrow(line, dashes[ends]) for ends, line in places.lines.items()]
    parts += [_box(boxes[at], center) for at, center in places.centers.items()]
    width, height = (pixels + 8 for pixels in places.size)
    return (
        f'<svg viewBox="-4 -4 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="the tasks around {escape(boxes[0].lines[0])}" '
        f'style="display:block;width:{width:.0f}px;max-width:100%;'
        f"min-width:{SMALLEST * width:.0f}px;height:auto;"
        f'font:{FONT}px ui-monospace,Menlo,Consolas,monospace">{"".join(parts)}</svg>'
    )


# -- graphviz ----------------------------------------------------------------


def _source(boxes: Sequence[Box], arrows: Arrows) -> str:
    """The graph in graphviz's language: sizes only, no texts."""
    lines = [
        "digraph {",
        "graph [ranksep=0.4, nodesep=0.2];",
        'node [shape=box, fixedsize=true, label=""]; edge [arrowhead=none];',
    ]
    for at, box in enumerate(boxes):
        width, height = (pixels / INCH for pixels in box.size)
        lines.append(f"{at} [width={width:.3f}, height={height:.3f}];")
    lines += [f"{start} -> {end};" for start, end, _ in arrows]
    return "\n".join([*lines, "}"])


def _place(source: str) -> _Places | None:
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        run = subprocess.run(
            [program, "-Tplain"],
            input=source,
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT,
            check=True,
        )
        return _read(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _read(plain: str) -> _Places:
    """What ``dot -Tplain`` writes: ``graph``, ``node`` and ``edge``, a line each.

    `ValueError` or `IndexError` where it is something else.
    """
    places = _Places((0.0, 0.0), {}, {})
    for line in plain.splitlines():
        kind, *words = line.split(" ")
        if kind == "graph":
            size = float(words[1]) * INCH, float(words[2]) * INCH
            places = places._replace(size=size)
        elif kind == "node":
            (places.centers[int(words[0])],) = _points(words[1:3], places)
        elif kind == "edge":
            ends = int(words[0]), int(words[1])
            places.lines[ends] = _points(words[3 : 3 + 2 * int(words[2])], places)
    if not places.centers:
        raise ValueError("no node was placed")
    return places


def _points(numbers: Sequence[str], places: _Places) -> list[Point]:
    """Points in graphviz's unit, from below."""
    pixels = [float(number) * INCH for number in numbers]
    pairs = zip(pixels[::2], pixels[1::2], strict=True)
    return [(x, places.size[1] - y) for x, y in pairs]


# -- drawn -------------------------------------------------------------------


def _arrow(points: Sequence[Point], dashed: bool) -> str:
    """A line of cubic curves, and its head."""
    before, tip = points[-2:]
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    sides = [
        (
            tip[0] - ARROW * math.cos(angle + turn),
            tip[1] - ARROW * math.sin(angle + turn),
        )
        for turn in (-0.4, 0.4)
    ]
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<g opacity=".55"><path d="M{_text(points[:1])} C{_text(points[1:])}" '
        f'fill="none" stroke="currentColor"{dash}/>'
        f'<polygon points="{_text([tip, *sides])}" fill="currentColor"/></g>'
    )


def _text(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _box(box: Box, center: Point) -> str:
    (width, height), (x, y) = box.size, center
    parts = [f"<title>{escape(box.title)}</title>" if box.title else ""]
    if box.bordered:
        parts.append(
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" rx="4" '
            f'width="{width:.1f}" height="{height:.1f}" style="stroke:{box.color};'
            f"stroke-width:{3 if box.marked else 1};"
            f'fill:{box.color};fill-opacity:{0.18 if box.marked else 0.06}"/>'
        )
    top = y - height / 2 + MARGIN / 2 + LINE * 0.75
    for at, line in enumerate(box.lines):
        color = box.color if at == 1 else "currentColor"
        style = f"fill:{color}"
        if at > 1 or not box.bordered:
            style += ";opacity:.7"
        elif box.marked:
            style += ";font-weight:bold"
        mark = "❱ " if box.marked and at == 0 else ""
        parts.append(
            f'<text x="{x:.1f}" y="{top + at * LINE:.1f}" text-anchor="middle" '
            f'style="{style}">{escape(mark + line)}</text>'
        )
    return f"<g>{''.join(parts)}</g>"
