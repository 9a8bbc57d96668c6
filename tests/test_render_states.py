"""What a user sees of failures, tasks, stories, explanations and checkups."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from html import unescape
from html.parser import HTMLParser

import pytest
from shells import uncoloured

from dbgkit import advice, render
from dbgkit.frontends.wording import Commands, Magics
from dbgkit.model import (
    Checkup,
    ClusterReport,
    Evidence,
    Explanation,
    Failure,
    FailureGroup,
    FailureReport,
    Finding,
    FrameSummary,
    GraphNode,
    Moment,
    Peek,
    PeekedLine,
    PeekedTask,
    Span,
    TaskGraph,
    TaskRow,
    TaskTable,
    Timeline,
    ValueSummary,
)

WHEN = datetime(2026, 11, 23, 12, 3, 4, tzinfo=timezone.utc)
SPAN = Span(WHEN, WHEN + timedelta(milliseconds=20))
TRACEBACK = (
    '  File "/home/ann/job.py", line 7, in ratio\n    return a / b\n           ~~^~~\n'
)
SECRET = "hunter2-and-more"
HOSTILE = [
    "[/a/b]",
    "[red]x[/red]",
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "two\nlines",
    "x" * 3_000,
    "é-Ω-漢字",
    "\u202egnp.exe",
    "\ud800 alone",
    "quo\"te's & {0} $HOME %s",
    "",
]
VOID = {"meta", "br", "link", "img", "hr", "input"}


def a_failure(**changes):
    options = {
        "key": ("ratio-9f86d081", 7),
        "name": "ratio",
        "exception_type": "ZeroDivisionError",
        "message": "division by zero",
        "traceback_text": TRACEBACK,
        "worker": "tcp://10.0.0.7:40001",
        "when": WHEN,
        "evidence": Evidence(client=object()),
    }
    return Failure(**{**options, **changes})


def a_group(**changes):
    example = changes.pop("example", None) or a_failure()
    options = {
        "exception_type": example.exception_type,
        "message": example.message,
        "location": "job.py:7 in ratio",
        "count": 700,
        "cascaded": 2_310,
        "forgotten": 0,
        "workers": tuple(f"tcp://10.0.0.{n}:40001" for n in range(4)),
        "first": WHEN,
        "last": WHEN + timedelta(seconds=75),
        "keys": tuple(("ratio-9f86d081", n) for n in range(10)),
        "omitted_keys": 690,
        "example": example,
    }
    return FailureGroup(**{**options, **changes})


def a_report(*groups, **changes):
    groups = groups or (a_group(),)
    options = {
        "groups": groups,
        "total": sum(group.count for group in groups),
        "cascaded": sum(group.cascaded for group in groups),
        "span": SPAN,
    }
    return FailureReport(**{**options, **changes})


def a_table(*rows, **changes):
    rows = rows or (
        TaskRow("load-1", "memory", "load", ("tcp://10.0.0.7:40001",), 2**30),
        TaskRow("hold-1", "processing", "hold", ("tcp://10.0.0.8:1",), since=130.0),
    )
    options = {
        "rows": rows,
        "matched": len(rows),
        "omitted": 0,
        "summary": {"load": {"memory": 1}, "hold": {"processing": 1}},
        "span": SPAN,
    }
    return TaskTable(**{**options, **changes})


def a_graph(key="load-1"):
    nodes = (
        GraphNode(key, "erred", "load", True, 0, 99_960),
        GraphNode("after", "waiting", "after", False, 0, 0),
    )
    return TaskGraph(nodes, ((key, "after"),), key)


def everything(text):
    """Each class with this text wherever one can stand."""
    moment = Moment(WHEN, text, text, text)
    failure = a_failure(
        key=text, name=text, exception_type=text, message=text, notes=(text,)
    )
    failures = a_report(
        a_group(example=failure, location=text, workers=(text,), keys=(text, (text,))),
        notes=(text,),
        healed=2,
        healed_keys=(text,),
    )
    tasks = a_table(
        TaskRow(text, "erred", text, (text,), 3, 1, 1, 1, 1, text, 2.0, text, text),
        summary={text: {"erred": 1, text: 2}},
        notes=(text,),
    )
    why = Explanation(
        "failed", text, (text,), (text,), text, (text, text), notes=(text,)
    )
    why = replace(why, others=(why,), graph=a_graph(text))
    value = ValueSummary(text, text)
    frame = FrameSummary(text, 1, text, ((1, text),), ((text, value),))
    line = PeekedLine(text, 1, text, text, 1, 0.5)
    peeked = PeekedTask(
        text, text, text, 3, text, "thread", 2.0, (frame,), (line,), 2, (text,)
    )
    checkup = Checkup((Finding("nannies", "problem", text, text, (text,)),), (text,))
    return {
        "failures": failures,
        "group": failures.groups[0],
        "tasks": tasks,
        "story": Timeline(text, (moment,), (text,)),
        "why": why,
        "peek": Peek((peeked,), 1, 2, silent=(text,), notes=(text,)),
        "checkup": checkup,
        "finding": checkup.findings[0],
        "report": ClusterReport(
            text, True, SPAN, failures, why, tasks, checkup, {text: a_graph(text)}
        ),
    }


def text_of(obj, width=100):
    return render.to_text(obj, width=width)


class _Strict(HTMLParser):
    """Fails unless each element is closed in order; gathers tags and texts."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)


