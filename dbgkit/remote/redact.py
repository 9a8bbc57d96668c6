"""What looks like a secret is hidden: by its name, or by its shape.

Stands by itself, so that it can be sent to a worker as source. Hashes, and so the
keys of Dask tasks, are no secrets: only shapes that nothing else has are hidden.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote_from_bytes

HIDDEN = "<hidden>"

# Words that make a name secret, wherever they stand in it.
_SECRET = (
    "auth authorization bearer cookie cookies cred creds credential credentials dsn "
    "jwt passcode passkey passphrase passwd password passwords pgpass pswd pwd secret "
    "secrets token apikey apikeys connstr connstring connectionstring sessionkey"
)
# What makes a key a secret one: ``api_key``, ``privateKey``.
_KEYS = (
    "access account api auth client crypt crypto decryption encryption hmac license "
    "master private secret session shared signing ssh"
)
_CONNECTIONS = "conn connect connection"
# Whose password a ``pass`` or ``pw`` is: ``db_pass``; alone it is rather a passage.
_HOLDERS = "admin database db ftp ldap login mail mysql pg redis root smtp ssh user"
# About a secret, but none: ``token_count``, ``max_password_length``.
_ABOUT = "count counts expiry ids index len length limit size type types"

_WORDS = frozenset(_SECRET.split())
_MEASURES = frozenset(_ABOUT.split())
# The first word makes the second one secret.
_PAIRS = {
    "key": frozenset(_KEYS.split()),
    "string": frozenset(_CONNECTIONS.split()),
    "str": frozenset(_CONNECTIONS.split()),
    "token": frozenset(("access", "api", "auth", "bearer", "refresh", "session")),
    "code": frozenset(("auth", "authorization", "pass")),
    "signature": frozenset(("access",)),
    "pa": frozenset(
        _HOLDERS.split()
    ),  # ``pass``, as looked up: without an s at its end
    "pw": frozenset(_HOLDERS.split()),
}
# One lower-case word that ends in these: ``pgpassword``, ``authtoken``.
_ENDINGS = ("password", "passwd", "secret", "token", "apikey", "accesskey")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# A PEM block; one that was cut has no end.
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:.*?-----END [A-Z0-9 ]{1,40}-----|.*)",
    re.DOTALL,
)
# With what each has in it, in lower case, as looking for that is much quicker.
_SHAPES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("-----begin", _PEM, HIDDEN),
    # JSON Web Tokens: base64 of '{"' begins with eyJ.
    ("eyj", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), HIDDEN),
    # AWS access keys.
    (
        "a3t abia acca akia asia",
        re.compile(r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}\b"),
        HIDDEN,
    ),
    # Tokens of GitHub, GitLab, Slack, Google, Stripe, Hugging Face, npm, PyPI and
    # SendGrid, and API keys that begin with "sk-" (followed by a bare hash it is
    # rather a key of Dask).
    (
        "gho_ ghp_ ghs_ ghr_ ghu_ github_pat_ glpat- xox aiza gocspx- ya29. sk_ rk_ "
        "whsec_ hf_ npm_ pypi- sg. sk-",
        re.compile(
            r"\b(?:gh[opsru]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
            r"|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{35}|GOCSPX-[\w-]{20,}"
            r"|ya29\.[\w-]{20,}|(?:sk|rk)_(?:live|test)_\w{16,}|whsec_\w{16,}"
            r"|hf_[A-Za-z]{30,}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{20,}"
            r"|SG\.[\w-]{16,}\.[\w-]{16,}|sk-(?![0-9a-f]{32}\b)[\w-]{20,})"
        ),
        HIDDEN,
    ),
    # scheme://user:password@host
    (
        "://",
        re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@'\"]*:)[^\s/'\"]+(?=@)"),
        rf"\g<1>{HIDDEN}",
    ),
    # Signed links.
    (
        "sig= signature=",
        re.compile(r"([?&](?:sig|X-Amz-Signature)=)[^\s&'\"]+", re.I),
        rf"\g<1>{HIDDEN}",
    ),
    # The header, with whatever scheme, and a scheme without its header.
    (
        "authorization",
        re.compile(
            r"(\bauthorization['\"]?\s*[:=]\s*(?:b(?=['\"]))?['\"]?)"
            r"(?!<hidden>)(?:[A-Za-z]+[ ]+)?[^\s'\",}]+",
            re.I,
        ),
        rf"\g<1>{HIDDEN}",
    ),
    ("bearer", re.compile(r"\b(bearer\s+)[\w.~+/=-]{6,}", re.I), rf"\g<1>{HIDDEN}"),
)
# ``name=value``, ``"name": "value"``, ``name: value``; JSON within JSON has its quotes
# behind backslashes.
_ASSIGNED = re.compile(
    r"""(?<![\w-])-{0,2}(?P<name>[A-Za-z_][\w-]{1,100})
        (?P<close>\\{0,4}['"])?[ \t]{0,20}(?P<sign>[=!]=|[:=])[ \t]{0,20}
        (?P<value>b?(?P<mark>\\{0,4}['"]).*?(?:(?P=mark)|$)
          |[^\s,;&'"(){}\[\]<>]+(?![\w.]*[(\[])
          |[\[({](?:[^][(){}]|[\[({][^][(){}]*[\])}])*[\])}]?)""",
    re.VERBOSE,
)
# ``("name", "value")``, also at the end of a call or tuple, ``--name value`` of a
# command line, and ``<name>value</name>``.
_PAIRED = re.compile(
    r"""(?:(?P<pair>[(\[])|,[ ])b?(?P<close>['"])(?P<name>[\w.-]{1,60})(?P=close)
        (?P<sign>,)[ ]
        (?P<value>b?(?P<mark>['"])(?:(?!(?P=mark))[^\\]|\\.)*(?P=mark)
          |[^\s,;'"(){}\[\]<>]+)(?=,?(?:\)|(?(pair)\]|(?!))))""",
    re.VERBOSE,
)
_FLAG = re.compile(
    r"""(?<![\w-])--?(?P<name>[A-Za-z][\w-]{1,60})(?P<close>)(?P<sign>[ ])[ ]*
        (?P<value>(?P<mark>['"]).*?(?P=mark)|[^\s,;'"(){}\[\]<>-][^\s,;'"(){}<>]*)""",
    re.VERBOSE,
)
_TAGGED = re.compile(
    r"<(?P<name>[A-Za-z_][\w.-]{0,60})(?P<close>)(?P<sign>>)"
    r"(?P<value>(?P<mark>(?!))?[^<>]+)(?=</)"
)
_NAMED = (("=:", _ASSIGNED), (",", _PAIRED), ("-", _FLAG), ("<", _TAGGED))
# Source: what is said to be, or compared with, the value of a name. ``name = ``,
# ``name: str = ``, ``x["name"] = ``, ``"name": ``
_GIVEN = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]{1,100})
        (?:['"]\s{0,20}(?:\]\s{0,20}[=!:+|]?=|:)
          |\s{0,20}(?::[ ]{0,20}[^=:;#\n]{1,80}(?<![=!<>:]))?[=!:+|]?=)""",
    re.VERBOSE,
)
_TOKEN = re.compile(
    r"""(?P<mark>\"{3}|'{3}|["'])|(?P<opening>[\[({])|(?P<closing>[\])}])
        |(?P<end>[,;\n])|\\\n|\#[^\n]*""",
    re.VERBOSE,
)
_LITERAL_ENDS = {
    mark: re.compile(rf"(?s:(?:[^\\]|\\.)*?){mark}")
    if len(mark) == 3
    else re.compile(rf"(?:[^\\\n{mark}]|\\[\s\S])*(?:{mark}|$|(?=\n))")
    for mark in ('"', "'", '"' * 3, "'" * 3)
}
# What a value is looked up by is no value: ``os.environ["DB_PASSWORD"]``.
_LOOKED_UP = re.compile(r"(?:[\w\])]\[|(?:get|getenv|pop|env)\()\s*$")
_NAME = re.compile(r"-{0,2}[A-Za-z_][\w.-]{0,60}")


def is_secret_name(name: str, extra: Iterable[str] = ()) -> bool:
    """Whether what has this name should be hidden.

    Parameters
    ----------
    name : str
        Of a variable, an attribute, a mapping's key, an environment variable or a
        setting (``a.b.c``).
    extra : iterable of str
        Further names to hide, in any case, as a whole or as a word of the name.

    Returns
    -------
    bool

    Examples
    --------
    >>> [is_secret_name(n) for n in ("dbPassword", "API_KEY", "tokenize", "keys")]
    [True, True, False, False]
    """
    name = name[:200]
    lowered = name.lower()
    words = [word.lower() for word in _WORD.findall(name)]
    more = {word.lower() for word in extra}
    if lowered in more or not more.isdisjoint(words):
        return True
    # The shell's working directory, and no password.
    if name in ("PWD", "OLDPWD"):
        return False
    if words and words[-1] in _MEASURES:
        return False
    if any(word in _WORDS or word.endswith(_ENDINGS) for word in words):
        return True
    return any(
        first in _PAIRS.get(second.rstrip("s"), ())
        for first, second in itertools.pairwise(words)
    )


def is_secret_key(key: Any, extra: Iterable[str] = ()) -> bool:
    """`is_secret_name`, for a mapping's key of any type: text, bytes, tuples of these.

    No method of the key's own class is called.
    """
    kind = type(key)
    if issubclass(kind, str):
        return is_secret_name(str.__getitem__(key, slice(0, 200)), extra)
    if issubclass(kind, bytes):
        begin = bytes.__getitem__(key, slice(0, 200))
        return is_secret_name(begin.decode("latin-1"), extra)
    if kind is tuple:
        for part in key[:8]:
            inner = part[:8] if type(part) is tuple else (part,)
            if any(type(p) is not tuple and is_secret_key(p, extra) for p in inner):
                return True
    return False


def announces_secret(item: Any, count: int, extra: Iterable[str] = ()) -> bool:
    """Whether what follows an item in a sequence of so many is to be hidden.

    So in ``("password", "x")`` and in ``["run", "--password", "x"]``.
    """
    if type(item) is not str or len(item) > 64 or not _NAME.fullmatch(item):
        return False
    return (count == 2 or item[0] == "-") and is_secret_name(item, extra)


def names_secret(pairs: Iterable[tuple[Any, Any]], extra: Iterable[str] = ()) -> bool:
    """Whether a mapping has a secret's name as a value.

    So ``{"name": "password", "value": "x"}``, whose "x" `is_value_of` tells.
    """
    return any(
        type(name) is str
        and name.lower().strip("_") in _NAMING
        and announces_secret(item, 2, extra)
        for name, item in itertools.islice(pairs, 20)
    )


def is_value_of(name: Any) -> bool:
    """Whether what has this name is the value of what else a mapping names."""
    return type(name) is str and name.lower().strip("_") in _VALUES


_NAMING_ITEMS = "field id key name option parameter setting var variable"
_NAMING = frozenset(_NAMING_ITEMS.split())
_VALUE_ITEMS = "content data default string text val value"
_VALUES = frozenset(_VALUE_ITEMS.split())


def environment_secrets(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """What this process' environment holds under secret names, the longest first.

    Also as it stands within a quoted text, a link, or bytes. Short values and usual
    words are none.
    """
    extra = tuple(extra)
    found = set()
    for name in list(os.environ):
        value = os.environ.get(name, "")
        if len(value) < 6 or value.lower() in _USUAL or not is_secret_name(name, extra):
            continue
        data = os.fsencode(value)
        found |= {value, repr(value)[1:-1], json.dumps(value)[1:-1]}
        found |= {data.decode("latin-1"), repr(data)[2:-1]}
        found |= {quote_from_bytes(data, safe=""), quote_from_bytes(data)}
        found |= {quote_from_bytes(data, safe=" ").replace(" ", "+")}
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


# Settings that stand under such names, and are none: ``AUTH_MODE=password``.
_USUAL_VALUES = (
    "anonymous default disabled enabled kerberos oauth2 optional password required "
    "secret string"
)
_USUAL = frozenset(_USUAL_VALUES.split())


def redact_text(
    text: str,
    *,
    bare: bool = True,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
) -> str:
    """The text with what looks like a secret replaced by ``<hidden>``.

    Parameters
    ----------
    text : str
    bare : bool
        Whether ``password=hunter2`` is hidden too, as in logs and connection
        strings; source code has names there, so only quoted values are hidden in
        it (``bare=False``).
    extra : iterable of str
        As in `is_secret_name`.
    values : iterable of str
        Texts to hide wherever they stand, as `environment_secrets` has them.

    Returns
    -------
    str

    Examples
    --------
    >>> redact_text("postgresql://ann:s3cret@db/sales")
    'postgresql://ann:<hidden>@db/sales'
    >>> redact_text("ratio-9f86d081884c7d65")
    'ratio-9f86d081884c7d65'
    """
    for value in values:
        text = _hide(text, value)
    lowered = text.lower()
    for needles, pattern, replacement in _SHAPES:
        if any(needle in lowered for needle in needles.split()):
            text = pattern.sub(replacement, text)
    names = tuple(extra)
    if not bare:
        text = _hide_given(text, names)
    for signs, pattern in _NAMED:
        if any(sign in text for sign in signs):
            text = _hide_named(text, pattern, bare, names)
    return text


def redact_cut(
    text: str,
    limit: int,
    *,
    bare: bool = True,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
) -> tuple[str, bool]:
    """The beginning of a text with secrets hidden, and whether there was more.

    Cut after it was redacted, so that half of a secret does not pass for none.
    """
    begin = text[: limit + MARGIN]
    told = redact_text(begin, bare=bare, extra=extra, values=values)
    if len(begin) < len(text):
        # What is before the last hidden one was not cut.
        hidden = told.rfind(HIDDEN)
        safe = max(len(told) - _SLIVER, hidden + len(HIDDEN) if hidden >= 0 else 0)
        return told[: min(limit, safe)], True
    return told[:limit], len(told) > limit


# A secret that is cut can no longer be told by its shape: so redact first a text that
# is this much longer than what is kept.
MARGIN = 2_000
_SLIVER = 300  # and never keep its end: what was hidden made it shorter
_BEGIN = 40


def redact_lines(
    lines: list[str],
    *,
    extra: Iterable[str] = (),
    values: Iterable[str] = (),
    skip: int = 0,
) -> list[str]:
    """Lines of source with secrets hidden, as many as there were.

    Also what goes over several lines, such as a private key or a call. With
    ``skip``, the first lines are only looked at for its beginning, and not given back.
    """
    text = _PEM.sub(
        lambda found: "\n".join([HIDDEN] * (found[0].count("\n") + 1)), "\n".join(lines)
    )
    text = _hide_given(text, tuple(extra))
    return [
        redact_text(line, bare=False, extra=extra, values=values)
        for line in text.split("\n")[skip:]
    ]


def _hide_given(text: str, extra: tuple[str, ...]) -> str:
    """Source with the literals hidden that a secret name has for its value.

    As many lines as there were.
    """
    pieces, done, read = [], 0, 0
    for found in _GIVEN.finditer(text):
        if found.start() < read or not is_secret_name(found["name"], extra):
            continue
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        # ``user, password = "ann", "x"``: what stands beside it is hidden too.
        several = "," in line and not any(sign in line for sign in "([{")
        literals, read = _literals(text, found.end(), several)
        for begin, end, mark in literals:
            hidden = f"{mark[0]}{HIDDEN}{mark[0]}"
            pieces += [text[done:begin], hidden, "\n" * text.count("\n", begin, end)]
            done = end
    return "".join([*pieces, text[done:]])


def _literals(
    text: str, position: int, several: bool
) -> tuple[list[tuple[int, int, str]], int]:
    """``(begin, end, mark)`` of the texts in an expression, and where it ends."""
    found, depth, start = [], 0, position
    while token := _TOKEN.search(text, position):
        position = token.end()
        if mark := token["mark"]:
            end = _LITERAL_ENDS[mark].match(text, position)
            position = len(text) if end is None else end.end()
            length = position - token.start() - 2 * len(mark)
            before = text[max(0, token.start() - 40) : token.start()]
            if length > 1 and not _LOOKED_UP.search(before):
                found.append((token.start(), position, mark))
        elif token["opening"]:
            depth += 1
        elif token["closing"]:
            depth -= 1
        elif not text[start : token.start()].strip():
            continue  # it begins on the next line
        if depth < 0 or (
            not depth and token["end"] and not (several and token["end"] == ",")
        ):
            break
    else:
        position = len(text)
    return found, position


def _hide(text: str, value: str) -> str:
    """The text without a value, or as much of it as stands there."""
    begin = value[:_BEGIN]
    start = text.find(begin)
    while start >= 0:
        # The text may have been cut within it.
        end = start + len(begin)
        while value[end - start : end - start + 1] == text[end : end + 1] != "":
            end += 1
        text = f"{text[:start]}{HIDDEN}{text[end:]}"
        start = text.find(begin, start + len(HIDDEN))
    return text


def _hide_named(
    text: str, pattern: re.Pattern[str], bare: bool, extra: tuple[str, ...]
) -> str:
    pieces, done = [], 0
    position = 0
    while found := pattern.search(text, position):
        if _is_given_away(found, bare, extra):
            mark = found["mark"] or ""
            pieces += [text[done : found.start("value")], mark, HIDDEN, mark]
            position = done = found.end("value")
        else:  # the value may be a name itself: ``https://host/?token=value``
            position = found.start("value")
    return "".join([*pieces, text[done:]])


def _is_given_away(found: re.Match[str], bare: bool, extra: tuple[str, ...]) -> bool:
    """Whether an assignment in a text gives a secret away."""
    value = found["value"]
    if not (bare or found["mark"]) or value in ("None", "True", "False"):
        return False
    if not bare and found["sign"] in ("==", "!="):
        return False  # `_hide_given` has looked at it
    # "unexpected token: x" is what parsers say.
    said = found["sign"] == ":" and not found["close"]
    if said and found["name"].lower() == "token":
        return False
    return is_secret_name(found["name"], extra)


def redact_value(name: str, text: str, extra: Iterable[str] = ()) -> str:
    """The text of a named value, hidden by its name or by its shape."""
    return HIDDEN if is_secret_name(name, extra) else redact_text(text, extra=extra)


def redact_mapping(mapping: Mapping[str, Any], extra: Iterable[str] = ()) -> Any:
    """A copy of data of builtin types with secrets hidden, nested keys too."""
    return _redact(mapping, tuple(extra))


def _redact(value: Any, extra: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return redact_text(value, extra=extra)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN
            if not (item is None or isinstance(item, bool))
            and is_secret_key(key, extra)
            else _redact(item, extra)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_redact(item, extra) for item in value)
    return value
