"""What looks like a secret is hidden: by its name, or by its shape.

Stands by itself, so that it can be sent to a worker as source. Hashes, and so the
keys of Dask tasks, are no secrets: only shapes that nothing else has are hidden.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote_from_bytes

from .redact_names import is_secret_key, is_secret_name

HIDDEN = "<hidden>"

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