def parsed(html):
    parser = _Strict()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def words_in(html):
    """What a reader sees of a page, with single blanks; code is not taken apart."""
    return " ".join(" ".join(parsed(uncoloured(html)).texts).split())


# -- whatever a key or a message says ----------------------------------------


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_breaks_a_console(text):
    for name, obj in everything(text).items():
        for width in (40, 60, 100):
            told = text_of(obj, width)
            assert "\x1b" not in told and "\u202e" not in told, name
            told.encode("utf-8")
            # A command is not broken: it has a line of its own, however long.
            long = {line for line in told.splitlines() if len(line) > width}
            assert long <= set(advice.made()), name
        file = io.StringIO()
        render.show(obj, file=file)
        assert "\x1b" not in file.getvalue(), name


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_breaks_a_page(text):
    for name, obj in everything(text).items():
        found = parsed(render.to_html(obj))
        assert "script" not in found.tags, name
        assert "\x1b" not in "".join(found.texts), name
        render.to_html(obj).encode("utf-8")


@pytest.mark.parametrize("key", ["[/a/b]", "[red]x[/red]", "<script>x</script>", "é"])
def test_markup_in_texts_is_shown_as_it_is(key):
    for name, obj in everything(key).items():
        assert key in text_of(obj), name
        assert key in unescape(render.to_html(obj)), name


def test_secrets_are_hidden():
    for name, obj in everything(f"password={SECRET}").items():
        if name == "report":
            obj = replace(obj, address="tcp://10.0.0.1:8786", graphs={})
        # A key is what one types: it is shown as it is.
        shown = text_of(obj) + render.to_html(obj)
        shown = re.sub(rf"\S*\(?'?password={SECRET}'?,?\)?", "", shown)
        assert "<hidden>" in unescape(shown), name
    message = f"cannot log in: password={SECRET}"
    group = a_group(example=a_failure(message=message))
    assert SECRET not in text_of(a_report(group)) + render.to_html(a_report(group))
    row = TaskRow("login-1", "erred", "login", exception=f"ValueError({message!r})")
    assert SECRET not in text_of(a_table(row)) + render.to_html(a_table(row))
    found = Explanation("failed", message, (message,))
    assert SECRET not in text_of(found) + render.to_html(found)


# -- failures ------------------------------------------------------------------


