"""Tokens that their issuers gave a shape: prefix, alphabet and length.

A table of facts, checked against what gitleaks 8.30.1 (March 2026) knows. A row has
prefixes, the alphabet of what follows, and its minimum length; what is longer is hidden
to its end. A question mark means that words begin so, too: what follows has to be
random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from .patterns import regex
from .values import HIDDEN, is_made_up, one_of, replaced

_ALPHABETS = {
    "hex": "0-9a-fA-F",
    "upper": "A-Z0-9",
    "alnum": "A-Za-z0-9",
    "word": r"\w",
    "url": r"\w=-",
    "dots": r"\w.=-",
    "base64": r"A-Za-z0-9+/=_-",
    "any": r"\w.~+/=:%@!$^*-",
}
_TABLE = """\
ABIA ACCA AGPA AIDA AIPA AKIA ANPA ANVA APKA AROA ASCA ASIA upper 16
A3TA A3TB A3TC A3TD A3TE A3TF A3TG A3TH A3TI A3TJ A3TK A3TL A3TM A3TN upper 15
A3TO A3TP A3TQ A3TR A3TS A3TT A3TU A3TV A3TW A3TX A3TY A3TZ A3T0 A3T1 upper 15
ABSK base64 40
AGE-SECRET-KEY-1 upper 50
AIza url 35
AKCp cmVmd alnum 50
AKID alnum 32
API- upper 26 ?
AQVN url 35
ATATT3 ATCTT3 ATSTT3 ATBB url 24
ATTA hex 60
CCIPAT_ word 32
CFPAT- url 40
CLOJARS_ alnum 60
EAAA url 22 ?
EAAB EAAC EAAD EAAE EAAF EAAG EAAH EAAI EAAJ EAAM EAAW alnum 40 ?
EZAK EZTK alnum 54
FLWPUBK- FLWSECK- FLWPUBK_TEST- FLWSECK_TEST- alnum 12
GOCSPX- url 20
GR1348941 url 20
HRKU- url 30
LTAI alnum 12 ?
NRAA- NRAK- NRAL- NRBR- NRII- NRIQ- NRJS- NRRA- NRSP- url 12
PMAK- url 40
PMAT- alnum 26
RGAPI- hex 8
SG. dots 30
access_token$production$ access_token$sandbox$ any 16
aio_ alnum 28 ?
api_org_ hf_ alnum 30
apify_api_ alnum 30
bedrock-api-key- base64 20
bkua_ alnum 40
dapi dsapi hex 32
dckr_oat_ dckr_pat_ url 20
ddp_ alnum 30
doo_v1_ dop_v1_ dor_v1_ hex 60
dp.audit. dp.ct. dp.pt. dp.sa. dp.scim. dp.st. dots 40
dt0c01. dt0s01. dt0s02. dt0s16. dots 40
duffel_live_ duffel_test_ url 40
eyJrIjoi base64 60
fc- hex 32
figd_ figo_ figu_ url 30
fio-u- url 40
flb_live_ alnum 20
fm1a_ fm1r_ fm2_ base64 60
fo1_ url 40
gho_ ghp_ ghr_ ghs_ ghu_ github_pat_ word 20
glagent- glcbt- gldt- glffct- glft- glimt- gloas- glpat- glptt- glrt- glrtr- dots 16
glsoat- glwt- dots 16
glc_ glsa_ base64 32
gsk_ alnum 40
hvb. hvr. hvs. url 24
ico- alnum 32 ?
jina_ word 40
key- hex 32
lin_api_ lin_oauth_ alnum 32
live_ test_ url 35 ?
lsv2_pt_ lsv2_sk_ word 32
nfb_ nfc_ nfo_ nfp_ nfu_ alnum 36
npm_ alnum 36
ntn_ alnum 40
nvapi- url 40
odt_ alnum 30
ops_eyJ base64 80
oy2 alnum 43
p8e- alnum 30
pa- url 40 ?
pat. sat. dots 60 ?
pcsk_ word 40
phc_ phs_ phx_ alnum 40
pnb_ pnu_ alnum 36
pplx- alnum 40
pscale_app_secret_ pscale_oauth_ pscale_pw_ pscale_tkn_ dots 30
pul- hex 40
pypi-AgE url 20
r8_ alnum 36
rdme_ alnum 60
re_ word 30 ?
rk_live_ rk_prod_ rk_test_ sk_live_ sk_prod_ sk_test_ alnum 10
rubygems_ hex 48
rzp_live_ rzp_test_ alnum 14
s-s4t2af- s-s4t2ud- hex 60
sbp_ alnum 40
sb_secret_ url 20
authress_ ext_ sc_ scauth_ dots 60 ?
secret_ alnum 40 ?
sgp_ word 40
sha256~ url 40
shippo_live_ shippo_test_ hex 40
shpat_ shpca_ shppa_ shprt_ shpss_ shptka_ hex 32
sk- alnum 33 ?
sk-admin- sk-ant- sk-lf- sk-or- sk-proj- sk-svcacct- url 20 ?
sk_ word 29 ?
sl. url 100
sm_aat_ sm_pat_ sm_sat_ alnum 16
sntrya_ sntryi_ sntryu_ hex 60
sntrys_ base64 40
sq0atp- sq0csp- sq0idp- any 20
sqa_ sqp_ squ_ hex 40
swat_ alnum 40
tfp_ any 40
tgp_v1_ url 40
tk-eu- tk-us- url 40
tskey- url 16 ?
tvly- url 20
v1.0- url 100
vca_ vcc_ vci_ vck_ vcp_ vcr_ alnum 24
waka_ url 30
whsec_ base64 16
xai- alnum 60
xapp- url 16
xkeysib- xsmtpsib- url 40
xoxa- xoxb- xoxc- xoxd- xoxe- xoxe.xoxb- xoxe.xoxp- xoxo- xoxp- xoxr- xoxs- dots 10
ya29. any 20
zpka_ word 30
1//0 url 40
4b1d alnum 38
"""
# What has its prefix in the middle, or none but parts with lengths.
_WHOLES = (
    r"(?:bot)?\d{6,17}:A[\w-]{34,}",  # Telegram
    r"\d-[A-Za-z0-9]{64}(?![A-Za-z0-9])",  # TrueNAS
    r"(?:[A-Z0-9]{5}-){4}[A-Z0-9]{5}(?![A-Z0-9-])",  # keys of products
    r"pat-(?:na|eu)\d-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # HubSpot
    r"(?:pub|sub|sec)-c-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # PubNub
    r"[MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,}",  # Discord
    r"[0-9a-f]{32}-us\d{1,2}",  # Mailchimp
    r"(?:SK|AC)[0-9a-fA-F]{32}",  # Twilio
    r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}",  # Terraform
    r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",  # MaxMind
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",  # Airtable
    r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}",
    r"[A-Za-z0-9_~.]{3}\dQ~[\w~.-]{31,34}",  # Entra ID
    r"[A-Za-z0-9+/]{86}==",  # Azure's storage and other keys
    r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}",  # Azure DevOps
    r"[A-Za-z0-9]{33}A(?:Rm|Sv|zC)[A-Za-z0-9+/]{3,7}=?",  # other keys of Azure
    r"\d{13,19}\|[\w-]{27}",  # Facebook's applications
    r"s\.[A-Za-z0-9]{24}(?![A-Za-z0-9])",  # Vault before 1.10
    r"AAAA[\w-]{7}:[\w-]{100,}",  # Firebase
    r"[01]/\d{10,}(?:/\d{10,})?:[0-9a-f]{32}",  # Asana
    r"(?:sdk|mob)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",  # LaunchDarkly
    r"00[A-Za-z0-9]{13}![\w.]{40,}",  # Salesforce
    r"[1-9][A-Za-z0-9]{26}_[A-Za-z0-9]{20,22}",  # ngrok
    # Hashes of passwords.
    r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}",
    r"\$(?:1|5|6|apr1|y)\$[^\s$'\"]{0,32}\$(?:[^\s$'\"]{1,64}\$)?[./A-Za-z0-9]{22,}",
    r"\$argon2(?:id|i|d)\$[^\s'\"]{20,}",
    r"pbkdf2_sha\d+\$\d+\$[^\s'\"]{20,}",
    r"\$(?:krb5\w{1,10}|[PHS])\$[^\s'\"]{20,}",
    r"[0-9a-fA-F]{32}:[0-9a-fA-F]{32}(?![0-9a-fA-F])",
)
# What may be a token: long, and without a space.
_RUN = regex(r"(?<![\w~+/=.$-])[\w~+/=.$-][\w~+/=.:$!%@|^*-]{15,}")
# Where one may begin within it. Escaped characters are none of its own.
_EDGE = r"(?<![A-Za-z0-9])"
_ESCAPED = regex(r"\\[nrtfv]|%[0-9A-F]{2}|\\x1b\[\d{0,2}m|\\u00[0-9a-f]{2}")
_REST = regex(r"[\w~+/=-]*(?:\.[\w~+/=-]{8,})*")
_SHORTEST, _LONGEST = 16, 4_000


def _rows() -> Iterator[tuple[str, str, bool]]:
    """Prefix, pattern of what follows, and whether that has to look made up."""
    for line in _TABLE.splitlines():
        parts = line.split()
        unsure = parts[-1] == "?"
        *prefixes, alphabet, least = parts[:-1] if unsure else parts
        for prefix in prefixes:
            yield prefix, f"[{_ALPHABETS[alphabet]}]{{{least}}}", unsure


_UNSURE = tuple(prefix for prefix, _, unsure in _rows() if unsure)
_SURE = tuple(prefix for prefix, _, unsure in _rows() if not unsure)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of the beginning of a token, and of a whole one.

    They take some 30 ms to compile: not before there is what may be a token.
    """
    begins = _EDGE + one_of({prefix: rest for prefix, rest, _ in _rows()})
    return regex(begins), regex(rf"{_EDGE}(?:{'|'.join(_WHOLES)})")


