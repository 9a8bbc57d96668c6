"""`shrink` as a command, as a magic, and as it is shown."""

from __future__ import annotations

import json

import pytest
import shrink_tasks as tasks
from commands import beside, in_process
from distributed import wait
from shells import complete, shell_of_its_own

import dbgkit
from dbgkit import render
from dbgkit.model import Culprit, Failure, Provenance, Shrinkage, Shrunk


@pytest.fixture
def failed(processes_client):
    rows = tasks.with_minus_one(200, 77)
    future = processes_client.submit(tasks.raise_slowly, rows, key="bad-1")
    wait(future)
    return future


@pytest.fixture
def command(capsys, processes_client, failed):
    return beside(capsys, processes_client)


# --- the command ----------------------------------------------------------------


def test_the_command_shows_the_smallest_input(command):
    done = command("shrink", "bad-1")
    text = " ".join(done.out.split())
    assert done.code == 1
    assert "verdict one: one element makes it fail" in text
    assert "element 77 -1" in text and "1 of 200 elements" in text
    assert "runs again and again" in done.err


def test_the_command_has_the_options_of_the_call(command):
    options = ("--where", "worker", "--runs", "5", "--time", "30s", "--json")
    found = json.loads(command("shrink", *options).out)
    assert (found["where"], found["runs"], found["stopped"]) == ("worker", 5, "runs")
    assert found["minimal"] is False and found["original"]["key"] == "bad-1"


def test_all_is_a_switch_of_the_command(command):
    found = json.loads(command("shrink", "--all", "--json").out)
    assert [each["position"] for each in found["culprits"]] == [77]


@pytest.mark.parametrize("options", [("--runs", "none"), ("--time", "soon")])
def test_a_mistyped_option_is_told(command, options):
    done = command("shrink", *options)
    assert done.code == 2 and options[1] in done.err


def test_a_dump_has_no_tasks_to_shrink(capsys, tmp_path):
    done = in_process(capsys, "shrink", "--dump", tmp_path / "none.yaml")
    assert done.code == 2 and "a dump has no tasks to run" in done.err


# --- a file in place of a key -----------------------------------------------------


@pytest.fixture
def file(tmp_path, failed):
    dbgkit.save(failed, tmp_path / "failure.dbgkit")
    return tmp_path / "failure.dbgkit"


def test_a_file_is_shrunk_saved_and_made_a_test_without_a_cluster(
    file, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    small = tmp_path / "small.dbgkit"
    options = ("--file", file, "--trust", "--save", small)
    done = in_process(capsys, "shrink", *options)
    text = " ".join(done.out.split())
    assert done.code == 1 and "in processes of their own" in text
    assert "element 77 -1" in text and str(small) in done.out
    # WHEN the smallest input is made a test THEN that has one element
    done = in_process(capsys, "to-test", "--file", small, "--trust")
    assert (done.code, done.out) == (0, "test_raise_slowly.py\n")
    assert "raise_slowly([-1])" in (tmp_path / "test_raise_slowly.py").read_text()


def test_shrinking_a_file_as_json_is_one_document(file, capsys, tmp_path):
    small = tmp_path / "small.dbgkit"
    options = ("--file", file, "--trust", "--save", small, "--json")
    found = json.loads(in_process(capsys, "shrink", *options).out)
    assert (found["where"], found["verdict"]) == ("process", "one")
    with dbgkit.replay(dbgkit.load(small, trust=True)) as again:
        assert again.outcome == "same"


@pytest.mark.parametrize("verb", ["shrink", "to-test"])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "add --trust"),
        (("--trust", "bad-1"), "leave out the key 'bad-1'"),
        (("--trust", "--scheduler", "tcp://x:1"), "only one of --scheduler and --file"),
        (("--trust", "--dump", "x.yaml"), "only one of --dump and --file"),
    ],
)
def test_what_does_not_go_with_a_file_is_told(file, capsys, verb, options, why):
    done = in_process(capsys, verb, "--file", file, *options)
    assert done.code == 2 and why in done.err and done.out == ""


def test_where_nothing_can_be_saved_nothing_is_run(file, capsys):
    options = ("--file", file, "--trust", "--save", "/none/x.dbgkit")
    done = in_process(capsys, "shrink", *options)
    assert done.code == 2 and "'/none' does not exist" in done.err
    assert done.out == "" and "runs again" not in done.err


@pytest.mark.parametrize("verb", ["shrink", "to-test"])
def test_what_is_no_file_of_a_failure_is_told(capsys, tmp_path, verb):
    (tmp_path / "x.dbgkit").write_text("nothing")
    done = in_process(capsys, verb, "--file", tmp_path / "x.dbgkit", "--trust")
    assert done.code == 2 and "x.dbgkit" in done.err and "Traceback" not in done.err
    done = in_process(capsys, verb, "--file", tmp_path / "none", "--trust")
    assert done.code == 2 and "does not exist" in done.err


