"""The part of a graph around a failure or a stuck task: a tree, or a picture.

The culprit's dependencies branch off on one side, its dependents on the other. A task
that several need is shown once, and referred to afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from rich.console import RenderableType
from rich.tree import Tree

from dbgkit.model import GraphNode, TaskGraph
from dbgkit.remote.common.sentences import several
from dbgkit.render import templating as html
from dbgkit.render.graph_svg import Box, draw
from dbgkit.render.registry import Renderer
from dbgkit.render.style import LABEL, STATES, css_color
from dbgkit.render.text import Text, escape
from dbgkit.render.words import count, key_text, shorten

KEY_LIMIT = 60  # characters of a key in the tree
BOX_LIMIT = 28  # and in a box of the picture
TITLE_LIMIT = 500  # and where one points at it

_CAPTION = "An arrow leads from a task to one that needs its result."


@dataclass(frozen=True)
class Item:
    """One line of the tree."""

    text: str = ""  # where it is no task: how many were left out
    node: GraphNode | None = None
    notes: tuple[str, ...] = ()
    again: tuple[Any, ...] = ()  # keys next to it that are shown above
    items: tuple[Item, ...] = ()

    @property
    def state(self) -> str:
        return self.node.state if self.node else ""

    @property
    def marked(self) -> bool:
        return self.node is not None and self.node.culprit


@dataclass(frozen=True)
class GraphView:
    """The culprit, what it needs, and what needs it: a title, whether up, items."""

    culprit: Item
    sides: tuple[tuple[str, bool, tuple[Item, ...]], ...]


def graph_form(graph: TaskGraph) -> RenderableType:
    """The graph as a tree with the culprit at its root."""
    view = view_graph(graph)
    tree = Tree(_line(view.culprit), guide_style=LABEL)
    for title, _, items in view.sides:
        _grow(tree.add(Text(title, style=LABEL if not items else "")), items, title)
    return tree


# -- gathered ----------------------------------------------------------------


class _Cone:
    """What the culprit needs, or what needs it: a tree out of one side of the graph."""

    def __init__(self, graph: TaskGraph, *, up: bool) -> None:
        self._graph = graph
        self._up = up
        self._nodes = {node.key: node for node in graph.nodes}
        self._order = {node.key: at for at, node in enumerate(graph.nodes)}
        self._next: dict[Any, list[tuple[Any, int | None]]] = {}
        self._back: dict[Any, int] = {}
        links = [(*edge, None) for edge in graph.edges]
        for dependency, dependent, hidden in [*links, *graph.gaps]:
            near, far = (dependent, dependency) if up else (dependency, dependent)
            self._next.setdefault(near, []).append((far, hidden))
        inside = set(self._reached(graph.culprit))
        for near, nexts in self._next.items():
            for far, _ in nexts:
                if near not in inside:
                    self._back[far] = self._back.get(far, 0) + 1
        self._shown = {graph.culprit}

    def items(self) -> tuple[Item, ...]:
        return self._items(self._nodes[self._graph.culprit])[0]

    def _reached(self, start: Any) -> Iterator[Any]:
        ahead, seen = [start], {start}
        while ahead:
            key = ahead.pop()
            yield key
            for far, _ in self._next.get(key, ()):
                if far not in seen:
                    seen.add(far)
                    ahead.append(far)

    def _items(self, node: GraphNode) -> tuple[tuple[Item, ...], tuple[Any, ...], int]:
        """Lines below a task's, those shown before, and how many have no line."""
        items: list[Item] = []
        again = []
        nexts = self._next.get(node.key, [])
        for far, hidden in sorted(nexts, key=lambda link: self._order[link[0]]):
            if far in self._shown:
                again.append(far)
                continue
            self._shown.add(far)
            item = self._item(self._nodes[far])
            if hidden is not None:
                named = count(hidden, "task") if hidden else "tasks"
                item = Item(f"… {named} between, not shown", items=(item,))
            items.append(item)
        more = node.more_dependencies if self._up else node.more_dependents
        if more and (items or node.culprit):
            only = "" if items or again else " (none shown)"
            items.append(Item(f"… {count(more, 'more task')}{only}"))
            more = 0
        return tuple(items), tuple(again), more

    def _item(self, node: GraphNode) -> Item:
        items, again, more = self._items(node)
        notes = []
        if node.key == self._graph.asked:
            notes.append("asked for")
        if more:
            verb = "needs" if self._up else "needed by"
            notes.append(f"{verb} {count(more, 'task')}, not shown")
        others = node.more_dependents if self._up else node.more_dependencies
        others += self._back.get(node.key, 0)
        if others:
            verb = "also needed by" if self._up else "also needs"
            notes.append(f"{verb} {count(others, 'other')}")
        return Item(node=node, notes=tuple(notes), again=again, items=items)


