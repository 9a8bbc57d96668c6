"""Completion: in bash at a pseudo-terminal, by click's protocol, and in IPython."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pexpect
import pytest
from commands import environment, in_process
from distributed import Client
from shells import Kernel, complete, shell_of_its_own
from watching import clear_history

import dbgkit
from dbgkit.frontends.cli import listed
from dbgkit.frontends.cli.completing import complete_addresses, whole_words
from dbgkit.frontends.ipython.completing import offered
from dbgkit.frontends.ipython.session import Session

TRIES = 10  # a cluster on a busy machine may take longer than a second to answer
KEYS = ["plain-1", ("tuple", 0), "both 'a' $HOME !x `id` \"q\"", "a\\b\nc", "11"]


def fail(number):
    raise ValueError(number)


@pytest.fixture(scope="module")
def failed(processes):
    with Client(processes) as client:
        client.run_on_scheduler(clear_history)
        held = [client.submit(fail, 1, key=key) for key in KEYS]
        held.append(client.submit(abs, 1, key="fine-1"))
        for future in held:
            future.exception()
        yield client


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Folder with ``dbgkit`` and ``dask`` as they are installed."""
    folder = tmp_path_factory.mktemp("bin")
    for name, home in (("dbgkit", "dbgkit.frontends.cli"), ("dask", "dask.__main__")):
        path = folder / name
        path.write_text(f"#!{sys.executable}\nfrom {home} import main\nmain()\n")
        path.chmod(0o755)
    return folder


