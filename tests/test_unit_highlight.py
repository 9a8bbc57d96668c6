"""Code on pages and cards: highlighted, and escaped whatever it says."""

from __future__ import annotations

import re
from html import unescape

import pytest

from dbgkit.remote.common.texts import visible
from dbgkit.render.highlight import LONGEST, STYLES, css_code, highlighted

HOSTILE = [
    "<script>alert(1)</script>",
    "x = '</pre></div><script>alert(1)</script>'",
    'y = "\x1b[31m red \u202e evil \x00"',
    "'''never ends <b>",
    "é = '日本' & \"a\" < b > c",
    "\\t \\n \t tab",
    "def f(:",
    "",
    "@decorated",
    "#" * 3_000,
    "\u2028line\u2029separators\x0b\x0c\x85",
]


def text_of(markup):
    return unescape(re.sub("<[^>]*>", "", markup))


def test_tokens_have_classes():
    source = [
        (7, "@cached"),
        (8, "def ratio(a):  # why"),
        (9, "    return a / 2.5"),
    ]
    told = highlighted(source)
    assert [number for number, _ in told] == [7, 8, 9]
    whole = "".join(line for _, line in told)
    for name, token in {
        "b": "@cached", "k": "def", "f": "ratio", "c": "# why", "n": "2.5",
    }.items():  # fmt: skip
        assert f'<span class="{name}">{token}</span>' in whole
    assert set(re.findall('class="(.*?)"', whole)) <= set(STYLES)


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_every_line_stays_itself_and_is_escaped(line):
    source = [(1, "a = 1"), (2, line), (3, "b = 2")]
    told = dict(highlighted(source))
    assert list(told) == [1, 2, 3]
    shown = visible(line.expandtabs(4)).replace("\n", "\\n")
    assert text_of(told[2]) == shown
    assert (text_of(told[1]), text_of(told[3])) == ("a = 1", "b = 2")
    tags = set(re.findall("</?([a-z]+)", told[2]))
    assert tags <= {"span"}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2028\u2029\x85]", told[2])


def test_a_text_over_several_lines_is_one_on_each():
    told = [line for _, line in highlighted([(1, "s = '''one"), (2, "two'''")])]
    assert '<span class="s">two' in told[1]


def test_what_nobody_reads_is_not_highlighted():
    (line,) = (line for _, line in highlighted([(1, "x = 1 " + "<" * LONGEST)]))
    assert "<span" not in line and line.startswith("x = 1 &lt;")


def test_all_classes_have_a_rule():
    for name in STYLES:
        assert f".dbgkit .dbgkit-source .{name} {{" in css_code()
