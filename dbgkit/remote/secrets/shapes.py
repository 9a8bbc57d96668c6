"""Secrets that their shape or their place in a text reveals, without a name."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from .patterns import regex
from .tokens import hide_tokens
from .values import HIDDEN, KEYED, NEVER, WEAK, WORDY, lowered, needed, replaced

# A PEM block; one that was cut has no end.
PEM = regex(
    r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:.*?-----END [A-Z0-9 ]{1,40}-----|.*)",
    re.DOTALL,
)
_PUBLIC = regex(r"-----BEGIN [A-Z0-9 ]{0,30}(?:CERTIFICATE|PUBLIC KEY)")
# JSON Web Tokens: base64 of '{"' begins with eyJ; and such a token in base64 again.
_JWT = regex(
    r"(?:(?<![\w-])|(?<=\\[nrt]))(?:eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*){0,3}"
    r"|ZXlK[A-Za-z0-9+/]{40,}={0,2})"
)
# The hooks of chats: who knows the link may write.
_HOOK = regex(
    r"(hooks\.slack\.com/(?:services|workflows|triggers)/"
    r"|(?:discord|discordapp)\.com/api/webhooks/\d+/"
    r"|[\w.-]{1,60}\.?webhook\.office\.com/webhookb?2?/"
    r"|api\.telegram\.org/bot|hooks\.zapier\.com/hooks/catch/"
    r"|chat\.googleapis\.com/v1/spaces/|outlook\.office\.com/webhook/)"
    r"[^\s'\"<>\\]{12,}"
)
_SIGNED = regex(
    r"([?&;](?:amp;)?(?:sig|X-Amz-Signature|X-Goog-Signature|Signature|X-Amz-Credential"
    r"|X-Amz-Security-Token|hmac|sv_sig)=)[^\s&'\"<>\\]+",
    re.IGNORECASE,
)
# A scheme of HTTP without its header.
_SCHEMES = "bearer basic token apikey negotiate ntlm digest"
_SPACES = regex(r"\s{1,4}(?=[\w.~+/=:-]{6})")
_VALUE = regex(r"[\w.~+/=:-]{6,}")
_AWS = regex(r"(AWS4-HMAC-SHA256\s+Credential=)[^\r\n'\"]{1,600}")
# ``curl -u user:password``, ``sshpass -p x``, ``mysql -px``, ``-passin pass:x``
_USER = regex(
    r"""((?:^|\s|['"])(?:-[a-zA-Z]{0,4}u|--user|--proxy-user|-U|--auth|-a)(?:=|[ \t]*))
        (?!-)(?:(?P<mark>\\?["'])(?P<quoted>[^"':\n]{0,200}:[^\n]{0,200}?)(?P=mark)(?=[\s\\]|$)
          |(?P<bare>(?:"[^"\n]{1,100}"|'[^'\n]{1,100}'|[^\s"':]{0,100}):
            (?:"[^"\n]{1,100}"|'[^'\n]{1,100}'|[^\s"']{1,200})))""",
    re.VERBOSE | re.MULTILINE,
)
_CALLERS = regex(r"\b(?:curl|wget|httpie|https?|aria2c|lftp|smbclient)\b")
_OPTION = r"\b[^\n|]{0,200}?\s"
# By the option: the commands, and what stands before the password.
_COMMANDS = (
    ("-p", "sshpass", r"\bsshpass\s+-p\s*"),
    ("-p", "u", r"(?:^|\s)(?:-u|--user(?:name)?)[ =]\S{1,80}\s+-p\s+"),
    (
        *("-p", "mysql mysqldump mysqladmin mariadb"),
        rf"\b(?:mysql|mysqldump|mysqladmin|mariadb){_OPTION}-p",
    ),
    (
        *("-p", "docker podman helm az oc mongo mongosh mongodump"),
        rf"\b(?:docker|podman|helm|az|oc|mongo(?:sh|dump)?){_OPTION}-p\s+",
    ),
    ("-P", "sqlcmd bcp isql", rf"\b(?:sqlcmd|bcp|isql){_OPTION}-P\s*"),
    ("-w", "ldapsearch", rf"\bldapsearch{_OPTION}-w\s+"),
    ("-a", "redis", rf"\bredis-cli{_OPTION}-a\s+"),
    ("pass:", "passin passout", r"\bpass(?:in|out)\s+pass:"),
    (
        *("pass ", "storepass keypass srcstorepass deststorepass"),
        r"\s-(?:src|dest)?(?:store|key)pass\s+",
    ),
    ("%", "smbclient", rf"\bsmbclient{_OPTION}\S{{1,60}}%"),
    ("/user:", "net", r"\bnet\s+use\b[^\n|]{0,200}?/user:\S+\s+"),
    ("/", "sqlplus", r"\bsqlplus\s+(?:-\w+\s+){0,3}[^\s/@]{1,60}/"),
)
_ARGUMENT = r"('[^'\n]*'|\"[^\"\n]*\"|[^\s'\"@|-][^\s'\"@|]*)"
_Commands = list[tuple[frozenset[bytes], re.Pattern[str]]]
_GIVEN: dict[str, _Commands] = {}
for _option, _names, _pattern in _COMMANDS:
    _GIVEN.setdefault(_option, []).append(
        (frozenset(_names.encode().split()), regex(f"({_pattern}){_ARGUMENT}"))
    )
_LDAP = regex(r"(\{(?:S?SHA(?:256|512)?|SMD5|MD5|CRYPT)\})[A-Za-z0-9+/=$.]{20,}")
_DEVICE = regex(r"(/api/v1/)[A-Za-z0-9]{16,}(?=/(?:telemetry|attributes|rpc)\b)")
_SQL = regex(r"(?i)(\bidentified\s{1,4}(?:with\s\w{1,40}\s)?by\s{1,4})'[^'\n]*'")
# A secret of Kubernetes has its values below names of any kind.
_MANIFEST = regex(r"\bkind['\"]?\s{0,4}:\s{0,4}['\"]?[sS]ecret\b")
_DATA = regex(
    r"(?m)^([ \t]*)(?:string|binary)?[dD]ata:[ \t]*\r?\n"
    r"((?:\1[ \t]+\S[^\n]*\n?|[ \t]*\n)+)"
    r"|((?:[sS]tring|[bB]inary)?[dD]ata['\"]\s{0,4}:\s{0,4})(\{[^{}]{1,20000}\})"
)
# ``user:password@tcp(host:3306)/db``
_GO_DSN = regex(r"([\w.-]{1,60}:)([^\s'\"]{1,200})(?=@(?:tcp6?|udp|unix)\()")
# ``machine h login u password p``
_NETRC = regex(r"(\blogin\s+\S{1,200}\s+(?:password|passwd)\s+)(\S+)")
_SCHEMED = regex(r"[A-Za-z][A-Za-z0-9+.-]{0,40}\Z")
_ENDS_LINK = regex(r"[\s<>]|\\[nrt\"]|&quot;")


def hide_shapes(text: str, words: frozenset[bytes]) -> str:
    """The text without what only its shape shows to be a secret.

    ``words`` is its `vocabulary`.
    """
    if "-----BEGIN" in text:
        text = PEM.sub(_pem, text)
    if "eyJ" in text or "ZXlK" in text:
        text = _JWT.sub(HIDDEN, text)
    text = hide_tokens(text)
    if "://" in text:
        text = replaced(text, _passwords(text))
    for some, parts, hide in _PLACES:
        if not words.isdisjoint(some) and any(part in text for part in parts):
            text = hide(text)
    for option, commands in _GIVEN.items():
        if option in text:
            for some, pattern in commands:
                if not words.isdisjoint(some):
                    text = pattern.sub(_given, text)
    return text


def _pem(found: re.Match[str]) -> str:
    """What a PEM block is replaced by; of public ones nothing is hidden."""
    return found[0] if _PUBLIC.match(found[0]) else HIDDEN


def _passwords(text: str) -> Iterator[tuple[int, int, str]]:
    """Those in ``scheme://user:password@host``, whatever they are made of."""
    done = 0
    at = text.find("://")
    while at >= 0:
        following = text.find("://", at + 3)
        start = at + 3
        stop = len(text) if following < 0 else following
        scheme = _SCHEMED.search(text, max(done, at - 41), at)
        if scheme and text.find("@", start, stop) >= 0:
            stop = _end_of_link(text, scheme.start(), start, stop)
            span = _password(text, start, stop)
            if span:
                yield *span, HIDDEN
                done = span[1]
        at = following


def _end_of_link(text: str, scheme: int, start: int, stop: int) -> int:
    """Where a link ends: at a space, or at the quote that it stands in."""
    end = _ENDS_LINK.search(text, start, stop)
    stop = end.start() if end else stop
    before = text[scheme - 1 : scheme]
    mark = before if before in "'\"`" else '"'
    closing = text.find(mark, start, stop) if mark else -1
    return closing if closing >= 0 else stop


def _password(text: str, start: int, stop: int) -> tuple[int, int] | None:
    """Where the password of a link is, whose user begins there."""
    end = text.rfind("@", start, stop)
    colon = text.find(":", start, end)
    slash = text.find("/", start, end)
    if end < 0 or not text[end + 1 : stop]:
        return None
    if colon < 0 or 0 <= slash < colon:
        # One text alone: a token, if it looks like one.
        user = text[start:end] if slash < 0 else ""
        return (start, end) if len(user) >= 12 and needed(user) <= WEAK else None
    if re.match(r"\d{1,5}(?:[/?#]|$)", text[colon + 1 : end]):
        return None  # a port: the "@" is in the path
    if needed(text[colon + 1 : end]) == NEVER:
        return None
    return colon + 1, end


def _hide_schemes(text: str) -> str:
    spans = []
    lower = lowered(text)
    for scheme in _SCHEMES.split():
        at = lower.find(scheme)
        while at >= 0:
            space = _SPACES.match(text, at + len(scheme))
            before = text[max(0, at - 1) : at]
            if space and not (before.isalnum() or before in tuple("_-")):
                value = _VALUE.match(text, space.end())
                secret = value[0].rstrip(".:,") if value else ""
                if secret and _follows_scheme(scheme, secret, before):
                    spans.append((space.end(), space.end() + len(secret), HIDDEN))
            at = lower.find(scheme, at + len(scheme))
    return replaced(text, sorted(spans))


def _follows_scheme(scheme: str, value: str, before: str) -> bool:
    """Whether what follows the name of a scheme is what it logs in with."""
    if scheme == "basic":
        return _is_basic(value)
    if scheme == "bearer":
        return needed(value) <= (WORDY if before in "'\":" else WEAK)
    return len(value) >= 16 and needed(value) < WEAK


def _is_basic(value: str) -> bool:
    """Whether a text is ``user:password`` in base64."""
    try:
        data = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return needed(value) <= KEYED
    return b":" in data or needed(value) < WEAK


def _hide_users(text: str) -> str:
    if not _CALLERS.search(text):
        return text

    def hide(found: re.Match[str]) -> str:
        pair = found["quoted"] if found["bare"] is None else found["bare"]
        user, _, password = pair.partition(":")
        bare = password.strip("'\"")
        if not user.strip("'\"") and not bare:
            return found[0]
        if needed(bare) == NEVER and (bare or needed(user) == NEVER):
            return found[0]
        mark = found["mark"] or ""
        return (
            f"{found[1]}{mark}{user if bare else HIDDEN}:{HIDDEN if bare else ''}{mark}"
        )

    return _USER.sub(hide, text)


def _hide_manifest(text: str) -> str:
    if not _MANIFEST.search(text):
        return text

    def hide(found: re.Match[str]) -> str:
        if found[3]:
            return f"{found[3]}{HIDDEN}"
        indent = found[2][: len(found[2]) - len(found[2].lstrip(" \t"))]
        end = "\n" if found[0].endswith("\n") else ""
        return f"{found[0][: found.start(2) - found.start()]}{indent}{HIDDEN}{end}"

    return _DATA.sub(hide, text)


def _given(found: re.Match[str]) -> str:
    value = found[2].strip("'\"")
    return found[0] if needed(value) == NEVER else f"{found[1]}{HIDDEN}"


def _replacing(*patterns: re.Pattern[str]) -> Callable[[str], str]:
    def hide(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub(rf"\g<1>{HIDDEN}", text)
        return text

    return hide


# With words, and with parts, one of each of which each has in it.
_Place = tuple[frozenset[bytes], tuple[str, ...], Callable[[str], str]]
_PLACES: tuple[_Place, ...] = tuple(
    (frozenset(words.encode().split()), tuple(parts.split()), hide)
    for words, parts, hide in (
        (_SCHEMES, "e E a A o O m M", _hide_schemes),
        ("hooks webhook webhookb bot spaces webhooks", "://", _replacing(_HOOK)),
        ("sig signature credential token hmac", "=", _replacing(_SIGNED)),
        ("aws", "AWS4-", _replacing(_AWS)),
        ("sha ssha smd md crypt", "}", _replacing(_LDAP)),
        ("telemetry attributes rpc", "/api/v", _replacing(_DEVICE)),
        ("tcp udp unix", "@tcp @udp @unix", _replacing(_GO_DSN)),
        ("login", "login", _replacing(_NETRC)),
        ("identified", "'", _replacing(_SQL)),
        ("kind", "ecret", _hide_manifest),
        ("curl wget httpie http https aria lftp smbclient", "-", _hide_users),
    )
)
