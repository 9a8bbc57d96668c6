"""What a terminal would obey, or nobody see, is spelt out in each output."""

from __future__ import annotations

import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import pexpect
import pytest
from commands import ended, environment, in_process, start
from conftest import own_cluster
from distributed import wait
from rich.console import Console

import dbgkit
from dbgkit import errors, render
from dbgkit.api.report import report as make_report
from dbgkit.frontends import pytest_plugin
from dbgkit.model import Notice
from dbgkit.remote.common.texts import in_line, visible

# A colour, a link, the clipboard, a title; C1; direction, no width, a byte order mark,
# what moves the cursor, Unicode's own line ends.
OBEYED = (
    "\x1b[31mred\x1b]8;;http://x\x07link\x1b]52;c;aGk=\x07\x1b]0;title\x1b\\"
    "\x9b1m\u202egpj.\u2066\u200b\ufeff\rover\b\x7f\u2028\x85\U000e0041end"
)
SURROGATE = "\udcff"
# As a key, on a cluster whose messages hold no halves of surrogate pairs.
KEY = f"bad {OBEYED}-1"

_SOURCE = """
class Base(Exception):
    pass

Evil = type(NAME, (Base,), {})

def work(value):
    local = value
    raise Evil(value)  # @
"""


def obeyed(text):
    """Characters of a text that a terminal would obey, or nobody see."""
    return {
        letter for letter in text if letter not in "\n\t" and visible(letter) != letter
    }


def assert_clean(text, told="\\x1b]52;c;aGk=\\x07"):
    assert not obeyed(text), obeyed(text)
    assert told in text, text


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A function whose file, class, message, source line and value are all evil."""
    # No slash: it is a file's name; no line ends of source either.
    name = re.sub("[/\r\x85\u2028\n]", "", OBEYED)
    path = tmp_path_factory.mktemp("evil") / f"a{name}\nb.py"
    path.write_text(_SOURCE.replace("@", name), encoding="utf-8")
    space = {"__name__": "evil", "NAME": f"Evil{OBEYED}\nFalse: all is well"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
    return space["work"]


@pytest.fixture(scope="module")
def failed(evil):
    """A cluster with a task that has failed so, and its future."""
    with (
        pytest.MonkeyPatch.context() as patch,
        own_cluster(processes=False, protocol="tcp", n_workers=1) as client,
    ):
        module = type(sys)("evil")
        module.work = evil
        module.Base = evil.__globals__["Base"]
        patch.setitem(sys.modules, "evil", module)
        with dbgkit.record(client=client):
            future = client.submit(evil, f"text {OBEYED}{SURROGATE}\nend", key=KEY)
            wait(future)
            yield client, future


@pytest.fixture(scope="module")
def dump(failed, tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "state"
    failed[0].dump_cluster_state(str(path))
    return path.with_name("state.msgpack.gz")


def forms_of(data):
    """Each form of our data, by name."""
    file = io.StringIO()
    Console(file=file, width=300).print(data)  # as a user's own console shows it
    yield "rich", file.getvalue()
    yield "str", str(data)
    yield "repr", repr(data)
    yield "html", data._repr_mimebundle_()["text/html"]
    yield "json", json.dumps(data.to_json())


VERBS = {
    "locate": lambda client, future: dbgkit.locate(future),
    "replay": lambda client, future: dbgkit.replay(future),
    "failures": lambda client, future: dbgkit.failures(client=client),
    "tasks": lambda client, future: dbgkit.tasks(client=client),
    "story": lambda client, future: dbgkit.story(KEY, client=client),
    "why": lambda client, future: dbgkit.why(KEY, client=client),
    "recordings": lambda client, future: dbgkit.recordings(client=client),
    "recording": lambda client, future: dbgkit.recordings(client=client)[0],
    "report": lambda client, future: make_report(client=client),
}


@pytest.mark.parametrize("verb", VERBS)
def test_each_form_of_each_verb(failed, verb):
    data = VERBS[verb](*failed)
    for name, text in forms_of(data):
        assert not obeyed(text), (name, obeyed(text))
        if name not in ("repr", "json"):
            assert "x1b]52;c;aGk=" in text, (name, text)


def test_the_names_of_classes_and_files_begin_no_line(failed):
    for verb in ("locate", "replay", "recording"):
        text = render.to_text(VERBS[verb](*failed), width=3_000)
        assert "\\nFalse: all is well" in text
        assert not re.search("^ *(False: all|b.py)", text, re.MULTILINE), text
    assert "\nend" not in repr(dbgkit.locate(failed[1]))


def test_source_and_values_are_shown_spelt_out(failed):
    replay = dbgkit.replay(failed[1])
    file = io.StringIO()
    render.show(replay, whole=True, file=file)
    text = file.getvalue()
    assert_clean(text)
    # It is long: what does not fit goes on below.
    (line,) = re.findall(r"❱.*\n.*", text)
    assert re.search(r"raise Evil\(value\)  #\s+\\x1b\[31mred", line)
    assert_clean(render.header(replay))
    assert_clean(render.place(dbgkit.locate(failed[1])), "\\x1b[31mred")


def test_the_page(failed, dump):
    for where in ({"client": failed[0]}, {"view": str(dump)}):
        page = render.document(make_report(**where))
        assert_clean(page)
        page.encode()


def test_what_a_replay_says_meanwhile(failed):
    for terminal in (False, True):
        file = io.StringIO()
        file.isatty = lambda terminal=terminal: terminal
        with render.Notifier(file=file) as notify:
            dbgkit.replay(failed[1], notify=notify)
            notify(Notice(f"{OBEYED}\nnotice"))
        told = file.getvalue()
        if terminal:  # our own colours
            told = re.sub(r"\x1b\[[0-9;]*m", "", told)
        assert_clean(told)
        assert "\\nnotice" in told.replace("\n", "")


def test_our_own_errors(failed):
    with pytest.raises(errors.DbgkitError) as caught:
        dbgkit.locate(f"none {OBEYED}\n", client=failed[0])
    assert_clean(str(caught.value))
    assert "\n" not in str(caught.value)
    told = errors.NoTask(f"a {OBEYED}{SURROGATE}\nb", "do\nthat")
    assert_clean(str(told))
    assert str(told).endswith("\\udcff\\nb; do\\nthat")


def test_the_section_of_a_pytest_report(failed):
    with pytest.raises(Exception) as caught:
        failed[1].result()
    assert_clean(pytest_plugin._described(caught.value))


# -- the command line ----------------------------------------------------------

LOOKS = {
    "failures": (),
    "tasks": (),
    "story": (KEY,),
    "why": (KEY,),
    "locate": (KEY,),
    "replay": (KEY,),
    "debug": (KEY,),
    "recordings": (KEY,),
    "report": ("-o", "-", "--exit-code"),
    "watch": ("--once",),
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("verb", LOOKS)
def test_the_command_line_piped(capsys, failed, verb, as_json):
    if verb == "debug" and as_json:
        pytest.skip("a prompt cannot be printed as JSON")
    options = ["--scheduler", failed[0].scheduler.address, *["--json"] * as_json]
    done = in_process(capsys, verb, *options, *LOOKS[verb])
    assert done.code == 1, done
    assert "x1b" in done.out
    assert not obeyed(done.out)
    assert not obeyed(done.err)


def test_what_was_typed_is_told_spelt_out(capsys, failed):
    address = failed[0].scheduler.address
    for args in (
        [f"--{OBEYED}"],
        [f"verb{OBEYED}"],
        ["failures", f"--option{OBEYED}"],
        ["failures", "--dump", f"no{OBEYED}"],
        ["tasks", "--sort", OBEYED, "--scheduler", address],
        ["story", f"no {OBEYED}", "--scheduler", address],
        ["failures", "--scheduler", f"tcp://{OBEYED}:1", "--timeout", "300ms"],
    ):
        done = in_process(capsys, *args)
        assert done.code == 2, done
        assert_clean(done.err, "\\x1b")


def test_a_prompt_in_a_terminal(failed, evil):
    """The header is coloured by us; nothing else of it is obeyed."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "debug", KEY, "--scheduler", failed[0].scheduler.address],
        env=environment(TERM="xterm", PYTHONBREAKPOINT="0"),
        dimensions=(50, 400),
        timeout=60,
        encoding="utf-8",
    )
    child.expect(pexpect.EOF)
    text = re.sub(r"\x1b\[[0-9;]*m", "", child.before).replace("\r\n", "\n")
    assert_clean(text, "\\x1b[31m")