def test_what_it_advises_are_options_of_the_command(file, capsys, tmp_path):
    (tmp_path / "test_it.py").write_text("")
    options = ("--file", file, "--trust", "-o", tmp_path / "test_it.py")
    done = in_process(capsys, "to-test", *options)
    assert done.code == 2 and "--overwrite" in done.err


def test_trust_is_for_files(command):
    done = command("shrink", "--trust")
    assert done.code == 2 and "use --file FILE" in done.err


def test_a_file_has_no_cluster(file, capsys):
    options = ("--file", file, "--trust", "--where", "worker")
    done = in_process(capsys, "shrink", *options)
    assert done.code == 2 and "no cluster" in done.err


# --- the magic --------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path, failed):
    with shell_of_its_own(tmp_path) as shell:
        shell.extension_manager.load_extension("dbgkit")
        shell.user_ns.update(failed=failed)
        yield shell
        shell.extension_manager.unload_extension("dbgkit")


def test_the_magic_gives_what_the_call_gives(shell, capsys):
    found = shell.run_line_magic("dbg_shrink", "--time 1m failed")
    assert isinstance(found, Shrunk) and found.verdict == "one"
    assert "runs again and again" in capsys.readouterr().err
    shell.user_ns["found"] = found
    again = shell.run_line_magic("dbg_replay", "found")
    assert again.outcome == "same" and again.args == ([-1],)


def test_the_magic_completes_its_options(shell):
    assert "--where" in complete(shell, "%dbg_shrink --wh")
    assert "process" in complete(shell, "%dbg_shrink --where pro")


# --- how it is shown ----------------------------------------------------------------


def shown(verdict, **changed):
    failure = Failure("k-1", "k", "ValueError", "no")
    found = {
        "culprits": (Culprit("x-1", "row", 7, "'a'", "{'b': 1}"),),
        "shrinkage": (
            Shrinkage("x-1", "row", 1_000, 1),
            Shrinkage("x-1", "column", 2, 1),
        ),
        "runs": 12,
        "rows_tested": 2_000,
        "rows": 1_000,
        "minimal": True,
        **changed,
    }
    shrunk = Shrunk(verdict, failure, failure, **found)
    page = render.to_html(shrunk)
    assert verdict in page and "\x1b" not in page
    return " ".join(render.to_text(shrunk, width=200).split())


MEANINGS = {
    "one": "one row makes it fail",
    "some": "3 rows make it fail together, and without any one of them it does not",
    "block": "3 rows next to each other make it fail together",
    "size": "it fails with 3 rows or more, whichever they are",
    "none": "it fails with no rows at all",
    "any": "it fails with 3 rows, and with other rows in their place too",
    "flaky": "the same input fails and passes",
}


@pytest.mark.parametrize("verdict", MEANINGS)
def test_each_verdict_in_words(verdict):
    left = {"one": 1, "none": 0}.get(verdict, 3)
    text = shown(verdict, shrinkage=(Shrinkage("x-1", "row", 1_000, left),))
    assert f"verdict {verdict}: {MEANINGS[verdict]}" in text
    assert "12 runs in this process, on 2.0 times the input in all" in text


@pytest.mark.parametrize("why", ["time", "runs", "ctrl-c", "hang", "gone", "else"])
def test_why_it_ended_early_is_told(why):
    assert "stopped" in shown("some", stopped=why, minimal=False)
    assert "without any one" not in shown("some", stopped=why, minimal=False)


def test_long_names_leave_room_for_the_rest():
    name, label = "('step-" + "0" * 90 + "', 1)", "'" + "y" * 90 + "'"
    both = (Culprit("x-1", "row", 7, label, "'a'"), Culprit(name, "row", 8, "", "'b'"))
    text = shown("some", culprits=both)
    assert f"row 7 {label}, 'a', of x-1" in text
    assert f"row 8 'b', of {name}" in text


def test_culprits_beyond_a_few_are_counted():
    many = tuple(Culprit("x-1", "row", number) for number in range(40))
    text = shown("some", culprits=many, omitted=60)
    assert "row 11" in text and "row 12" not in text and "88 more" in text


def test_where_a_culprit_came_from_is_told():
    line = Provenance(
        "read_csv 'x.csv', line 9", "read_csv", "x.csv", "line 9", 9, 7, "x"
    )
    text = shown("one", culprits=(Culprit("x-1", "row", 7, provenance=line),))
    assert "row 7 from read_csv 'x.csv', line 9" in text
    text = shown("one", culprits=(Culprit("x-1", "line", 7, partition=3),))
    assert "line 8 in partition 3" in text


def test_it_is_one_line_in_a_debugger_and_in_logs(failed):
    found = dbgkit.shrink(failed)
    assert repr(found) == f"<Shrunk of 'bad-1': one, {found.runs} runs>"


def test_control_characters_of_a_value_are_escaped():
    text = shown("one", culprits=(Culprit("x\x1b-1", "row", 7, "\x1b[31m", "\x1b[0m"),))
    assert "\x1b" not in text