def test_failures_begin_with_one_sentence():
    other = a_group(count=300, cascaded=0, message="another")
    report = a_report(a_group(), other, omitted=1, healed=12)
    (sentence, *_) = render.to_text(report, width=200).splitlines()
    assert sentence == (
        "1,000 tasks failed in 3 ways on at least 4 workers; 2,310 more failed because "
        "of them; 12 failed and have succeeded since"
    )
    assert sentence in words_in(render.to_html(report))


def test_one_failure_is_told_as_one():
    group = a_group(count=1, cascaded=1, keys=("a",), omitted_keys=0, workers=("w",))
    assert text_of(a_report(group)).startswith(
        "1 task failed on 1 worker; 1 more failed because of it\n"
    )


def test_no_failure_is_said_so():
    nothing = FailureReport((), 0, 0, healed=0, span=SPAN)
    assert text_of(nothing) == "no task has failed\n"
    assert "no task has failed" in words_in(render.to_html(nothing))


def test_a_group_says_what_where_when_and_how_to_go_on():
    told = text_of(a_report())
    for text in (
        "700 tasks · ZeroDivisionError: division by zero",
        "('ratio-9f86d081', 4) and 695 more",
        "job.py:7 in ratio",
        "tcp://10.0.0.2:40001 and 1 more",
        "2026-11-23 12:03:04 to 12:04:19 UTC",
        "2,310 more tasks, which failed because of them",
        "dbgkit.debug(('ratio-9f86d081', 7))",
        "❱ 7 │ return a / b",
    ):
        assert " ".join(text.split()) in " ".join(told.split())


def test_console_and_page_say_the_same_of_a_group():
    report = a_report(a_group(forgotten=3), notes=("something is missing",))
    page = words_in(render.to_html(report))
    for line in text_of(report.groups[0], width=400).splitlines()[1:8]:
        value = re.split(r"\s{2,}", line.strip())[-1]
        assert value in page
    assert "forgotten 3 of them" in page and "something is missing" in page


def test_what_nobody_knows_is_left_out():
    group = a_group(
        exception_type="", location="", workers=(), first=None, last=None, cascaded=0,
        example=a_failure(traceback_text="", exception_type=""),
    )  # fmt: skip
    told = text_of(a_report(group))
    assert "exception not known" in told
    assert "there is no traceback" in told
    assert not re.search(r"\b(line|workers|when|took down)\b", told)
    assert "None" not in told + render.to_html(a_report(group))


def test_what_cannot_be_replayed_has_no_way_to_go_on():
    dumped = a_group(example=a_failure(evidence=Evidence()))
    assert "dbgkit.debug" not in text_of(dumped)


@pytest.mark.parametrize(
    ("wording", "typed"),
    [
        (advice.Calls(), "dbgkit.debug()"),
        (Magics(flags=False), "%dbg"),
        (Commands("dbgkit", ["--dump", "x"], [], dump=True), "dbgkit.debug()"),
    ],
)
def test_what_is_forgotten_is_opened_in_the_session_that_ran_it(wording, typed):
    with advice.worded(wording):
        told = text_of(a_group(count=2, forgotten=2))
    assert f"{typed}  in the session that it was raised in" in told


def test_a_key_too_long_to_type_is_reached_through_its_group():
    long = a_group(example=a_failure(key="k" * 500))
    assert "dbgkit.debug(dbgkit.failures().groups[1])" in text_of(
        a_report(a_group(), long)
    )


# -- tasks -----------------------------------------------------------------------


def test_rows_are_aligned_and_empty_columns_left_out():
    told = text_of(a_table()).splitlines()
    (head,) = (line for line in told if line.strip().startswith("key"))
    assert head.split() == ["key", "state", "for", "worker", "size"]
    rows = [line for line in told if line.strip().startswith(("load-1 ", "hold-1 "))]
    assert [row.index("tcp://") for row in rows] == [head.index("worker")] * 2
    assert "130.00 s" in rows[1] and "1.00 GiB" in rows[0]
    page = parsed(render.to_html(a_table())).texts
    assert "size" in page and "retries left" not in page


