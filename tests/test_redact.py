"""What looks like a secret is hidden, and a key of Dask does not."""

from __future__ import annotations

from time import perf_counter

import pytest

from dbgkit.remote.secrets.names import is_secret_name
from dbgkit.remote.secrets.redact import (
    HIDDEN,
    redact_lines,
    redact_text,
    redact_value,
)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "dbPassword",
        "DB_PASSWD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "client_secret",
        "HTTPSecret",
        "token",
        "accessToken",
        "api_tokens",
        "api_key",
        "APIKey",
        "OPENAI_API_KEY",
        "apikey",
        "privateKey",
        "AWS_ACCESS_KEY_ID",
        "authorization",
        "gcpCredentials",
        "connection_string",
        "connStr",
        "cookies",
        "session_key",
        "distributed.comm.tls.client.key",
    ],
)
def test_secret_names(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "keys",
        "tokenize",
        "tokenizer",
        "n_tokens",
        "max_token_count",
        "author",
        "secretary",
        "compass",
        "monkey",
        "sort_key",
        "PWD",
        "OLDPWD",
        "",
    ],
)
def test_names_that_are_no_secrets(name):
    assert not is_secret_name(name)


def test_names_can_be_added():
    assert not is_secret_name("salt_value")
    assert is_secret_name("salt_value", ["Salt"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def", HIDDEN),
        ("id AKIAIOSFODNN7EXAMPLE", f"id {HIDDEN}"),
        ("postgres://u:p@ss@h:5432/d", f"postgres://u:{HIDDEN}@h:5432/d"),
        ("Authorization: Basic dXNlcjpwdw==", f"Authorization: {HIDDEN}"),
        ("{'Authorization': 'Bearer abc123'}", f"{{'Authorization': '{HIDDEN}'}}"),
        ("curl -H 'Bearer abcdefg'", f"curl -H 'Bearer {HIDDEN}'"),
        ("Uid=a;Password=hunter2;Port=1", f"Uid=a;Password={HIDDEN};Port=1"),
        ("{'password': 'x y', 'a': 1}", f"{{'password': '{HIDDEN}', 'a': 1}}"),
        ("https://x/?token=abc&b=1", f"https://x/?token={HIDDEN}&b=1"),
        ("https://x/?sv=1&sig=abc%3D", f"https://x/?sv=1&sig={HIDDEN}"),
        ("password: hunter2", f"password: {HIDDEN}"),
        ("password   =  hunter2", f"password   =  {HIDDEN}"),
        ("token != 'abc'", f"token != '{HIDDEN}'"),
        ("'passwords': ['x', {'y': 1}], 'a'", f"'passwords': {HIDDEN}, 'a'"),
        ("run --password=hunter2 -v", f"run --password={HIDDEN} -v"),
        ("set(1, 'password', 'x y')", f"set(1, 'password', '{HIDDEN}')"),
        ("<password>a b</password>", f"<password>{HIDDEN}</password>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", HIDDEN),
    ],
)
def test_secret_shapes(text, expected):
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ratio-9f86d081884c7d65",
        "('sum-9f86d081884c7d659a2feaa0c55ad015', 0, 1)",
        "task-9f86d081884c7d659a2feaa0c55ad015",
        "sk-9f86d081884c7d659a2feaa0c55ad015",
        "tcp://127.0.0.1:8786",
        "http://h:80/a.png",
        "unexpected token: x",
        "password=None",
    ],
)
def test_texts_that_are_no_secrets(text):
    assert redact_text(text) == text


def test_source_keeps_its_names():
    assert redact_text("token = tokens[i]", bare=False) == "token = tokens[i]"
    assert redact_text("token = read()", bare=False) == "token = read()"
    assert redact_text('token = "abc"', bare=False) == f'token = "{HIDDEN}"'


SECRET = "pencil-12"


@pytest.mark.parametrize(
    "source",
    [
        'password: str = "{}"',
        'password: "str" = "{}"',
        'def f(password: Optional[str] = "{}", n=1):',
        'if password == "{}":',
        '(password := "{}")',
        'os.environ["DB_PASSWORD"] = "{}"',
        "c['db']['password'] = '{}'",
        'setattr(x, "password", "{}")',
        'password = f"{}"',
        'password  =  rb"{}"',
        'password = Secret("{}")',
        'password = """{}"""',
        'password = os.environ.get("DB_PASSWORD") or "{}"',
        'user, password = "ann", "{}"',
        'token = (\n    "{}"\n    "{}"\n)',
        'login(\n    password="{}",\n)',
        'token = \\\n    "{}"',
        'x = {{\n    "password":\n    "{}",\n}}',
        'password = """\n{}\n"""',
        'password = "it\'s \\"{}"',
    ],
)
def test_secrets_in_source(source):
    lines = source.format(SECRET, SECRET).split("\n")
    told = redact_lines(lines)
    assert len(told) == len(lines)
    assert SECRET not in "\n".join(told)
    assert HIDDEN in "\n".join(told)


@pytest.mark.parametrize(
    "source",
    [
        'password = os.environ["DB_PASSWORD"]',
        'token = settings.get("API_TOKEN")',
        'if token == "(":',
        'login(password=password, host="db", port=1)',
        'columns = ["user", "password", "email"]',
        'if token: return "none"',
        'raise ValueError("no token")',
        "password = read()  # don't ask",
    ],
)
def test_source_that_has_no_secret_is_as_it_was(source):
    assert redact_lines([source, 'n = "a"']) == [source, 'n = "a"']


def test_what_stands_beside_a_secret_in_source_is_shown():
    told = redact_lines(['login("db", password="x-y", user="ann")', 'n = "a"'])
    assert told == [f'login("db", password="{HIDDEN}", user="ann")', 'n = "a"']


def test_long_text_is_quick():
    began = perf_counter()
    redact_text("abc" * 30_000)
    redact_text("a=b " * 20_000)
    redact_text("('a', '" * 3_000)
    redact_text('password=("' * 3_000, bare=False)
    assert perf_counter() - began < 2


def test_value_by_its_name():
    assert redact_value("DB_PASSWORD", "hunter2") == HIDDEN
    assert redact_value("DATA_DIR", "/data") == "/data"