def variables_of(*words, shell="bash", program="dbgkit"):
    """What a shell sets to have a line completed."""
    mark = "\n" if shell == "bash" else " "
    return {
        f"_{program.upper()}_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": mark.join([program, *words]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }


@pytest.fixture
def ask_process(programs):
    """What click answers to a line, in a process of its own; and how long it took."""

    def run(*words, program="dbgkit", **options):
        started = time.monotonic()
        done = subprocess.run(
            [str(programs / program)],
            env=environment(**variables_of(*words, program=program, **options)),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip().splitlines(), time.monotonic() - started

    return run


@pytest.fixture
def ask(capsys, monkeypatch):
    """What click answers to a line, in this process; and how long it took."""

    def run(*words, **options):
        for name, value in variables_of(*words, **options).items():
            monkeypatch.setenv(name, value)
        started = time.monotonic()
        done = in_process(capsys)
        assert (done.code, done.err) == (0, "")
        return done.out.strip().splitlines(), time.monotonic() - started

    return run


def in_the_end(ask, *words, **options):
    """What is answered, once the cluster was quick enough."""
    for _ in range(TRIES):
        if found := ask(*words, **options)[0]:
            break
    return found


# -- by click's protocol -------------------------------------------------------------


@pytest.mark.parametrize("program", ["dbgkit", "dask"])
def test_commands_options_choices_and_keys(ask, ask_process, failed, program):
    ask = ask_process if program == "dask" else ask
    there = failed.scheduler.address
    before = ["dbgkit"] if program == "dask" else []

    def values(*words):
        return ask(*before, *words, program=program)[0]

    def keys(*words):
        return in_the_end(ask, *before, *words, program=program)

    assert values("fail") == ["plain,failures"]
    assert values("record", "o") == ["plain,on", "plain,off"]
    assert values("tasks", "--st") == ["plain,--state"]
    assert values("replay", "--scope", "an") == ["plain,ancestors"]
    assert keys("debug", "--scheduler", there, "pl") == ["plain,plain-1"]
    assert values("debug", "--scheduler", there, "fi") == []
    assert keys("why", "--scheduler", there, "fi") == ["plain,fine-1"]
    assert values("run", "x") == ["file,x"]


def test_keys_in_zsh_and_fish(ask, failed):
    there = failed.scheduler.address
    lines = in_the_end(ask, "debug", "--scheduler", there, "tup", shell="zsh")
    assert lines == ["plain", "('tuple', 0)", "_"]
    lines = in_the_end(ask, "debug", "--scheduler", there, "pla", shell="fish")
    assert lines == ["plain,plain-1"]
    lines, _ = ask("debug", "--scheduler", there, "tup", shell="fish")
    assert lines == []  # its script would end the key at the comma


def test_what_bash_breaks_is_whole_again(ask, failed):
    scheme, host, port = failed.scheduler.address.split(":")
    broken = [scheme, ":", host, ":", port]
    for words in (["--scheduler", *broken], ["--scheduler", "=", *broken]):
        assert in_the_end(ask, "debug", *words, "pl") == ["plain,plain-1"]
    assert whole_words(["a", "tcp", ":", "//[", "::", "1]", ":", "8786", "b"]) == [
        "a",
        "tcp://[::1]:8786",
        "b",
    ]
    assert whole_words([":", "a", ""]) == [":a", ""]
    assert whole_words([]) == []


@contextmanager
def listening():
    """The address of something that accepts connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_a_cluster_that_does_not_answer_has_a_second(ask_process):
    ask = ask_process
    _, nothing = ask("debug", "--where", "h")  # which imports no Dask
    _, refused = ask("debug", "--scheduler", "tcp://127.0.0.1:1", "a")
    with listening() as address:
        lines, took = ask("debug", "--scheduler", address, "a")
    assert lines == []
    # Others may be at work on this machine.
    assert took < refused + 1.0 + nothing


@pytest.mark.parametrize(
    "words",
    [
        ("debug", "a"),
        ("debug", "--scheduler", "http://127.0.0.1:8787", "a"),
        ("why", "--dump", "no-such-file", "a"),
        ("debug", "--scheduler", "tcp://127.0.0.1:1", "--timeout", "x", "a"),
    ],
)
def test_a_place_that_cannot_be_asked_has_no_keys(ask, words):
    assert ask(*words)[0] == []


def test_what_a_shell_or_terminal_would_obey_is_no_address(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    odd = [
        "tcp://$(id):1",
        "tcp://`id`",
        "tcp://h:1\nrm",
        "tcp://\x1b[31m",
        "tcp://* ;",
    ]
    for each in [*odd, "tls://[::1]:8786", "inproc://10.0.0.7/12/1"]:
        listed.remember(each, each, ["x"])
    found = [each.value for each in complete_addresses("")]
    assert sorted(found) == ["inproc://10.0.0.7/12/1", "tls://[::1]:8786"]


def test_addresses_that_were_listed(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    listed.remember("one", "tcp://one:8786", ["x"])
    listed.remember("two", "tls://two:8786", ["x"])
    lines, _ = ask("why", "--scheduler", "")
    assert lines == ["plain,tls://two:8786", "plain,tcp://one:8786"]
    assert ask("why", "--scheduler", "tc")[0] == ["plain,tcp://one:8786"]


# -- in bash -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bash(programs, failed):
    child = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        env=environment(
            PATH=f"{programs}{os.pathsep}{os.environ['PATH']}",
            TERM="dumb",
            THERE=failed.scheduler.address,
        ),
        encoding="utf8",
        timeout=60,
        dimensions=(50, 250),
    )
    # Not found in what is typed.
    child.sendline("PS1='READ''Y> '; bind 'set enable-bracketed-paste off'")
    child.expect_exact("READY> ")
    child.sendline('eval "$(_DBGKIT_COMPLETE=bash_source dbgkit)"')
    child.expect_exact("READY> ")
    # Shows what a line has become, in place of running it.
    child.sendline("shown() { printf '<%s>' \"$@\"; echo '<end>'; }")
    child.expect_exact("READY> ")
    yield child
    child.close(force=True)


@pytest.mark.parametrize(
    ("key", "quote"),
    [
        (KEYS[1], ""),
        (KEYS[1], '"'),
        (KEYS[2], ""),
        (KEYS[2], '"'),
        (KEYS[2], "'"),
        (KEYS[3], '"'),
        (KEYS[4], ""),
    ],
)
def test_a_key_that_is_completed_is_the_task(bash, failed, key, quote):
    plain = isinstance(key, str) and key.isprintable() and not key.isdecimal()
    text = key if plain else repr(key)
    begun = text[:3] if quote else text.strip("('\"")[:3]
    address = failed.scheduler.address
    bash.send(f"dbgkit locate --scheduler {address} {quote}{begun}")
    # The line ends with what was completed, and a blank. On a busy machine a second
    # may be too short: bash rings then.
    for _ in range(TRIES):
        bash.send("\t")
        if bash.expect(["[^ ] $", "\x07"]) == 0:
            break
    bash.sendcontrol("a")
    bash.send("shown ")
    bash.sendline("")
    bash.expect_exact("<end>")
    said = bash.before[bash.before.rindex("<dbgkit>") :]
    assert said == f"<dbgkit><locate><--scheduler><{address}><{text}>"
    bash.expect_exact("READY> ")


# -- in IPython ----------------------------------------------------------------------

OFFERED = [
    ("%dbg_record o", ["on", "off"]),
    ("dbg_record of", ["off"]),
    ("%dbg_record on --ho", ["--hold"]),
    ("%dbg --scope ", ["task", "ancestors"]),
    ("%dbg --scope=t", ["task"]),
    ("%%dbg --wh", ["--where"]),
    ("%dbg_doctor --", ["--client", "--dump", "--source", "--timeout"]),
    ("%dbg_why --client cl", ["clusters"]),
    ("%dbg pla", ["plain-1"]),
    ("%dbg 'pla", ["'plain-1'"]),
    ("%dbg ('tup", ["('tuple', 0)"]),
    ("%dbg_replay --where here --no-recompute pla", ["plain-1"]),
    ("again = %dbg_replay pla", ["plain-1"]),
    ("%dbg ne", ["next"]),
    ("%dbg hel", ["held"]),
]


@pytest.fixture(scope="module")
def shell(tmp_path_factory, failed):
    with shell_of_its_own(tmp_path_factory.mktemp("ipython")) as shell:
        dbgkit.load_ipython_extension(shell)
        shell.user_ns.update(clusters=failed, held=ValueError("held"))
        yield shell


@pytest.mark.parametrize("jedi", [True, False])
@pytest.mark.parametrize(("line", "texts"), OFFERED)
def test_ipython_offers_what_fits_and_no_more(shell, line, texts, jedi):
    shell.Completer.use_jedi = jedi
    assert complete(shell, line) == texts


def test_ipython_completes_keys_that_were_listed(shell):
    session = Session()
    assert offered("dbg", " 1", {}, session).texts == []
    session.note_shown(dbgkit.failures())
    listed_keys = {*session.listed_keys}
    assert listed_keys <= {*KEYS}
    assert offered("dbg", " '11", {}, session).texts == ["'11'"]


def test_elsewhere_ipython_offers_what_it_always_does(shell):
    shell.Completer.use_jedi = False
    assert "print" in complete(shell, "prin")
    assert complete(shell, "x = 'dbg_record o") != ["on", "off"]
    assert "%dbg_record" in complete(shell, "%dbg_rec")


def test_a_kernel_completes_too(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("%load_ext dbgkit")
        kernel.client.complete("%dbg_record o")
        reply = kernel.client.get_shell_msg(timeout=60)
        while reply["msg_type"] != "complete_reply":
            reply = kernel.client.get_shell_msg(timeout=60)
        content = reply["content"]
        assert content["matches"] == ["on", "off"]
        assert (content["cursor_start"], content["cursor_end"]) == (12, 13)
    finally:
        kernel.stop()


def test_a_terminal_completes_too(tmp_path):
    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--no-banner", "--no-confirm-exit", "--quick"],
        env=environment(IPYTHONDIR=str(tmp_path), PROMPT_TOOLKIT_NO_CPR="1"),
        cwd=tmp_path,
        encoding="utf8",
        timeout=60,
        dimensions=(50, 200),
    )
    child.expect(r"In \[.*?\d")
    child.send("%load_ext dbgkit\r")
    child.expect(r"In \[.*?2")
    child.send("%dbg_record of\t")
    # It may draw the whole word, or the missing letter alone.
    child.expect(r"off\x1b|of\x1b(?s:.)*?f\x1b")
    child.send("\r")
    # Run as it was completed: without a cluster there is nothing to turn off.
    child.expect("NoFailure|no cluster")
    child.close(force=True)
