"""Keys that break markup, shells, terminals or files, in every verb."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import own_cluster
from distributed import Client, wait
from shells import shell_of_its_own
from tasks import add, boom
from watching import state_of, wait_until
from why_looks import same_words

import dbgkit
from dbgkit import render
from dbgkit.errors import UnknownKey

KEYS = {
    "closing-markup": "[/a/b]",
    "markup": "[bold red]x-1",
    "quotes": 'it\'s "so"',
    "newline": "two\nlines\r\nor three",
    "escape": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "nul": "a\x00b",
    "html": "<script>alert('x')</script>&amp;",
    "non-ascii": "schlüssel-日本-😀",
    "right-to-left": "key\u202etxt.exe",
    "shell": "$(rm -rf x); `id` | cat > {y} && $HOME %d",
    "option": "--state erred",
    "pattern": "load-[0-9]*?",
    "blank": " ",
    "long": "k" * 5_000,
    "tuple": ("[/t]", 'it\'s "so"\n', 0),
    "nested-tuple": ("t", ("<b>", 1), 2.5),
    "as-a-tuple": "('s', 1)",
}
each_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


def spoken_of(key):
    """A task that nothing can run, by a key that is as hostile."""
    return (*key, "homeless") if isinstance(key, tuple) else f"{key} homeless"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """For each key a task that failed, one that nobody can run, and one that waits."""
    path = tmp_path_factory.mktemp("hostile") / "state"
    with own_cluster(processes=False, n_workers=1) as client:
        failed = [
            client.submit(boom, n, key=key) for n, key in enumerate(KEYS.values())
        ]
        homeless = [
            client.submit(boom, 1, key=spoken_of(key), resources={"GPU": 1})
            for key in KEYS.values()
        ]
        last = client.submit(add, homeless[0], homeless[1], key="[/waiting]")
        wait(failed)
        wait_until(
            lambda: client.run_on_scheduler(state_of, key="[/waiting]") == "waiting",
            "the last task is there",
        )
        client.dump_cluster_state(str(path))
        yield client, f"{path}.msgpack.gz"
        del last


@pytest.fixture(params=["live", "dump"])
def view(request, hostile):
    client, path = hostile
    return {"client": client} if request.param == "live" else {"view": path}


def spellings(key):
    """The key itself, and as it is typed."""
    return (key, repr(key)) if isinstance(key, tuple) else (key,)


def shown(answer):
    """The console's form and HTML: they hold nothing that acts."""
    text = render.to_text(answer)
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    html = render.to_html(answer)
    assert "<script>alert" not in html
    assert "\x1b" not in html and "\u202e" not in html
    return text


@each_key
def test_a_task_is_found_by_its_key(view, key):
    for spelling in spellings(key):
        (row,) = dbgkit.tasks(keys=spelling, **view).rows
        assert (row.key, row.state) == (key, "erred")
    assert dbgkit.tasks(keys=[key], **view).matched == 1


@each_key
def test_its_story_is_told(view, key):
    for spelling in spellings(key):
        story = dbgkit.story(spelling, **view)
        assert story.key == key
        assert "processing -> erred" in [moment.what for moment in story.moments]
    shown(story)


@each_key
def test_it_is_explained(view, key):
    for spelling in spellings(key):
        assert dbgkit.why(spelling, **view).cause == "failed"
    explained = dbgkit.why(spoken_of(key), **view)
    assert (explained.cause, explained.key) == ("resources-unmet", spoken_of(key))
    shown(explained)


def test_all_are_listed_and_shown(view):
    report = dbgkit.failures(limit=None, **view)
    assert report.total == len(KEYS)
    shown(report)
    table = dbgkit.tasks(limit=None, **view)
    everyone = {*KEYS.values(), *map(spoken_of, KEYS.values()), "[/waiting]"}
    assert {row.key for row in table.rows} == everyone
    shown(table)
    shown(dbgkit.why(**view))
    shown(dbgkit.doctor(**view))


# What a dump does not have.
APART = {"first": None, "last": None, "recording": None, "came_from": None}


def test_a_dump_says_the_same_as_the_cluster(hostile):
    client, path = hostile
    # WHEN asked for failures
    live, dumped = dbgkit.failures(client=client), dbgkit.failures(view=path)
    groups = [
        [{**group, **APART} for group in each.to_json()["groups"]]
        for each in (live, dumped)
    ]
    assert groups[0] == groups[1]
    # AND for tasks
    tables = [
        {row.key: replace(row, since=None) for row in table.rows}
        for table in (dbgkit.tasks(client=client), dbgkit.tasks(view=path))
    ]
    assert tables[0] == tables[1]
    # AND why they wait
    for target in ("[/waiting]", None):
        same_words(dbgkit.why(target, client=client), dbgkit.why(target, view=path))
    for key in KEYS.values():
        same_words(
            dbgkit.why(spoken_of(key), client=client),
            dbgkit.why(spoken_of(key), view=path),
        )
        # AND what happened; a blank is in every line of a log
        if key == " ":
            continue
        stories = [
            told(dbgkit.story(key, client=client)),
            told(dbgkit.story(key, view=path)),
        ]
        assert stories[0] == stories[1]


def told(story):
    """What is told, but for the scheduler's own log, which no dump holds.

    By source: a dump has a log's lines to the millisecond, in which much may happen.
    """
    return sorted(
        (
            (moment.found_in, moment.what, moment.detail)
            for moment in story.moments
            if not moment.what.endswith("on scheduler")
        ),
        key=lambda moment: moment[0],
    )


@pytest.mark.parametrize(
    "name", [name for name in KEYS if name not in ("newline", "blank", "option")]
)
def test_it_may_be_typed_after_a_magic(hostile, tmp_path, name):
    key = KEYS[name]
    # Quoted, as it would be in Python, where it could be read as something else.
    quoted = isinstance(key, tuple) or name in ("html", "as-a-tuple")
    typed = repr(key) if quoted else key
    client, _ = hostile
    with shell_of_its_own(tmp_path) as shell:
        shell.user_ns["mine"] = client
        shell.extension_manager.load_extension("dbgkit")
        for magic in ("dbg_story", "dbg_why"):
            found = shell.run_line_magic(magic, f"--client mine {typed}")
            assert found.key == key
        shell.extension_manager.unload_extension("dbgkit")


@each_key
def test_an_error_names_it_in_one_line(view, key):
    unknown = (*key, "no") if isinstance(key, tuple) else f"{key} no"
    with pytest.raises(UnknownKey) as caught:
        dbgkit.story(unknown, **view)
    said = str(caught.value)
    assert not re.search(r"[\x00-\x1f\x7f\u202e]", said)
    assert len(said) < 1_000


# -- bytes -------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"x-1", ("x", b"\xff", 1)], ids=repr)
def test_bytes_are_no_keys_of_dasks_but_may_be_asked_for(inproc, key):
    with Client(inproc) as client:
        # Dask refuses them wherever a task gets its key.
        with pytest.raises(TypeError, match=r"[Uu]nexpected key type"):
            client.submit(boom, 1, key=key)
        with pytest.raises(TypeError, match=r"[Uu]nexpected key type"):
            client.get({key: (boom, 1)}, [key], sync=False)
        for asked in (key, repr(key)):
            assert dbgkit.tasks(keys=[asked]).matched == 0
            assert dbgkit.why(asked).cause == "unknown-key"
            with pytest.raises(UnknownKey):
                dbgkit.story(asked)