SCRIPT = """
import threading
from threading import Thread
class Evil(Exception): pass
Evil.__qualname__ = Evil.__name__ = TEXT
def fail():
    raise Evil(TEXT + "\\udcff\\nsecond line")
thread = Thread(target=fail, name=TEXT)
thread.start(); thread.join()
fail()
"""


def test_the_traceback_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    text = ascii(OBEYED)
    script.write_text(SCRIPT.replace("TEXT", text))
    done = ended(start("run", script))
    assert done.code == 1
    assert_clean(done.err)
    assert done.err.count("Traceback (most recent call last):\n") == 2
    assert "\\udcff\nsecond line\n" in done.err


# -- one mechanism ------------------------------------------------------------


def test_what_is_spelt_out_is_what_nobody_sees():
    """All controls, formats, surrogates and line ends; marks that are seen stay."""
    seen = {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}
    for number in range(sys.maxunicode + 1):
        letter = chr(number)
        if letter in "\n\t":
            continue
        name = unicodedata.name(letter, "").split(" ")
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            kept = name[0] in seen and letter != "\u061c"
            assert (visible(letter) == letter) is kept, hex(number)
    for shown in (
        "naïve",
        "日本語",
        "مرحبا",
        "👩\ufe0f",
        "a b\tc\nd",
        "\u0301",
        "\xa0",
    ):
        assert visible(shown) == shown
    for hidden in ("\u3164", "\u115f", "\u034f", "\ufe00", "\U000e0100", "\u200d"):
        assert visible(hidden).startswith("\\")
    assert visible(visible(OBEYED)) == visible(OBEYED)
    assert visible("a\r\nb\rc") == "a\nb\\rc"
    assert in_line("a\nb\tc") == "a\\nb\\tc"


def test_render_hands_rich_no_text_but_its_own():
    """Whatever is shown by rich goes through `render.text`."""
    folder = Path(render.__file__).parent
    for path in folder.glob("*.py"):
        text = path.read_text()
        if path.name == "text.py":
            continue
        taken = re.findall(r"^from rich\.text import (.*)$", text, re.MULTILINE)
        assert taken in ([], ["Text as RichText"]), path.name
        assert "from html import" not in text, path.name
