"""The table of options: as the verbs have them, and as each front end offers them."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module

import click
import pytest
from click.shell_completion import ShellComplete
from commands import environment
from shells import shell_of_its_own

import dbgkit
from dbgkit.api.record_settings import DEFAULTS
from dbgkit.frontends.cli.main import cli
from dbgkit.frontends.ipython.arguments import split_options
from dbgkit.frontends.kinds import KINDS, listed
from dbgkit.frontends.verbs import (
    ANSWER,
    COMMAND_LINE,
    MAGIC_VERBS,
    MAGICS,
    PLACE,
    VERBS,
    spelled,
)

# Whose parameters a command takes that has no verb of its own.
NAMED_ELSEWHERE = {"open": "debug", "run": "debug"}
# Commands for which there is no cluster to look at.
WITHOUT_A_PLACE = {"open", "run"}
# What is called otherwise on the command line, and options that only a command has.
COMMAND_OF = {"load": "open"}
OF_COMMANDS = {("open", "trust"), ("open", "as_json"), ("run", "save")}
# Parameters that no front end offers, and why.
LEFT_OUT = {
    ("debug", "notify"): "a function: what it is for, front ends do by themselves",
    ("open", "target"): "it is the file",
    **{
        ("open", name): "a file has one task, with its inputs, and no cluster"
        for name in (
            *("client", "max_bytes", "recompute", "scope", "source", "times", "using"),
            "notify",
        )
    },
    ("replay", "notify"): "a function: what it is for, front ends do by themselves",
    ("to_test", "notify"): "a function: what it is for, front ends do by themselves",
    ("save", "notify"): "a function: what it is for, front ends do by themselves",
    ("shrink", "notify"): "a function: what it is for, front ends do by themselves",
    ("run", "client"): "it is the script's own",
    ("run", "notify"): "a function: what it is for, front ends do by themselves",
}
EVERYWHERE_LEFT_OUT = {
    "asynchronous": "front ends have no event loop in which one could await",
}
VERB_OPTIONS = [
    pytest.param(name, option, id=f"{name}{option.flag}")
    for name, verb in VERBS.items()
    for option in verb.options
]


def verb_of(name):
    called = NAMED_ELSEWHERE.get(name, name)
    return getattr(import_module(f"dbgkit.api.{called}"), called)


def parameters(name):
    return inspect.signature(verb_of(name)).parameters


def documented(name):
    """Choices of each parameter, as the docstrings of the verb have them."""
    text = f"{verb_of(name).__doc__}\n{dbgkit.replay.__doc__}"
    return {
        keyword: re.findall(r'"(\w+)"', choices)
        for keyword, choices in re.findall(r"^ *(\w+) : \{(.*?)\}", text, re.M)
    }


# -- the table and the verbs ---------------------------------------------------------


def test_every_verb_is_in_the_table():
    verbs = {
        name
        for name in dbgkit.__all__
        if inspect.isfunction(getattr(dbgkit, name)) and "ipython" not in name
    }
    assert verbs | WITHOUT_A_PLACE == {*VERBS}
    assert {f"dbg_{verb}" for verb in verbs} | {"dbg"} == {*MAGIC_VERBS}
    named = {COMMAND_OF.get(name, name) for name in VERBS}
    assert {*cli.commands} == {name.replace("_", "-") for name in named}


@pytest.mark.parametrize("name", VERBS)
def test_all_that_a_verb_takes_is_in_the_table_and_no_more(name):
    verb = VERBS[name]
    offered = {option.keyword for option in verb.options} | ({verb.target} - {""})
    taken = {*parameters(name)} - {*EVERYWHERE_LEFT_OUT}
    taken -= {"target"} if name == "run" else set()
    left_out = {keyword for each, keyword in LEFT_OUT if each == name}
    assert taken - offered == left_out
    own = {each.keyword for each in verb.options if each.only == COMMAND_LINE}
    own |= {keyword for each, keyword in OF_COMMANDS if each == name}
    # The recorder's is on or off.
    assert offered - taken - own == {"switch"} & {verb.target}


@pytest.mark.parametrize(("name", "option"), VERB_OPTIONS)
def test_defaults_are_those_of_the_verb(name, option):
    needed = (name, option.keyword) == ("save", "path")  # front ends have one
    own = (name, option.keyword) in OF_COMMANDS or option.only == COMMAND_LINE
    if not needed and not own:
        assert option.default == parameters(name)[option.keyword].default
    if name == "record" and (keyword := option.flag[2:]) in DEFAULTS:
        known = DEFAULTS[keyword]
        is_none = known == [] or known is False
        assert option.shown == ("" if is_none else str(known))


@pytest.mark.parametrize("name", sorted({*VERBS} - WITHOUT_A_PLACE - {"load"}))
def test_overloads_have_the_options_of_the_verb(name):
    """A type checker finds what is too much in them, but not what is missing."""
    module = import_module(f"dbgkit.api.{name}")
    *overloads, own = [
        each
        for each in ast.parse(inspect.getsource(module)).body
        if isinstance(each, ast.FunctionDef) and each.name == name
    ]
    assert len(overloads) in (2, 4)
    for overload in overloads:
        named = overload.args.kwarg.annotation.slice.id
        args = [*overload.args.args, *overload.args.kwonlyargs]
        known = {arg.arg for arg in args} | {*vars(module)[named].__annotations__}
        missing = {"dry_run"} & {arg.arg for arg in own.args.kwonlyargs}
        assert known | missing == {*parameters(name)}


def test_limits_are_the_same_in_commands():
    assert inspect.signature(dbgkit.why).parameters["timeout"].default == ANSWER


@pytest.mark.parametrize(
    ("name", "option"), [p for p in VERB_OPTIONS if p.values[1].choices]
)
def test_choices_are_those_of_the_verb(name, option):
    if name in WITHOUT_A_PLACE and option.keyword == "where":
        # On a worker it needs the client, which there is none of.
        assert {*option.choices} == {*documented(name)["where"]} - {"worker"}
        return
    assert [*option.choices] == documented(name)[option.keyword]
    with pytest.raises(ValueError, match="is not one of") as refused:
        verb_of(name)(**{option.keyword: "nonsense"})
    known = re.findall(r"'(\w+)'", str(refused.value).partition("not one of")[2])
    assert known == [*option.choices]


@pytest.mark.parametrize(("name", "option"), VERB_OPTIONS)
def test_an_option_is_in_one_line(name, option):
    assert option.help and "\n" not in option.help and len(option.help) < 80
    assert option.choices or option.kind in {"flag", *KINDS}
    assert option.help[-1] != "."


# -- commands ------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in VERBS if name not in COMMAND_OF])
def test_a_command_takes_what_the_table_has(name):
    own = {option.keyword for option in PLACE}
    if name in WITHOUT_A_PLACE:
        own = {"module"} if name == "run" else set()
    named = {each.keyword: each for each in VERBS[name].options if each.only != MAGICS}
    found = {
        param.name: param
        for param in cli.commands[name.replace("_", "-")].params
        if isinstance(param, click.Option)
    }
    assert {*found} == {*named} | own
    for keyword in {*named} - own:
        if named[keyword].kind != "flag":
            assert found[keyword].default == named[keyword].default


def completed(*args):
    shell = ShellComplete(cli, {}, "dbgkit", "_DBGKIT_COMPLETE")
    return {each.value for each in shell.get_completions([*args[:-1]], args[-1])}


def test_a_shell_completes_names_and_choices():
    assert "--secret-names" in completed("record", "--secr")
    assert completed("replay", "--where", "pro") == {"process"}
    assert completed("tasks", "--state", "erred,mem") == {"erred,memory"}
    assert completed("tasks", "--sort", "nb") == {"nbytes"}


# -- magics --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with shell_of_its_own(tmp_path_factory.mktemp("ipython")) as shell:
        shell.extension_manager.load_extension("dbgkit")
        yield shell


@pytest.mark.parametrize("name", MAGIC_VERBS)
def test_the_help_of_a_magic_has_all_its_options(shell, name):
    told = shell.object_inspect_text(f"%{name}")
    verb = MAGIC_VERBS[name]
    for line in listed(verb.options).splitlines():
        assert line in told
    for option in verb.options:
        assert option.only != COMMAND_LINE
        assert f"{option.flag} {option.metavar}".rstrip() in told


VALUES = {
    "client": "tcp://127.0.0.1:8786",
    "dump": "state.msgpack.gz",
    "duration": "3s",
    "list": "one,two",
    "moment": "2026-01-31T12:00",
    "number": "7",
    "output": "page.html",
    "path": __file__,
    "size": "1kB",
    "text": "some",
}


def typed(option):
    return option.choices[-1] if option.choices else VALUES[option.kind]


@pytest.mark.parametrize("name", MAGIC_VERBS)
def test_a_magic_reads_what_advice_spells(name):
    for option in MAGIC_VERBS[name].options:
        given = option.value if option.kind == "flag" else typed(option)
        line = spelled(option.keyword, given, str)
        rest, keywords = split_options(f"{line} key-1", MAGIC_VERBS[name].options)
        assert (rest, [*keywords]) == ("key-1", [option.keyword])


# -- apart from each other -------------------------------------------------------------


@pytest.mark.parametrize(
    ("front", "foreign"),
    [
        ("dbgkit.frontends.verbs", {"dask", "distributed", "IPython", "click"}),
        ("dbgkit.frontends.cli", {"dask", "distributed", "IPython", "rich"}),
    ],
)
def test_a_front_end_imports_what_it_needs(front, foreign):
    code = f"import sys, {front}; print({foreign} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=True,
    )
    assert done.stdout == "set()\n"