def view_graph(graph: TaskGraph) -> GraphView:
    """What the tree and the picture both show."""
    (culprit,) = (node for node in graph.nodes if node.key == graph.culprit)
    notes = []
    if culprit.state == "erred":
        notes.append("failed by itself")
    elif graph.asked is not None:
        notes.append("the others wait for it")
    needs, needed_by = (_Cone(graph, up=up).items() for up in (True, False))
    return GraphView(
        Item(node=culprit, notes=tuple(notes)),
        (
            ("needs" if needs else "needs no other task", True, needs),
            ("needed by" if needed_by else "no other task needs it", False, needed_by),
        ),
    )


def _again(item: Item, title: str) -> str:
    keys = (shorten(key_text(key), KEY_LIMIT) for key in item.again)
    return f"{title} {several(keys, most=3)} (above)"


# -- the tree ----------------------------------------------------------------


def _line(item: Item, title: str = "") -> Text:
    if item.node is None:
        return Text(item.text, style=LABEL)
    text = Text(overflow="fold")
    if item.marked:
        text.append("❱ ", style="bold red")
    key = shorten(key_text(item.node.key), KEY_LIMIT)
    text.append(key, style="bold" if item.marked else "")
    style = STATES.get(item.state, "")
    text.append(f"  {item.state}", style=f"bold {style}" if item.marked else style)
    for note in item.notes:
        text.append(f"  {note}", style="bold" if item.marked else "dim")
    if item.again:
        text.append(f"  {_again(item, title)}", style=LABEL)
    return text


def _grow(tree: Tree, items: Iterable[Item], title: str) -> None:
    for item in items:
        _grow(tree.add(_line(item, title)), item.items, title)


# -- in HTML -----------------------------------------------------------------


def graph_html(graph: TaskGraph | None) -> Markup | None:
    """The graph as a picture by graphviz, or as a tree: safe HTML.

    The picture needs the program ``dot``; nothing that a key says gets there.
    """
    if graph is None:
        return None
    view = view_graph(graph)
    boxes, arrows = _boxes(graph, view)
    svg = draw(boxes, arrows)
    if svg is None:
        return Markup(f'<div class="dbgkit-graph dbgkit-tree">{_tree(view)}</div>')
    caption = f'<div style="opacity:.65">{_CAPTION}</div>' if arrows else ""
    return Markup(
        f'<div class="dbgkit-graph" style="overflow-x:auto">{svg}{caption}</div>'
    )


def _boxes(
    graph: TaskGraph, view: GraphView
) -> tuple[Sequence[Box], Sequence[tuple[int, int, bool]]]:
    """Boxes, and arrows by their positions: from, to, whether dashed."""
    boxes = [_box(view.culprit)]
    at = {graph.culprit: 0}
    arrows = []
    for _, up, items in view.sides:
        ahead = [(0, item) for item in items]
        while ahead:
            parent, item = ahead.pop(0)
            here = len(boxes)
            boxes.append(_box(item))
            if item.node is not None:
                at[item.node.key] = here
            if item.node is None or not boxes[parent].bordered:
                arrows.append((here, parent, True) if up else (parent, here, True))
            ahead += [(here, each) for each in item.items]
    arrows += [(at[above], at[below], False) for above, below in graph.edges]
    return boxes, arrows


def _box(item: Item) -> Box:
    if item.node is None:
        return Box((item.text,))
    key = key_text(item.node.key)
    return Box(
        (shorten(key, BOX_LIMIT), item.state, *item.notes),
        title=shorten(key, TITLE_LIMIT),
        color=css_color(STATES.get(item.state, "")),
        bordered=True,
        marked=item.marked,
    )


def _tree(view: GraphView) -> str:
    """The tree in lines, with the branches that a console has."""
    lines = [_entry(view.culprit)]
    for number, (title, _, items) in enumerate(view.sides, 1):
        mark, bar = _branch(number == len(view.sides))
        lines.append(f"{mark}{escape(title)}")
        lines += _branches(items, title, bar)
    return "\n".join(lines)


def _branches(items: Sequence[Item], title: str, before: str) -> Iterator[str]:
    for number, item in enumerate(items, 1):
        mark, bar = _branch(number == len(items))
        yield f"{before}{mark}{_entry(item, title)}"
        yield from _branches(item.items, title, before + bar)


def _branch(last: bool) -> tuple[str, str]:
    """What leads to a line, and what stands before those below it."""
    return ("└── ", "    ") if last else ("├── ", "│   ")


def _entry(item: Item, title: str = "") -> str:
    if item.node is None:
        return f'<span style="opacity:.65">{escape(item.text)}</span>'
    key = key_text(item.node.key)
    shown = f"<code>{escape(shorten(key, KEY_LIMIT))}</code>"
    if item.marked:
        shown = f"<b>❱ {shown}</b>"
    color = css_color(STATES.get(item.state, ""))
    notes = [*item.notes, *([_again(item, title)] if item.again else [])]
    named = " · ".join(notes)
    return (
        f'<span title="{escape(shorten(key, TITLE_LIMIT))}">{shown}</span> '
        f'<span style="color:{color}">{escape(item.state)}</span>'
        + (f' <span style="opacity:.65">{escape(named)}</span>' if named else "")
    )


GRAPH = Renderer[TaskGraph](
    rich=graph_form,
    html=lambda graph: html.part("graph", graph_html(graph), frame="plan"),
)
