"""Kinds of values: how secret a name has to be for its value to be hidden."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# How secret a name is; what a value must look like to be hidden under it.
STRONG = 5  # anything
WORDY = 4  # anything but numbers
WEAK = 3  # anything but numbers, words, and what ordinary text is made of
SERVICE = 2  # what is made up: hashes, UUIDs, random texts
KEYED = 1  # random texts in upper and lower case, with digits
HIDDEN = "<hidden>"
# A secret that is cut is no longer known by its shape: so redact first a text that
# is this much longer than what is kept.
MARGIN = 2_000
NEVER = 99  # no name hides it: it is none, or stands for one
_LOOKED_AT = 400  # characters


def set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What says that a secret is to be filled in, or was taken out.
_NONE_AT_ALL = set_of(
    "none null nil undefined true false yes no n/a na nan unset empty redacted hidden "
    "masked removed omitted filtered"
)
_PLACEHOLDER = re.compile(
    r"""(?:[b]?['"]{2}
      |<[^<>\n]{0,80}>|\$?\{\{?[^{}\n]{0,100}\}?\}|\$\([^\n]{0,100}\)?|\$\w{1,60}
      |%\(\w{1,60}\)[sdr]|%[sdr]|%\w{1,60}%|\#\{[^{}\n]{0,80}\}|@\w+@|:\w+
      |\[[A-Z _-]{0,40}\]
      |(?:[*.?_•…-]|\\u2022)+|x{3,}(?:[-_.]x+)*|(.)\1{3,}
      |(?:your|my|insert|enter|put|add|some|the|example|replace)[ _-].{0,60}
      |change[_-]?me|.{0,20}(?:_here|-here|placeholder))""",
    re.VERBOSE | re.IGNORECASE,
)
# Expressions that get a secret from elsewhere: ``os.environ["X"]``, ``self.token``.
_ELSEWHERE = re.compile(
    r"(?:self|cls|os|sys|settings|config|conf|cfg|args|opts|options|request|env|secrets"
    r"|process|ctx|context|kwargs|params|data|app|var|local|module|this|st|keyring"
    r"|vault|ENV|System|Environment)(?:\.[A-Za-z_]\w*|\[['\"]?\w+['\"]?\])+(?:\(.*)?"
    r"|(?:str|int|bytes|float|bool|string|String|SecretStr|Any|Optional\[\w+\])"
)
_LETTER = re.compile(r"\\u([0-9a-fA-F]{4})")
_NUMBER = re.compile(r"[-+]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[%Lf]?")
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "xyz")
_LONG_NUMBER = 14  # digits: no count is as long
_WORDS = re.compile(
    r"""(?:[Ġ▁Ċ]|\#\#|@@)?(?:[^\W\d_]{1,24}(?:['\u2019][^\W\d_]{1,24}|-[^\W\d_]{2,24})?|[^\w\s]{1,6})(?:</w>|@@)?
      |<\|?/?[\w.:-]{1,40}\|?>|\[/?[A-Z_]{1,20}\d{0,3}\]|\w{1,4}""",
    re.VERBOSE,
)
_SNAKE = re.compile(r"[^\W\d_]+(?:_[^\W\d_]+\d?|_\d{1,2}){1,8}")
# Dates, versions, addresses, files, links, keys of Dask: what ordinary text has.
_ORDINARY = re.compile(
    r"""\d{1,4}[-/.:]\d{1,2}[-/.:]\d{1,4}(?:[T ][\d:.,+Z-]+)?
      |v?\d+(?:\.\d+)+(?:[a-z]+\d*)?
      |[\w.-]+(?:/[\w.=-]+)*\.(?:py|json|csv|tsv|txt|parquet|pem|crt|cer|key|ya?ml|toml|npy
         |npz|zarr|nc|h5|pkl|zip|gz|log|ini|cfg|md|png|jpe?g|pt|bin|model)
      |(?:[a-z][a-z\d+.-]*:/|\.{0,2}|~)/[\w./~=-]*|[A-Za-z]:\\[\w\\. -]*
      |[a-z_]+(?:\.[A-Za-z_]+){1,6}|\(?'?[a-z][\w-]*-[0-9a-f]{32}.{0,40}
      |\d+(?:\.\d+)?\ ?[A-Za-zµ%]{1,3}
      |(?:u?int|b?float|complex|datetime|timedelta|string|str)\d{1,3}(?:\[\w+\])?""",
    re.VERBOSE,
)
_UUID = re.compile(r"\{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?")
_MADE_UP = re.compile(r"[\w.~+/=:@|$-]{12,}")
# What parsers and validators say of a field: ``password: field required``.
_SAID = set_of(
    "a already an and any are at be been but by can cannot could contains denied does "
    "empty error errors expected expired extra failed failure field fields for found "
    "from given has have if in incorrect input invalid is it length less match "
    "matches mismatch missing more must need needed needs none not null of on one or "
    "permitted provided refused rejected required should str string than that the "
    "there this to too type unexpected unknown unrecognized unset unsupported value "
    "wrong was with without you your"
)


def needed(text: str) -> int:
    """How secret a name must be for this value to be hidden: `KEYED` to `NEVER`.

    Examples
    --------
    >>> [needed(text) for text in ("<your key>", "12", "word", "hunter2")]
    [99, 5, 4, 3]
    """
    text = text[:_LOOKED_AT].strip()
    if "\\u" in text:  # letters, as JSON writes them
        text = _LETTER.sub(lambda found: chr(int(found[1], 16)), text)
    if not text or text.lower() in _NONE_AT_ALL or text.strip("'\"") == HIDDEN:
        return NEVER
    if _PLACEHOLDER.fullmatch(text):
        return NEVER
    if _NUMBER.fullmatch(text):
        return STRONG if len(text) < _LONG_NUMBER or "." in text else WORDY
    if is_made_up(text):
        return KEYED if is_mixed(text) else SERVICE
    if len(text) > 2 and any(row.startswith(text.lower()) for row in _ROWS):
        return WEAK  # "abc" is typed for a secret rather than a word
    if _WORDS.fullmatch(text) or _SNAKE.fullmatch(text) or _ORDINARY.fullmatch(text):
        return WORDY
    if " " in text and not any(map(str.isdigit, text)):
        return WORDY
    return WEAK


def is_made_up(text: str) -> bool:
    """Whether a text was generated: a hash, a UUID, random letters and digits."""
    if _UUID.fullmatch(text):
        return True
    if not _MADE_UP.fullmatch(text) or _ORDINARY.fullmatch(text):
        return False
    digits = sum(map(str.isdigit, text))
    letters = sum(map(str.isalpha, text))
    if digits >= 2 and letters >= 2 and digits + letters >= 10:
        # Words with a number are none: ``run_2026-model-v3``
        return _changes(text) >= 0.2 * len(text) or (len(text) > 19 and text.isalnum())
    return letters >= 20 and _changes(text) >= 0.35 * len(text)


def is_mixed(text: str) -> bool:
    """Whether a made-up text is of upper and lower case and digits, without paths."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return (
        len(text) >= 16
        and all(any(map(kind, text)) for kind in kinds)
        and _changes(text) >= 0.4 * len(text)
        and not text.startswith("/")
    )


def _changes(text: str) -> int:
    """How often the kind of character changes in a text."""
    kinds = text.translate(_KINDS)
    return sum(map(str.__ne__, kinds, kinds[1:]))


_KINDS = {
    **dict.fromkeys(range(ord("0"), ord("9") + 1), "0"),
    **dict.fromkeys(range(ord("a"), ord("z") + 1), "a"),
    **dict.fromkeys(range(ord("A"), ord("Z") + 1), "A"),
    **dict.fromkeys(map(ord, "-_./+=:@|$~"), ""),
}


def is_elsewhere(text: str, name: str) -> bool:
    """Whether what stands unquoted after a name is code or a type, no value."""
    return bool(_ELSEWHERE.fullmatch(text[:_LOOKED_AT])) or text == name


def is_said(text: str) -> bool:
    """Whether what follows ``password:`` is a sentence of a parser or validator."""
    words = text[:200].split(None, 6)
    plain = [word.strip(".,;:!?()'\"").lower() for word in words[:4]]
    alone = all(word.isalpha() or not word for word in plain[:2])
    return len(words) > 1 and alone and not _SAID.isdisjoint(plain)


def replaced(text: str, places: Iterable[tuple[int, int, str]]) -> str:
    """The text with something else between some places, which are in order.

    What begins before the last one has ended is left out.
    """
    pieces: list[str] = []
    done = 0
    for begin, end, other in places:
        if begin >= done:
            pieces += [text[done:begin], other]
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def one_of(rows: Mapping[str, str]) -> str:
    """A pattern for words, each with what follows, that quickly finds none."""
    if len(rows) == 1:
        ((word, rest),) = rows.items()
        return re.escape(word) + rest
    parts, first = [], {word[:1] for word in rows}
    for letter in sorted(first, reverse=True):  # the empty one is last
        under = {word[1:]: rest for word, rest in rows.items() if word[:1] == letter}
        parts.append(re.escape(letter) + one_of(under) if letter else rows[""])
    return f"(?:{'|'.join(parts)})"


def lowered(text: str) -> str:
    """A text in lower case, as long as it was."""
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def vocabulary(text: str) -> frozenset[bytes]:
    """The words of a text, in lower case: what is in none of them is not in it.

    Much quicker to look into than a text that repeats itself, as most do.
    """
    data = text.lower().encode("utf-8", "surrogatepass")
    return frozenset(data.translate(_SPACED).split())


_SPACED = bytes(
    code if code > 127 or chr(code).isalpha() else ord(" ") for code in range(256)
)
