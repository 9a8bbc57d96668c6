"""The graph around a task as a tree, and as a picture."""

from __future__ import annotations

import io
import re
import shutil
import xml.etree.ElementTree as ET
from html import unescape
from itertools import pairwise

import pytest
from rich.console import Console

from dbgkit import render
from dbgkit.model import GraphNode, TaskGraph
from dbgkit.render import graph_svg
from dbgkit.render.graph import graph_form, graph_html

needs_dot = pytest.mark.skipif(
    shutil.which("dot") is None, reason="graphviz is not installed"
)
ODD = [
    "<script>alert(1)</script>&amp;",
    "[/a/b] 'x'\n\"é\"",
    ("t'\"", b"\xff"),
    "\x1b[31mred\x1b[0m",
    "漢字" * 30,
    "\ud800\u202e",
    "k" * 3_000,
]


def node(key, state="memory", above=0, below=0, culprit=False):
    return GraphNode(key, state, str(key), culprit, above, below)


def fan():
    """What failed has many inputs, and a diamond after it."""
    return TaskGraph(
        nodes=(
            node("bad", "erred", above=99_960, culprit=True),
            node("total", "erred", below=3),
            node("left", "erred", above=2),
            node("right", "erred"),
            node(("load", 0), below=4),
            node(("load", 1), above=1),
        ),
        edges=(
            ("bad", "left"),
            ("bad", "right"),
            ("left", "total"),
            ("right", "total"),
            (("load", 0), "bad"),
            (("load", 1), "bad"),
            (("load", 1), "right"),
        ),
        culprit="bad",
        asked="total",
    )


def chain():
    return TaskGraph(
        nodes=(node("end", "no-worker", culprit=True), node("asked", "waiting")),
        edges=(),
        culprit="end",
        asked="asked",
        gaps=(("end", "asked", 288),),
    )


def odd():
    """Keys that break markup, terminals and HTML, each before the next."""
    return TaskGraph(
        nodes=tuple(node(key, "waiting", culprit=not at) for at, key in enumerate(ODD)),
        edges=tuple(pairwise(ODD)),
        culprit=ODD[0],
    )


def lines(graph, width=100, **options):
    console = Console(file=io.StringIO(), width=width, color_system=None, **options)
    console.print(graph_form(graph))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def parsed(html):
    """HTML of ours is XML as well."""
    return ET.fromstring(html)


def texts(html):
    return [text.strip() for text in parsed(html).itertext() if text.strip()]


# -- the tree ----------------------------------------------------------------


def test_the_tree_names_states_counts_the_rest_and_shows_each_task_once():
    assert lines(fan()) == [
        "❱ bad  erred  failed by itself",
        "├── needs",
        "│   ├── ('load', 0)  memory  also needed by 4 others",
        "│   ├── ('load', 1)  memory  needs 1 task, not shown  also needed by 1 other",
        "│   └── … 99,960 more tasks",
        "└── needed by",
        "    ├── left  erred  also needs 2 others",
        "    │   └── total  erred  asked for  needed by 3 tasks, not shown",
        "    └── right  erred  also needs 1 other  needed by total (above)",
    ]


def test_the_tree_of_a_chain_that_was_shortened():
    assert lines(chain()) == [
        "❱ end  no-worker  the others wait for it",
        "├── needs no other task",
        "└── needed by",
        "    └── … 288 tasks between, not shown",
        "        └── asked  waiting  asked for",
    ]


def test_the_tree_of_a_task_alone():
    alone = TaskGraph((node("one", "processing", culprit=True),), (), "one")
    assert lines(alone) == [
        "❱ one  processing",
        "├── needs no other task",
        "└── no other task needs it",
    ]


def test_the_tree_takes_keys_that_break_markup_and_terminals():
    told = "\n".join(lines(odd(), width=250))
    assert "[/a/b]" in told
    assert "<script>" in told
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "k" * 20 + "…" in told
    assert "k" * 60 not in told


