"""Secrets do not leave the worker: by name, by shape, in every place of a recording."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import os
import re
from urllib.parse import quote, quote_plus

import numpy as np
import pandas as pd
import pytest
from conftest import own_cluster
from distributed import wait

import dbgkit
from dbgkit.remote.recording.take import Limits, kind_of, take
from dbgkit.remote.secrets.redact import HIDDEN, environment_secrets, redact_text
from dbgkit.remote.values.keep import NOT_KEPT, keep

MARK = "zq-secret-"
PATIENT = Limits(seconds=10)


def secret(place):
    """A text that is a secret by its place alone, and that no source line contains."""
    return MARK + place


@dataclasses.dataclass
class Account:
    name: str
    access_token: str


class Slotted:
    __slots__ = ("api_key", "user")

    def __init__(self):
        self.user, self.api_key = "ann", secret("slot")


class Setting(enum.Enum):
    DB = "db_password"
    OTHER = "other"


Named = collections.namedtuple("Named", "key value")
Login = collections.namedtuple("Login", "user password")
FOUND = {
    "aws": "AKIAIOSFODNN7" + "EXAMPLE",
    "github": "ghp_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "stripe": "sk_live_" + "abcdefghijklmnop",
    "token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0.abc_def",
}


def set_environment():
    os.environ["DB_PASSWORD"] = secret("of-the-environment")
    os.environ["CLIENT_SECRET"] = secret("long-") + "x'\"\n" * 1_000


def leak_in_locals():
    password = secret("local")
    nested = {"db": {"password": secret("nested"), "port": 1}}
    by_bytes = {b"api_key": secret("bytes").encode()}
    by_tuple = {("db", "token"): secret("tuple")}
    pair = ("password", secret("pair"))
    pairs = [["Authorization", secret("pairs")], ["Accept", "*"]]
    arguments = ["run", "--token", secret("argument"), "--verbose"]
    command = f"run --password {secret('flag')} --verbose"
    url = f"postgresql://ann:{secret('url')}@db/sales"
    header = f"Authorization: Bearer {secret('header')}"
    text = json.dumps({"client_secret": secret("json")})
    twice = json.dumps({"body": text})
    account = Account("ann", secret("attribute"))
    slotted, login = Slotted(), Login("ann", secret("field"))
    error = ValueError("password", secret("exception"))
    shapes = dict(FOUND)
    listed = [FOUND["aws"].encode(), FOUND["github"]]
    salted = {"salt_value": secret("custom")}
    salt_value = secret("custom-local")
    by_member = {Setting.DB: secret("member"), Setting.OTHER: 1}
    setting = {"name": "db_password", "value": secret("value")}
    named = Named("_password", secret("named-value"))
    three = ("db", "password", secret("three"))
    deep = {("a", ("b", "password")): secret("deep")}
    equals = ["run", f"--password={secret('equals')}"]
    port = 5432
    raise ValueError("no login")
    return (by_member, setting, named, three, deep, equals), (
        (password, nested, by_bytes, by_tuple, pair, pairs, arguments, command, url),
        (header, text, twice, account, slotted, login, error, shapes, listed, salted),
        (salt_value, port),
    )


def leak_in_data():
    frame = pd.DataFrame({"n": [1], "password": [secret("column")]})
    numbers = pd.DataFrame({"n": [1], "pin_code": [1], "api_key": [770077]})
    series = pd.Series([secret("series")], name="password")
    indexed = pd.DataFrame({"n": [1]}, index=pd.Index([secret("index")], name="token"))
    labels = pd.MultiIndex.from_tuples([(1, secret("level"))], names=["n", "token"])
    levels = pd.DataFrame({"n": [1]}, index=labels)
    columns = pd.DataFrame([[secret("label")]], columns=[("db", "password")])
    structure = [("n", "i4"), ("token", "U60")]
    fields = np.array([(1, secret("structured"))], dtype=structure)
    letters = np.frombuffer(FOUND["aws"].encode(), dtype="u1").copy()
    texts = np.array([FOUND["github"]])
    row = pd.DataFrame({"user": ["ann"], "password": [secret("row")]}).iloc[0]
    by_label = pd.DataFrame({"value": [secret("by-label")]}, index=["password"])
    by_cell = pd.DataFrame({"key": ["password"], "value": [secret("by-cell")]})
    raise ValueError("no data")
    return (
        (row, by_label, by_cell),
        frame,
        numbers,
        series,
        indexed,
        levels,
        columns,
        fields,
        letters,
        texts,
    )


def leak_of_environment():
    environment = dict(os.environ)
    itself = os.environ
    hidden_in = f"connecting with {os.environ['DB_PASSWORD']} as ann"
    in_bytes = [os.environb[b"DB_PASSWORD"]]
    long_one = os.environ["CLIENT_SECRET"]
    begun = {"text": long_one}
    raise ValueError(f"{os.environ['DB_PASSWORD']} was refused")
    return environment, itself, hidden_in, in_bytes, long_one, begun


def leak_in_message():
    try:
        raise KeyError(f"token={secret('cause')}")
    except KeyError as error:
        raise RuntimeError(f"password={secret('message')}") from error


def leak_after_much():
    raise ValueError("x" * 1_990 + " " + FOUND["github"])


def leak_in_source():
    key = """-----BEGIN RSA PRIVATE KEY-----