def test_what_matched_and_what_is_left_out_is_counted():
    table = a_table(
        matched=1_234, omitted=1_232, summary={"load": {"memory": 9_000, "erred": 1}}
    )
    told = text_of(table)
    assert told.startswith("1,234 of 9,001 tasks match; 2 are shown, 1,232 left out\n")
    assert "… 1,232 more tasks, not shown" in told
    assert "1,232 more tasks, not shown" in words_in(render.to_html(table))


def test_all_tasks_are_counted_by_prefix_and_state():
    summary = {f"p{n}": {"memory": n, "erred": n % 2} for n in range(1, 26)}
    told = text_of(a_table(summary=summary))
    assert "… 5 more prefixes" in told
    (all_of_them,) = re.findall(r"^ +all +(.*)$", told, re.MULTILINE)
    assert all_of_them.split() == ["13", "325"]


def test_an_empty_table_is_said_so():
    assert text_of(TaskTable((), 0, 0)) == "the scheduler knows no task\n"
    nothing = text_of(TaskTable((), 0, 0, {"load": {"memory": 2}}))
    assert nothing.startswith("no task matches; 2 tasks in all\n")


def test_rows_say_their_columns_by_name_where_it_is_narrow():
    told = text_of(a_table(), width=40)
    assert "processing · for 130.00 s" in " ".join(told.split())


def test_a_long_key_has_a_line_of_its_own():
    row = TaskRow("k" * 90, "erred", "k", ("w",), exception="ValueError('bad')")
    told = text_of(a_table(row, TaskRow("short", "memory", "k"))).splitlines()
    at = told.index("  " + "k" * 90)
    assert told[at + 1].split() == ["erred", "w"]
    assert told[at + 2].strip() == "raised ValueError: bad"


# -- stories -----------------------------------------------------------------------


def test_a_story_has_times_sources_and_marked_gaps():
    story = Timeline(
        ("ratio-1", 3),
        (
            Moment(WHEN, "scheduler", "released -> waiting"),
            Moment(
                WHEN + timedelta(seconds=1.5), "tcp://10.0.0.7:1", "executing -> error",
                "why\nso",
            ),
        ),
        ("the log has rolled over: the beginning is missing",),
    )  # fmt: skip
    told = text_of(story).splitlines()
    assert told[0] == (
        "('ratio-1', 3)  2 log entries within 1.50 s, from 2026-11-23 12:03:04 UTC"
    )
    assert told[1].split(maxsplit=1)[0] == "note"
    assert told[2].split() == [
        "12:03:04.000", "+0.000", "s", "scheduler", "released", "→", "waiting",
    ]  # fmt: skip
    assert told[3].split()[:4] == ["12:03:05.500", "+1.500", "s", "tcp://10.0.0.7:1"]
    alone = text_of(replace(story, moments=story.moments[:1])).splitlines()
    assert alone[0] == "('ratio-1', 3)  1 log entry, at 2026-11-23 12:03:04 UTC"
    assert [line.strip() for line in told[4:]] == ["why", "so"]
    page = words_in(render.to_html(story))
    assert "12:03:05.500 +1.500 s tcp://10.0.0.7:1 executing → error why so" in page
    assert "the beginning is missing" in page


def test_a_story_of_several_days_has_dates():
    moments = [Moment(WHEN + timedelta(days=n), "log", f"x {n}") for n in range(2)]
    assert "  2026-11-24 12:03:04.000" in text_of(Timeline("k", tuple(moments)))


def test_of_a_long_story_the_last_entries_are_shown():
    moments = tuple(
        Moment(WHEN + timedelta(seconds=n), "log", f"number {n}") for n in range(600)
    )
    told = text_of(Timeline("k", moments))
    assert "… 100 earlier lines, not shown" in told
    assert "number 599" in told and "number 99\n" not in told