def test_the_tree_is_shown_where_only_ascii_can_be_written():
    file = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
    render.show(chain(), file=file)
    file.flush()
    assert b"needed by" in file.buffer.getvalue()


# -- HTML --------------------------------------------------------------------


@needs_dot
def test_the_picture_has_boxes_arrows_and_what_was_left_out():
    html = graph_html(fan())
    (svg,) = parsed(html).findall("svg")
    found = texts(html)
    for text in ("❱ bad", "failed by itself", "… 99,960 more tasks", "asked for"):
        assert text in found
    assert found.count("total") == 2  # in its box, and where one points at it
    assert len(svg.findall(".//rect")) == 6
    assert len(svg.findall(".//path")) == 7 + 1  # edges, and one to what is left out
    assert len(svg.findall(".//path[@stroke-dasharray]")) == 1


@needs_dot
def test_the_picture_brings_nothing_that_clashes_or_loads():
    html = graph_html(fan())
    for unwanted in ("<?xml", "<!DOCTYPE", " id=", "href", "url(", "<style", "http"):
        assert unwanted not in html


@needs_dot
def test_the_arrow_of_a_shortened_chain_is_dashed():
    html = graph_html(chain())
    assert "… 288 tasks between, not shown" in texts(html)
    assert html.count("stroke-dasharray") == 2


@needs_dot
def test_boxes_are_inside_the_picture_and_apart():
    (svg,) = parsed(graph_html(fan())).findall("svg")
    left, top, width, height = map(float, svg.get("viewBox").split())
    boxes = [
        [float(rect.get(name)) for name in ("x", "y", "width", "height")]
        for rect in svg.findall(".//rect")
    ]
    for x, y, wide, high in boxes:
        assert left <= x <= x + wide <= left + width
        assert top <= y <= y + high <= top + height
    for at, (x, y, wide, high) in enumerate(boxes):
        for u, v, w, h in boxes[:at]:
            assert x + wide < u or u + w < x or y + high < v or v + h < y


def test_without_graphviz_it_is_a_tree(monkeypatch):
    monkeypatch.setenv("PATH", "")
    html = graph_html(fan())
    assert "<svg" not in html and "<li" not in html
    lines = re.sub("<[^>]*>", "", html).splitlines()
    assert [line[:4] for line in lines if line[:1] in "├└"] == ["├── ", "└── "]
    # THEN its branches are those of the console
    told = render.to_text(fan(), width=200).splitlines()
    assert [re.match("[│├└─ ]*", line)[0] for line in told] == [
        re.match("[│├└─ ]*", line)[0] for line in lines
    ]
    assert "… 99,960 more tasks" in texts(html)
    told = " ".join(texts(html))
    assert "right erred also needs 1 other · needed by total (above)" in told


@pytest.mark.parametrize(
    "does", ["exec sleep 60", "exit 1", "echo '<svg><script/></svg>'", "echo node x"]
)
def test_a_graphviz_that_hangs_or_is_something_else(tmp_path, monkeypatch, does):
    program = tmp_path / "dot"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(graph_svg, "LIMIT", 0.5)
    html = graph_html(fan())
    assert "<svg" not in html
    assert "script" not in html
    assert "… 99,960 more tasks" in texts(html)


@pytest.mark.parametrize("path", [None, ""])
def test_html_takes_keys_that_break_it(monkeypatch, path):
    if path is not None:
        monkeypatch.setenv("PATH", path)
    html = graph_html(odd())
    assert "<script" not in html
    assert "\x1b" not in html
    html.encode()  # a lone surrogate would not
    titles = [unescape(text) for text in texts(html)]
    assert any(text.startswith("<script>alert(1)") for text in titles) or any(
        "<script>" in text for text in titles
    )


def test_a_graph_shows_itself():
    render.register()
    graph = fan()
    bundle = graph._repr_mimebundle_()
    assert bundle["text/plain"].startswith("❱ bad")
    assert 'class="dbgkit-graph' in bundle["text/html"]
    assert bundle["text/html"].lstrip().startswith('<div class="dbgkit')
    assert repr(graph).startswith("TaskGraph(")
