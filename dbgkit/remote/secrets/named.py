"""Values that their names reveal as secret, in texts of any format.

Names are found by words that secret ones contain, and then what follows is parsed by
its format: an assignment, JSON (within JSON), YAML, TOML, XML, an HTTP header, a
connection string, a command line, a tuple, a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from .names import STEMS, secrecy, words_of
from .patterns import regex
from .spans import Reader, Span
from .values import (
    KEYED,
    NEVER,
    SERVICE,
    STRONG,
    WEAK,
    WORDY,
    is_elsewhere,
    is_said,
    lowered,
    needed,
    one_of,
    replaced,
    set_of,
    vocabulary,
)

# What may follow a backslash or per cent sign.
_CODE = regex(r"u00[0-9a-f]{2}|x[0-9a-f]{2}|[nrtfv]|[0-9A-F]{2}")
_SPACED = regex(r"[A-Za-z]{2,20}(?: [A-Za-z]{2,20})? \Z")
_NUMBERED = regex(r"(?: \d{1,2})?(?=['\"]?[ ]?[:=])")
_ODBC = regex(r"=(?![/~.$]|[A-Za-z]:[\\/])")  # and no working directory
_NAME_BEFORE, _NAME_AFTER = 60, 60  # characters of a name around a stem
_INNER = regex(r"[\w.$-]*")
_QUOTES = r"\\{0,8}['\"`]|&quot;|&\#3[49];|&apos;|\\{1,8}u002[27]|%22"
# ``name = ``, ``"name": ``, ``c["name"] = ``, ``name: str = ``, ``name string = ``,
# ``name => ``, ``name := ``
_SIGN = regex(
    rf"""(?P<close>{_QUOTES})?[ ]{{0,4}}(?P<index>\])?[ \t]{{0,40}}
        (?(close)|(?P<typed>(?::[ ]?|[ ])[A-Za-z_*][\w.\[\]<>,|*?'" ]{{0,60}}?[ ]
            (?=(?:[:?]?=)[ ]))?)
        (?P<sign>:{{1,3}}=|\?\?=|\|\|=|[?.+|!=]=|=>|->|=|:(?![:/])|%3[AD])
        (?P<space>[ \t]{{0,40}})""",
    re.VERBOSE,
)
_HEADER = regex(r"(?i)(?:[\w-]*authorization|[\w-]*cookie2?|x-[\w-]+)")
_COMMA = regex(rf"(?P<close>{_QUOTES})\s{{0,4}},\s{{0,20}}")
_BLANK = regex(r"[ \t]{1,20}(?=\\{0,8}['\"`])|[ \t]{1,8}(?=[^\s=:])")
_IS = regex(r"['\"]?[ ](?:is|was)[ :]{1,3}|[ \t]{1,40}")
_CALL = regex(r"\([ ]{0,4}(?=[bru]{0,2}['\"])", re.IGNORECASE)
_OPEN_TAG = regex(r"<(?:[\w.-]{1,40}:)?$")
_TAG = regex(r"(?:[ \t][^<>\n]{0,200})?>")
# ``"name": "password", "value": ``, ``<add key="password" value=``
_ATTRIBUTE = regex(
    rf"""(?:{_QUOTES})?
        (?:[\s,;/{{]|\b(?:type|id|class|required|secure)=['"]?[\w-]{{0,40}}['"]?){{0,40}}
        (?:-[ ])?(?:{_QUOTES})?
        (?:value|val|content|default|data|string|text)(?:{_QUOTES})?\s{{0,4}}[:=]\s{{0,4}}""",
    re.VERBOSE | re.IGNORECASE,
)
_TITLED = regex(
    rf"(?:(?:name|key|id|field|variable|var|parameter|param|setting|option|header|title)"
    rf"(?:{_QUOTES})?\s{{0,4}}[:=]>?\s{{0,4}}(?:{_QUOTES})?|variable\s\")$",
    re.IGNORECASE,
)
_TITLED_TAG = regex(r"<[\w:.-]{1,40}[^<>]{0,100}\s(?:name|key|id)=['\"]$")
_FORM = regex(
    r"['\"]?[^\r\n\\]{0,200}(?:(?:\r?\n|(?:\\r)?\\n)[\w-]{1,40}:[^\r\n\\]{0,200}){0,4}"
    r"(?:\r?\n|(?:\\r)?\\n){2}"
)
_FORM_BEFORE = regex(r"form-data;[^\r\n]{0,80}\bname=['\"]?$")
_GETTERS = set_of(
    "get read load fetch is has check validate verify count decode parse hash reset "
    "find del delete remove generate create make new list require test assert getpass "
    "tokenize encode requires need needs missing no invalid expects"
)


def hide_named(
    text: str,
    bare: bool,
    extra: tuple[str, ...],
    words: frozenset[bytes] | None = None,
) -> str:
    """The text without values that stand beside secret names.

    With ``bare=False``, as in source code, only those in quotes. ``words`` is its
    `vocabulary`, if that is known.
    """
    return replaced(text, _values(text, bare, names_in(text, extra, words)))


def _values(
    text: str, bare: bool, names: list[tuple[int, int, int]]
) -> Iterator[tuple[int, int, str]]:
    """Where values stand that are to be hidden, and what takes their place."""
    reader = Reader(text)
    done = 0
    for start, end, level in names:
        span = _value(reader, start, end, level, bare) if start >= done else None
        if span is not None:
            lost = 0 if bare else text.count("\n", span.begin, span.end)
            yield span.begin, span.end, span.instead + "\n" * lost
            done = span.end


def names_in(
    text: str, extra: tuple[str, ...], words: frozenset[bytes] | None = None
) -> list[tuple[int, int, int]]:
    """Where names begin and end that are secret to some degree, and to which."""
    joined = b" ".join(vocabulary(text) if words is None else words)
    present = set(_stems(extra).findall(joined))
    if not present:
        return []
    lower = lowered(text)
    hits = []
    for data in present:
        stem = data.decode("utf-8", "surrogatepass")
        at = lower.find(stem)
        while at >= 0:
            hits.append(at)
            at = lower.find(stem, at + len(stem))
    found: list[tuple[int, int, int]] = []
    done = 0
    for at in sorted(hits):
        if at >= done:
            start, end, level = _name(text, at, done, extra)
            done = max(end, at + 1)
            if level:
                found.append((start, end, level))
    return found


@lru_cache(64)
def _stems(extra: tuple[str, ...]) -> re.Pattern[bytes]:
    """What a name that may be secret has in it, as its vocabulary has it."""
    more = []
    for name in extra:
        parts = re.findall(r"[^\W\d_]+", name.lower())
        more += [max(parts, key=len)] if parts else []
    words = {*STEMS, *more}
    kept = [word for word in words if not any(w in word for w in words if w != word)]
    pattern = one_of(dict.fromkeys(kept, ""))
    return regex(pattern.encode("utf-8", "surrogatepass"))


def _name(
    text: str, at: int, done: int, extra: tuple[str, ...]
) -> tuple[int, int, int]:
    """Where the name around a stem begins and ends, and how secret it is."""
    start, low = at, max(done, at - _NAME_BEFORE)
    while start > low and (text[start - 1].isalnum() or text[start - 1] in "_-.$"):
        start -= 1
    inner = _INNER.match(text, at, at + _NAME_AFTER)
    end = inner.end() if inner else at
    while end > at and text[end - 1] in ".-":
        end -= 1
    level = secrecy(text[start:end], extra)
    before = text[start - 1 : start]
    # Behind an escaped line's end, or character: ``\nAuthorization``
    if before and before in "\\%" and (code := _CODE.match(text, start, end)):
        after = secrecy(text[code.end() : end], extra)
        if after >= level:
            start, level = code.end(), after
    elif text.startswith("-D", start) and level < STRONG:
        level = max(level, secrecy(text[start + 2 : end], extra))
    # ``API key: x``, ``Unseal Key 1: x``
    elif (
        level <= KEYED and before == " " and (more := _SPACED.search(text, low, start))
    ):
        spaced = secrecy(f"{more[0]}{text[start:end]}".replace(" ", "_"), extra)
        if spaced > level and (number := _NUMBERED.match(text, end)):
            start, end, level = more.start(), number.end(), spaced
    if text[start:end] == "PWD" and _ODBC.match(text, end):
        level = STRONG
    if level == WEAK and before and before in "?&":
        level = WORDY  # of a link
    return start, end, level


def _value(reader: Reader, start: int, end: int, level: int, bare: bool) -> Span | None:
    """What is to be hidden of what stands after a name."""
    for span in _candidates(reader, start, end, level, bare):
        if span is None or span.end <= span.begin:
            continue
        if span.prose:
            quoted = span.kind == "quoted"
            most = (level if level == STRONG else SERVICE) if quoted else WEAK
            if needed(span.value) > min(level, most) or is_said(span.value):
                continue
        if _is_secret(reader.text[start:end], span, level, bare):
            return reader.whole(span)
    return None


def _is_secret(name: str, span: Span, level: int, bare: bool) -> bool:
    if span.kind == "bare" and (not bare or is_elsewhere(span.value, name)):
        return False
    if span.colon and is_said(span.said or span.value):
        return False
    if span.kind == "items":
        return _items(span, level)
    return level >= (WORDY if span.kind in ("block", "nested") else needed(span.value))


def _items(span: Span, level: int) -> bool:
    """Whether a list, or what is in brackets, gives a secret away."""
    if level >= STRONG:
        return needed(span.value[1:-1]) != NEVER
    parts = re.split(r"[\s,;'\"(){}\[\]:=]+", span.value[:2_000])
    return any(needed(part) <= level for part in parts if part)


def _candidates(
    reader: Reader, start: int, end: int, level: int, bare: bool
) -> Iterator[Span | None]:
    """The values that a name may have, by what it stands in."""
    text = reader.text
    if text[end : end + 2].strip().isalnum() and (level < WEAK or not bare):
        return  # a word of a sentence
    before = text[max(0, start - 60) : start]
    mark = before[-1:] if before[-1:] in ("'", '"', "`") else ""
    if bare and _OPEN_TAG.search(before) and (found := _TAG.match(text, end)):
        yield reader.tagged(found.end(), text[start:end])
        return
    if bare and text[end : end + 1] == ":" and _HEADER.fullmatch(text, start, end):
        yield reader.header(start, end + 1)
        return
    found = _SIGN.match(text, end)
    if found and not (found["close"] and not mark and before[-1:] not in tuple("; 25")):
        yield reader.assigned(start, found, bare)
    if level < WEAK and not mark:
        return
    if mark and (found := _COMMA.match(text, end)):
        yield reader.paired(start, found.end())
    if before.rstrip(" '\"\\")[-1:] in (":", "=", ">", "e") and _TITLED.search(before):
        if found := _ATTRIBUTE.match(text, end):
            yield reader.attribute(found.end(), bare)
        if _TITLED_TAG.search(before) and (found := _TAG.match(text, end + 1)):
            yield reader.tagged(found.end(), "")
        if bare and _FORM_BEFORE.search(before) and (found := _FORM.match(text, end)):
            yield reader.form(found.end())
    if found := _CALL.match(text, end):
        words = words_of(text[start:end].rpartition(".")[2])
        if level >= WEAK and _GETTERS.isdisjoint(words):
            yield reader.called(found.end())
    if not bare:
        return
    if before.endswith("-") or text[start] == "-":
        if found := _BLANK.match(text, end):
            yield reader.flagged(found.end())
    elif level >= WEAK and (found := _IS.match(text, end)):
        yield reader.stated(found.end())
