"""Which names are those of secrets: of variables, attributes, keys, options."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

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
_NAME = re.compile(r"-{0,2}[A-Za-z_][\w.-]{0,60}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


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
