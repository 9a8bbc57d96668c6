"""Secrets are hidden in whatever format they stand, and what is none stays visible."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import dbgkit
from dbgkit.diagnose.sentences import show
from dbgkit.errors import UnknownKey
from dbgkit.frontends.cli.looking import as_json
from dbgkit.model import Failure
from dbgkit.remote.secrets.names import is_secret_name
from dbgkit.remote.secrets.redact import HIDDEN, redact_lines, redact_text
from dbgkit.render import words
from dbgkit.targets.naming import name_of

SECRET = "zq-s3cret-71"
HEX = "9f86d081884c7d659a2feaa0c55ad015"
UUID = "123e4567-e89b-12d3-a456-426614174000"

HEADERS = {
    "basic": "\r\nAuthorization: Basic {}\r\nHost: x",
    "with a user": 'Authorization: Digest username="u", response="{}"',
    "token": "Authorization: Token {}",
    "no scheme": "Authorization: {}",
    "of a proxy": "Proxy-Authorization: Basic {}",
    "cookie": "\r\nCookie: theme=dark; sid={}; a=b\r\nHost: x",
    "set cookie": "Set-Cookie: sid={}; Path=/; HttpOnly",
    "second": "Authorization: Basic eDp5\r\nX-Api-Key: {}\r\nX: 1",
    "third": "Authorization: Basic eDp5\r\nCookie: a\r\nX-Auth-Token: {}",
    "in a command": "curl -H 'X-Api-Key: {}' https://x",
}
CONNECTIONS = {
    **{
        f"a link with {mark!r}": f"postgres://ann:a{mark}{{}}@db:5432/sales"
        for mark in "/#?@:',[]()&$=+!*;%|^~`"
    },
    "a quote in a quoted link": "x = 'postgres://u:a\"{}@h/d'",
    "no user": "redis://:{}@h:6379/0",
    "an address for user": "smtp://ann@corp.com:{}@h",
    "several hosts": "mongodb://u:{}@h1:27017,h2:27017/db",
    "several links": "http://a:b1@h,http://c:{}@i",
    "ODBC": "Driver=x;Server=h;UID=u;PWD={};Port=1",
    "ODBC in braces": "Driver=x;UID=u;PWD={{zq;{}}}}}x}};Port=1",
    "ADO": 'Data Source=h;User ID=u;Password="a;{}";X=1',
    "JDBC": "jdbc:mysql://h/db?user=u&password={}&x=1",
    "JDBC of SQL Server": "jdbc:sqlserver://h;user=u;password={};x=1",
    "libpq": "host=h dbname=d user=u password={} sslmode=on",
    "libpq, quoted": "host=h password='a b \\'{}' user=u",
    "Go": "root:{}@tcp(127.0.0.1:3306)/db",
    "Oracle": "sqlplus scott/{}@orcl",
    "Azure": "AccountName=a;AccountKey=abc{}==;EndpointSuffix=x",
}
NESTED = {
    "list": "{{'passwords': ['a', '{}']}}",
    "tuple": "password=('a', '{}')",
    "mapping": "{{'credentials': {{'user': 'u', 'x': {{'y': '{}'}}}}}}",
    "lines of JSON": '{{\n  "secret": {{\n    "a": [\n      "{}"\n    ]\n  }}\n}}',
    "pair": "('password', '{}')",
    "pairs": "[('user', 'u'), ('api_key', '{}')]",
    "bytes": "[(b'authorization', b'Basic {}')]",
    "name and value": '{{"name": "DB_PASSWORD", "value": "{}"}}',
    "arguments": "['run', '--token', '{}']",
}
FORMATS = {
    "YAML block": "a: 1\npassword: |\n  x\n  {}\nb: 2",
    "YAML folded": "password: >-\n  {}\n  y",
    "YAML list": "passwords:\n  - a\n  - {}\nb: 1",
    "YAML list at the margin": "passwords:\n- a\n- {}\nb: 1",
    "YAML mapping": "credentials:\n  user: u\n  thing: {}\nb: 1",
    "YAML with spaces": "password: correct horse {} staple",
    "YAML tag": "password: !!str {}",
    "YAML anchor": "password: &pw {}",
    "YAML flow": "password: [a, {}]",
    "YAML of a container": "env:\n- name: DB_PASSWORD\n  value: {}",
    "manifest": "apiVersion: v1\nkind: Secret\ndata:\n  extra: {}\ntype: x",
    "TOML": '[db]\npassword = "{}"',
    "TOML literal": "password = '{}'",
    "TOML lines": 'password = """\nab\n{}"""',
    "TOML dotted": 'db.password = "{}"',
    "TOML table": 'db = {{ user = "u", password = "{}" }}',
    "TOML array": 'passwords = [\n "a",\n "{}"\n]',
    "INI": "password = a b {}",
    "environment": 'export DB_PASSWORD="{}"',
    "XML": "<password>{}</password>",
    "CDATA": "<password><![CDATA[a<b {}]]></password>",
    "XML attribute": '<db password="{}"/>',
    "XML namespace": '<ns:password type="t">{}</ns:password>',
    "XML lines": "<password>\n  {}\n</password>",
    "XML nested": "<credentials><user>u</user><x>{}</x></credentials>",
    "XML setting": '<add key="Password" value="{}"/>',
    "XML entry": '<entry name="password">{}</entry>',
    "HTML": '<input type="password" name="password" value="{}">',
    "multipart": "--b\r\nContent-Disposition: form-data; "
    'name="password"\r\nContent-Type: text/plain\r\n\r\n{}\r\n--b--',
    "form": "user=u&password={}&x=1",
    "link": "https://h/x?a=1&token={}&b=2",
    "netrc": "machine h\nlogin u\npassword {}\n",
    "netrc in a line": "machine h login u account a password {}",
    "entities": "&quot;password&quot;: &quot;{}&quot;",
    "percent": "password%3D{}",
    "escaped JSON": "\\u0022password\\u0022:\\u0022{}\\u0022",
    "log": "2026-01-01 INFO password={} user=ann",
    "columns": "user        ann\npassword    {}",
    "sentence": "the password is {}, they said",
    "SQL": "CREATE USER u WITH PASSWORD '{}'",
    "SQL of MySQL": "CREATE USER u IDENTIFIED BY '{}'",
}
COMMANDS = {
    "curl": "curl -u user:{} https://x",
    "curl, quoted": "curl -X POST -u 'user:a b {}' https://x",
    "curl, long": "curl --user=user:{} https://x",
    "curl, joined": "curl -su user:{} https://x",
    "option": "run --password {} -v",
    "option, quoted": "run --password 'a b {}' -v",
    "sshpass": "sshpass -p {} ssh h",
    "mysql": "mysql -u root -p{} db",
    "redis": "redis-cli -h h -a {}",
    "docker": "docker login -u u -p {} r",
    "keytool": "keytool -storepass {} -x",
    "openssl": "openssl rsa -passin pass:{}",
    "PowerShell": 'ConvertTo-SecureString "{}" -AsPlainText',
    "Go": "Password := `{}`",
    "PHP": "'password' => '{}',",
    "Ruby": ':password => "{}"',
    "TypeScript": "password: string = '{}'",
    "call": 'obj.setPassword("{}")',
    "class": "SecretStr('{}')",
}
ALL = {
    f"{kind}: {name}": text
    for kind, texts in (
        ("header", HEADERS),
        ("connection", CONNECTIONS),
        ("nested", NESTED),
        ("format", FORMATS),
        ("command", COMMANDS),
    )
    for name, text in texts.items()
}


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_a_secret_is_hidden_in_each_format(text):
    told = redact_text(text.format(SECRET))
    assert SECRET not in told
    assert HIDDEN in told
    assert redact_text(told) == told


@pytest.mark.parametrize("text", ALL.values(), ids=ALL)
def test_a_secret_is_hidden_in_a_text_within_a_text(text):
    for written in (repr(text.format(SECRET)), json.dumps({"a": text.format(SECRET)})):
        assert SECRET not in redact_text(written)


@pytest.mark.parametrize("times", [1, 2, 3, 4])
@pytest.mark.parametrize("before", ["", 'a"b\\'])
def test_a_secret_is_hidden_in_json_within_json(times, before):
    text = json.dumps({"password": before + SECRET, "n": 1})
    for _ in range(times - 1):
        text = json.dumps({"body": text})
    assert SECRET not in redact_text(text)
    assert SECRET not in redact_text(repr(text))


NAMES = (
    "pw passwort contraseña otp_seed pin_code session_id fernet_key kennwort senha "
    "motDePasse db_pw user_pin otp mfa_code seed_phrase recovery_codes PGPASS "
    "ENCRYPTION_KEY hmacKey account_key sharedAccessKey vault_token csrf_token "
    "personalAccessToken cookie_jar client.secret X-Auth-Token пароль 密码"
)


@pytest.mark.parametrize("name", NAMES.split())
def test_what_has_a_secret_name_is_hidden(name):
    assert is_secret_name(name)
    for text in (f"{name}={SECRET}", f"{name}: {SECRET}", f"{{'{name}': '{SECRET}'}}"):
        assert SECRET not in redact_text(text), text


@pytest.mark.parametrize("name", ["token", "api_key", "session_id", "auth", "secret"])
@pytest.mark.parametrize("value", [HEX, UUID, UUID.upper(), HEX * 2])
def test_hashes_and_uuids_are_hidden_under_secret_names(name, value):
    assert redact_text(f"{name}={value}") == f"{name}={HIDDEN}"
    assert redact_text(f'{{"{name}": "{value}"}}') == f'{{"{name}": "{HIDDEN}"}}'


@pytest.mark.parametrize(
    "line",
    [
        "n = 1  # password: {}",
        "# connects with postgres://u:{}@h",
        "x = f(1)  # the token is {}",
        'x = "Authorization: Basic {}"',
        'x = "host=h password={} port=1"',
        '"""Logs in with password={} only."""',
        "passwords = ['{}', 'b']",
    ],
)
def test_secrets_in_comments_and_texts_of_source_are_hidden(line):
    told = redact_lines([line.format(SECRET), "n = 1"])
    assert SECRET not in told[0]
    assert HIDDEN in told[0]
    assert told[1] == "n = 1"


VISIBLE = (
    "token=5",
    "token: hello",
    "eos_token='</s>', next_token='the', pad_token_id=0",
    "{'token': 'the', 'n_tokens': 3, 'max_tokens': 100}",
    "{'token_embeddings': 'float32[10, 5]', 'auth_rows': 30}",
    "token: 'running', pos: 'VERB'",
    "   token  count\n0    the      3\n1  house      1",
    "password    object\ndtype: object",
    "cookie_policy='strict'",
    "password: field required",
    "password must be at least 8 characters",
    "the password is required",
    "1 validation error for S\npassword\n  field required (type=value_error.missing)",
    "sk-learn-contrib-hdbscan-0.8.33",
    "api_key=xxxx",
    "password=${DB_PASSWORD}",
    "api_key: <your key>",
    "password={password}",
    "token=None, secret=null",
    f"key='sum-{HEX}'",
    "sort_key=3, primary_key='id', key='a', keys=['b']",
    'etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "commit 9f86d081884c7d659a2feaa0c55ad0153e9b3b6a",
    f"s3://bucket/key/part-0001.parquet of run_id={UUID}",
    "Unexpected token: }",
    "KeyError: 'token'",
    "Index(['token', 'count'], dtype='object')",
    "columns = ['user', 'password', 'email']",
    "password = getpass('Password: ')",
    "password=password, token=self.token, api_key=os.environ['API_KEY']",
    "http://h:80/a@b and https://host/path?email=a@b.c",
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "auth=None, session=<Session 3>",
    "PWD=/home/ann",
    "curl -u ${USER}:${PASSWORD} https://x",
)


@pytest.mark.parametrize("text", VISIBLE)
def test_what_looks_like_a_secret_and_is_none_is_shown(text):
    assert redact_text(text) == text


def test_keys_and_names_of_tasks_are_shown_with_their_secrets_hidden():
    link = "load-postgres://ann:" + SECRET + "@db/sales"
    named = f"read-password={SECRET}"
    for key in (link, (link, 3), named, ("read", f"token={SECRET}")):
        told = (
            words.key_text(key),
            name_of(key),
            show(key, 200),
            repr(Failure(key=key, name="", exception_type="E", message="")),
            str(UnknownKey(f"the scheduler knows no key {key!r}", f"ask for {key!r}")),
            as_json({"key": key if isinstance(key, str) else list(key)}),
        )
        assert [text for text in told if SECRET in text] == []
        assert all(HIDDEN in text for text in told[:1] + told[2:])


def test_keys_of_dask_are_shown_as_they_are():
    for key in (f"sum-{HEX}", (f"read-csv-{HEX}", 3), f"token-{UUID}", f"sk-{HEX}"):
        assert words.key_text(key) == (key if isinstance(key, str) else repr(key))


@pytest.mark.parametrize("path", sorted(Path(dbgkit.__file__).parent.rglob("*.py")))
def test_no_advice_of_our_own_looks_like_a_password(path):
    """``pass --client`` would be shown as ``pass <hidden>``."""
    advised = re.compile(r"\bpass (?:--|\{advice)")
    assert not advised.search(path.read_text("utf-8")), path