def hide_tokens(text: str) -> str:
    """The text without the tokens that the table knows."""
    return replaced(text, _tokens(text))


def _tokens(text: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    known: dict[str, list[tuple[int, int]]] = {}
    for word in text.split():
        if len(word) < _SHORTEST:
            continue
        spans = known.get(word)
        if spans is None:
            spans = known[word] = list(_in_word(word))
        if spans:
            at = text.index(word, at)
            for begin, end in spans:
                yield at + begin, at + end, HIDDEN
            at += len(word)


def _in_word(word: str) -> Iterator[tuple[int, int]]:
    """Where tokens begin and end in what has no space in it."""
    if "\\" in word or "%" in word:
        word = _ESCAPED.sub(lambda found: " " * len(found[0]), word)
    for run in _RUN.finditer(word):
        yield from _within(word, run.start(), run.end())


def _within(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where tokens begin and end in a part of a text that has no space."""
    position = start
    begins, whole = _patterns()
    while found := begins.search(text, position, stop):
        position = found.end()
        rest = _REST.match(text, position, min(stop, position + _LONGEST))
        end = rest.end() if rest else position
        if _is_token(text[found.start() : end]):
            position = end
            yield found.start(), end
    if position == start and stop - start < 2_000:
        for found in whole.finditer(text, start, stop):
            yield found.span()


def _is_token(text: str) -> bool:
    text = text[:300]
    sure = max((p for p in _SURE if text.startswith(p)), key=len, default="")
    unsure = max((p for p in _UNSURE if text.startswith(p)), key=len, default="")
    tail = text[max(len(sure), len(unsure)) :]
    if len(set(tail)) < 6:
        return False  # ``ghp_xxxxxxxx``
    if len(unsure) > len(sure):
        return is_made_up(tail) and not re.fullmatch(r"[0-9a-f]{32}", tail[:33])
    parts = [part for part in re.split(r"[_.=-]", tail) if part]
    return len(parts) < 3 or not all(
        part.isalpha() and part.islower() for part in parts
    )