def test_an_empty_story_is_said_so():
    assert text_of(Timeline("k", ())) == "k  no log mentions it any more\n"


# -- why -----------------------------------------------------------------------------


def an_explanation(**changes):
    options = {
        "cause": "resources-unmet",
        "summary": "'train-1' needs GPU=1, which no worker has",
        "evidence": ("2 workers would be eligible otherwise", "the nearest lacks GPU"),
        "advice": ("start workers with it",),
        "key": "train-1",
        "graph": a_graph("train-1"),
        "span": SPAN,
    }
    return Explanation(**{**options, **changes})


def test_an_explanation_begins_with_its_cause():
    others = tuple(Explanation("queued", f"reason {n}") for n in range(14))
    found = an_explanation(others=others, notes=("from a dump: …",))
    told = text_of(found)
    assert told.startswith(
        "resources-unmet: 'train-1' needs GPU=1, which no worker has\n"
    )
    page = words_in(render.to_html(found))
    for text in (
        "2 workers would be eligible otherwise",
        "start workers with it",
        "from a dump: …",
        "reason 11",
        "… 2 more causes",
        "99,960 more tasks",
    ):
        assert text in told and text in page
    assert "reason 12" not in told


def test_the_cause_at_the_end_of_a_chain_is_not_said_twice():
    end = an_explanation(graph=None)
    summary = f"'a' waits for 'train-1', because {end.summary}"
    found = Explanation("waiting-on", summary, others=(end,), chain=("a", "train-1"))
    assert "other causes" not in text_of(found)


def test_a_long_chain_is_cut_in_its_middle():
    chain = tuple(f"t{n}" for n in range(50))
    told = text_of(an_explanation(cause="cascaded", chain=chain), width=200)
    assert (
        "t0 needs t1 needs t2 needs t3 needs … 42 more … needs t46 needs t47 needs "
        "t48 needs t49" in told
    )


# -- the doctor ------------------------------------------------------------------------


def test_a_checkup_shows_what_is_wrong_and_what_to_do():
    checkup = Checkup(
        (
            Finding("versions", "problem", "versions differ", "install", ("dask: 1",)),
            Finding("nannies", "warning", "2 of 4 workers have no nanny", "start them"),
            Finding("paused", "ok", "no worker is paused"),
            Finding("workers", "ok", "all 4 workers answer"),
        ),
        ("3 workers were not asked",),
    )
    told = text_of(checkup).splitlines()
    assert told[0] == "1 problem, 1 warning; 2 checks passed"
    assert told[1].endswith("3 workers were not asked")
    assert told[2] == "problem · versions: versions differ"
    assert told[-1].split(maxsplit=1) == ["passed", "paused, workers"]
    page = words_in(render.to_html(checkup))
    for text in ("dask: 1", "start them", "no worker is paused", "paused, workers"):
        assert text in page


def test_a_checkup_without_findings_is_said_so():
    fine = Checkup((Finding("paused", "ok", "no worker is paused"),))
    assert text_of(fine).startswith("nothing wrong found; 1 check passed\n")


# -- in a notebook and in a terminal -------------------------------------------


def test_data_shows_itself_in_a_notebook():
    import dbgkit.api.asking  # noqa: F401  (it registers the renderers)

    for name, obj in everything("key-1").items():
        if name in ("group", "finding"):  # shown as parts of others
            continue
        bundle = obj._repr_mimebundle_()
        assert bundle["text/plain"] == text_of(obj), name
        assert bundle["text/html"].startswith('<div class="dbgkit'), name


def test_a_terminal_gets_colours_and_a_pipe_does_not():
    coloured = render.to_text(a_report(), color=True)
    assert "\x1b[1;31m" in coloured
    assert "\x1b" not in text_of(a_report())