in-the-source-too
-----END RSA PRIVATE KEY-----"""
    password = "in-the-source"
    raise ValueError(len(password) + len(key))


LEAKS = (
    leak_in_locals,
    leak_in_data,
    leak_of_environment,
    leak_in_message,
    leak_after_much,
    leak_in_source,
)


@pytest.fixture(scope="module")
def recorded():
    """Function's name -> what was recorded of it."""
    with own_cluster(n_workers=1, threads_per_worker=1) as client:
        client.run(set_environment)
        # What is beyond the time of one recording would be left out, and is no matter
        # of secrets.
        with dbgkit.record(client=client, secret_names=["salt_value"], time="10 s"):
            futures = [client.submit(leak, key=leak.__name__) for leak in LEAKS]
            wait(futures)
            held = dbgkit.recordings(client=client)
            yield {each.key: each for each in held.recordings}


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_no_secret_is_anywhere_in_a_recording(recorded, leak):
    recording = recorded[leak.__name__]
    assert recording.gap == ""
    text = repr(dataclasses.asdict(recording)) + json.dumps(recording.to_json())
    assert re.findall(rf"{MARK}[\w-]+", text) == []
    assert [name for name, each in FOUND.items() if each in text] == []
    assert "770077" not in text
    assert "in-the-source" not in text


def test_what_is_hidden_is_shown_as_hidden(recorded):
    frame = recorded["leak_in_locals"].frames[-1]
    local = {name: value.text for name, value in frame.locals}
    assert local["password"] == "<hidden>"
    assert local["nested"] == "{'db': {'password': <hidden>, 'port': 1}}"
    assert local["by_bytes"] == "{b'api_key': <hidden>}"
    assert local["pair"] == "('password', <hidden>)"
    assert local["arguments"] == "['run', '--token', <hidden>, '--verbose']"
    assert local["command"] == "'run --password <hidden> --verbose'"
    assert local["account"].endswith("Account(name='ann', access_token=<hidden>)")
    assert local["salted"] == "{'salt_value': <hidden>}"
    assert local["salt_value"] == "<hidden>"
    assert local["by_member"] == "{Setting.DB: <hidden>, Setting.OTHER: 1}"
    assert local["setting"] == "{'name': 'db_password', 'value': <hidden>}"
    data = recorded["leak_in_data"].frames[-1]
    local = {name: value.text for name, value in data.locals}
    assert "'n' int64 (1 to 1), 'pin_code' int64 (<hidden>)" in local["numbers"]
    assert "'api_key' int64 (<hidden>)" in local["numbers"]
    assert local["fields"].endswith("[(1, <hidden>)]")
    assert ": ['ann', <hidden>]; index ['user', 'password']" in local["row"]


def test_messages_keep_what_is_no_secret(recorded):
    assert recorded["leak_of_environment"].message == "<hidden> was refused"
    recording = recorded["leak_in_message"]
    assert recording.message == "password=<hidden>"
    assert recording.causes[0].message == "'token=<hidden>'"


def test_source_has_its_lines_with_the_secrets_hidden(recorded):
    source = dict(recorded["leak_in_source"].frames[-1].source)
    lines = [line.strip() for line in source.values()]
    assert 'password = "<hidden>"' in lines
    assert lines[1:4] == ['key = """<hidden>', "<hidden>", '<hidden>"""']


def test_values_beside_a_secret_come_along_whole(recorded):
    (values,) = recorded["leak_in_locals"].values.values()
    assert values == {"port": 5432}


def test_the_kind_of_a_failure_has_no_secret():
    try:
        leak_in_message()
    except RuntimeError as error:
        assert MARK not in kind_of(error, PATIENT)
        assert MARK not in repr(take(error, PATIENT, short=True))


def test_environment_values_are_hidden_also_where_they_are_cut(monkeypatch):
    value = "v" * 30 + "-0123456789" * 10
    monkeypatch.setenv("SOME_TOKEN", value)
    values = environment_secrets()
    assert redact_text(f"a {value} b", values=values) == "a <hidden> b"
    assert redact_text(f"a {value[:60]}", values=values) == "a <hidden>"


def test_environment_values_are_hidden_as_they_stand_in_links_and_bytes(monkeypatch):
    value = "pä/ss w@rd&1"
    monkeypatch.setenv("SOME_TOKEN", value)
    forms = [
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        str(value.encode()),
    ]
    for form in (*forms, value.encode().decode("latin-1"), json.dumps(value)):
        told = redact_text(f"at {form} it", values=environment_secrets())
        assert told.strip("b'\"") in (f"at {HIDDEN} it", f"at b'{HIDDEN}' it") or (
            told == f'at "{HIDDEN}" it'
        )


def test_half_a_secret_after_a_long_one_is_none():
    long_one = "eyJ" + "a" * 1_000 + "." + "b" * 2_960
    try:
        raise ValueError(f"{long_one} and {FOUND['github']}")
    except ValueError as error:
        message = take(error, PATIENT, short=False)["message"]
    assert "ghp_" not in message
    assert message.startswith("<hidden>")


@pytest.mark.parametrize("value", ["short", "password", "disabled"])
def test_usual_words_of_an_environment_are_not_hidden(monkeypatch, value):
    monkeypatch.setenv("AUTH_MODE", value)
    assert value not in environment_secrets()


@pytest.mark.parametrize(
    "value",
    [
        {b"password": b"x"},
        {("db", "password"): 1},
        ("password", "x"),
        ["run", "--token", "x"],
        pd.DataFrame({("db", "password"): [1]}),
        pd.Series([1], index=pd.Index([2], name="token")),
        np.frombuffer(b"AKIAIOSFODNN7EXAMPLE", dtype="u1"),
    ],
    ids=str,
)
def test_what_has_a_secret_is_not_kept(value):
    assert keep(value, 10_000) is NOT_KEPT
