"""What looks like a secret is hidden: by its name, or by its shape.

Stands by itself, so that it can be sent to a worker as source. Hashes, and so the
keys of Dask tasks, are no secrets: only shapes that nothing else has are hidden.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "<hidden>"

# Words that make a name secret, wherever they stand in it.
_SECRET = (
    "auth authorization bearer cookie cookies cred creds credential credentials dsn "
    "passcode passphrase passwd password passwords pswd pwd secret secrets token "
    "apikey apikeys connstr connstring connectionstring sessionkey"
)
# What makes a key a secret one: ``api_key``, ``privateKey``.
_KEYS = (
    "access account api auth client crypt crypto decryption encryption hmac license "
    "master private secret session shared signing ssh"
)
_CONNECTIONS = "conn connect connection"
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
}
# One lower-case word that ends in these: ``pgpassword``, ``authtoken``.
_ENDINGS = ("password", "passwd", "secret", "token", "apikey", "accesskey")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # A PEM block; one that was cut has no end.
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:.*?-----END [A-Z0-9 ]{1,40}-----|.*)",
            re.DOTALL,
        ),
        HIDDEN,
    ),
    # JSON Web Tokens: base64 of '{"' begins with eyJ.
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), HIDDEN),
    # AWS access keys.
    (re.compile(r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),
    # Tokens of GitHub, GitLab, Slack, Google, and API keys that begin with "sk-"
    # (followed by a bare hash it is rather a key of Dask).
    (
        re.compile(
            r"\b(?:gh[opsru]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
            r"|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{35}"
            r"|sk-(?![0-9a-f]{32}\b)[\w-]{20,})"
        ),
        HIDDEN,
    ),
    # scheme://user:password@host
    (
        re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@'\"]*:)[^\s/'\"]+(?=@)"),
        rf"\g<1>{HIDDEN}",
    ),
    # Signed links.
    (re.compile(r"([?&](?:sig|X-Amz-Signature)=)[^\s&'\"]+", re.I), rf"\g<1>{HIDDEN}"),
    # The header, with whatever scheme, and a scheme without its header.
    (
        re.compile(
            r"(\bauthorization['\"]?\s*[:=]\s*(?:b(?=['\"]))?['\"]?)"
            r"(?!<hidden>)(?:[A-Za-z]+[ ]+)?[^\s'\",}]+",
            re.I,
        ),
        rf"\g<1>{HIDDEN}",
    ),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{6,}", re.I), rf"\g<1>{HIDDEN}"),
)
# ``name=value``, ``"name": "value"``, ``name: value``.
_ASSIGNED = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_][\w-]+)
        (?P<between>(?P<close>['"])?[ ]?(?P<sign>[:=])[ ]?)
        (?P<value>b?(?P<mark>['"]).*?(?:(?P=mark)|$)
          |[^\s,;&'"(){}\[\]<>]+(?![\w.]*[(\[]))""",
    re.VERBOSE,
)


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


def redact_text(text: str, *, bare: bool = True, extra: Iterable[str] = ()) -> str:
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
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    names = tuple(extra)
    pieces, done = [], 0
    position = 0
    while found := _ASSIGNED.search(text, position):
        if _is_given_away(found, bare, names):
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
            if isinstance(key, str)
            and not (item is None or isinstance(item, bool))
            and is_secret_name(key, extra)
            else _redact(item, extra)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_redact(item, extra) for item in value)
    return value
