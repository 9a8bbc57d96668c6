"""Which names are those of secrets: of variables, attributes, keys, options.

The name and its value (see ``values``) decide together: a ``password`` is always
hidden, a ``token`` if it is neither a number nor a word.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from .patterns import regex
from .values import KEYED, SERVICE, STRONG, WEAK, WORDY, set_of

# Words that make a name secret, wherever they stand in it. "Password" in languages
# that have a word of its own for it, too.
_WORDS = (
    (WEAK, "token dsn sas crumb mnemonic"),
    (
        WORDY,
        "auth cookie cookies jwt connstr connstring connectionstring sessionid sessid "
        "phpsessid jsessionid otp totp xsrf csrftoken",
    ),
    (
        STRONG,
        "authorization bearer cred creds credential credentials passcode passcodes "
        "passkey passphrase passphrases passwd passwds password passwords pgpass pswd "
        "passwrd psw pwd pwds pw secret secrets apikey apikeys sessionkey "
        "privatekey secretkey accesskey "
        "passwort passworter kennwort kennworter geheimnis contrasena contrasenas "
        "contrasenya senha motdepasse mdp wachtwoord losenord passord adgangskode "
        "salasana haslo heslo jelszo parola parole sifre geslo lozinka parool "
        "slaptazodis пароль пароли 密码 密碼 口令 パスワード 비밀번호",
    ),
)
_LEVELS = {word: level for level, words in _WORDS for word in words.split()}
# What the second word is the secret of: ``api_key``, ``privateKey``, ``pin_code``.
_SECRET_KEYS = (
    "api aes age cipher crypt crypto decryption decrypt des dsa ecdsa enc encrypt "
    "encryption fernet gpg hmac kms master pgp priv private recovery rsa secret "
    "signing ssh ssl symmetric tls unseal vault wrapping"
)
_OTHER_KEYS = (
    "access account admin app application auth bot client consumer cookie deploy "
    "functions host integration jwt license ops service session shared "
    "signature storage subscription user webhook write ingest instrumentation"
)
_HOLDERS = (
    "admin app auth bind client cluster database db email ftp http imap jdbc key "
    "keystore ldap login mail master mongo mysql odbc oracle pg postgres proxy redis "
    "root sa service sftp smtp sql ssh store sudo svc system truststore user vpn "
    "wifi zip"
)
_CODES = "pin otp mfa totp security verification passcode card door"
_OTHER_CODES = "access auth authorization backup oauth pass recovery reset sms"
_TOKENS = (
    "access api app auth authentication authorization bearer bot csrf deploy "
    "gitlab github hf hub huggingface id identity job jwt login npm oauth personal "
    "pypi refresh registry secret security service session slack user vault xsrf "
    "webhook write"
)
_PAIRS: dict[str, dict[str, int]] = {}
for _second, _level, _firsts in (
    ("key", STRONG, _SECRET_KEYS),
    ("key", WORDY, _OTHER_KEYS),
    ("pass", STRONG, _HOLDERS),
    ("code", STRONG, _CODES),
    ("code", WORDY, _OTHER_CODES),
    ("token", WORDY, _TOKENS),
    ("string", WORDY, "conn connect connection secure"),
    ("str", WORDY, "conn connect connection secure secret"),
    ("uri", WEAK, "conn connect connection"),
    ("signature", WEAK, "access request hmac shared"),
    ("phrase", STRONG, "pass seed recovery secret mnemonic"),
    ("word", STRONG, "pass"),
    ("pin", STRONG, "user card sim account door admin"),
    ("seed", STRONG, "otp totp wallet hd mfa"),
    ("secret", STRONG, ""),
    ("id", WORDY, "session sess"),
    ("jar", WORDY, "cookie"),
    ("passe", STRONG, "de"),  # mot de passe
):
    for _first in _firsts.split():
        _PAIRS.setdefault(_second, {})[_first] = _level

# About a secret, but none: ``token_count``, ``password_policy``, ``secret_name``.
_ABOUT = set_of(
    "age alg algorithm at attempts backend budget bytes callback changed class "
    "classifier cls color colour column columns complexity count counter counts date "
    "dialog dim dims directory dir disabled duration embedding embeddings enabled "
    "endpoint error errors exists expiration expired expires expiry field fields file "
    "filename files folder form format func function generator handler help hint icon "
    "ids idx index input label labels layout len length limit lifetime location logits "
    "manager mask max menu message messages method min mixing mode model module "
    "name names needed number offset page parser path pattern permissions policies "
    "policy position positions probability probs prompt provider ratio regex required "
    "requirement requirements reset reused rotation rows rule rules schema scheme "
    "scope scopes score shape size sizes source span state status strength "
    "strategy time timeout tracker ttl type types uri url urls usage valid validation "
    "validator validity version versions visible widget width zone"
)
# Beside a token that is of a text, of a page, or counted.
_TEXTUAL = set_of(
    "additional answer attention avg batch begin beginning bos char character chat "
    "classification cls code comma completion context continuation control count "
    "delimiter document dot empty encoded end ending eod eof eol eos eot "
    "extra final first forced generated global has head identifier image input is "
    "keyword label language last leading left lexer line literal mask masked max mean "
    "median min model n nb negative newline next no num number number oov "
    "operator output pad padding page parse parser per position positive prefix "
    "prompt punctuation pythonic query question quote raw reserved right "
    "rare sent sentence sep separator sos source space special split start starting "
    "stop string sub subword suffix sum symbol tail target text total trailing "
    "unexpected unk unknown vocab vocabulary whitespace word"
)
# Words of a name that change nothing: ``tokenValue``, ``PASSWORD_PROD``.
_NEUTRAL_WORDS = set_of(
    "a b base base64 b64 backup clear cleartext conf config content data database db "
    "default dev development digest enc encoded encrypted env for forward github "
    "gitlab global google header headers hex id json key live local my new old of "
    "openai param params parameter plain plaintext primary prod production pro raw "
    "root sandbox secondary secure server sha slack staging store string str strings "
    "system test text the tmp user val value values var variable x y"
)
# Names of keys that are no secrets.
_PLAIN = set_of(
    "a all an anchor any array artifact asset attention attr attribute audio axis b "
    "batch best blob block branch bucket build by c cache category cell chart "
    "checkpoint child "
    "chunk class cluster cmap col column commit composite config content coord "
    "coordinate counter current custom customer dask data dataset date day default "
    "dest device dict dim dimension doc document dot dropout duplicate each edge "
    "element embedding entity entry enum env event example executor experiment "
    "feature field figure file final first fixture flag fold foreign frame func "
    "function future g gradient graph grid group groupby h hash head header hot i id "
    "idx image index info init inner input instance int integer item items iter j "
    "jax job join json k kernel key keyword kwarg l label lang language last layer "
    "left legend leaf level line list local lock log lookup loss m map mapping match "
    "merge message meta metadata metric missing mode model module month mp msg my n "
    "name named natural nested new next noise node none numeric obj object offset old "
    "on op optimizer option order other out outer output p page pair param parameter "
    "parent part partition path payload pd pickle pixel pk plot point pool pos "
    "position pre prefix preset primary prng product property prop public pub q query "
    "queue random range raw record redis ref reference region registry remote result "
    "results right rng root route row run s s3 sample scenario schema scope score "
    "search segment seq sequence series setting shard shuffle side simple single size "
    "slice slot some sort source span special spec split src stage start state stats "
    "step store str string struct style sub suffix summary surrogate symbol t table "
    "tag target task template temp tensor test text the this time timestamp tmp topic "
    "trace track train transition translation tree trial tuple type unique unit "
    "update upload url user uuid v val value values var variable vector version "
    "video view w week "
    "weight wheel where window word worker x xla y yaml year z zarr zip"
)
# Whose tokens have no shape of their own.
_SPELLED = set_of(
    "adafruit adobe airtable algolia alibaba amplitude asana atlassian artifactory "
    "auth0 aws azure beamer bitbucket bitly bittrex brevo buildkite bugsnag "
    "circleci clearbit cloudant cloudflare codeclimate codecov cohere coinbase "
    "confluence confluent contentful contribsys coveralls datadog deepgram "
    "deepseek digitalocean discord docker dockerhub droneci dropbox dynatrace easypost "
    "elastic etsy facebook fastly figma finicity finnhub firebase flickr flutterwave "
    "freshbooks freshdesk gemini github gitlab gitter gocardless grafana groq "
    "hashicorp heroku honeycomb hubspot huggingface instagram intercom jfrog jira "
    "jotform kaggle keen klaviyo kraken kucoin langsmith launchdarkly linkedin looker "
    "mailchimp mailgun mailjet mapbox mattermost maxmind meraki messagebird mistral "
    "mixpanel nasa netlify newrelic ngrok notion npm nuget nytimes okta "
    "openai opsgenie pagerduty paypal pinecone plaid planetscale postman pusher "
    "quandl rapidapi razorpay replicate rollbar salesforce sauce segment sendbird "
    "sendgrid sendinblue sentry shopify shodan slack snowflake snyk sonar sonarcloud "
    "sonarqube sourcegraph squarespace stripe sumo sumologic supabase telegram "
    "terraform travis travisci trello twilio twitch twitter typeform vault vercel "
    "wandb watson wistia yandex youtube zendesk zoho bundle"
)
_BY_SERVICE = set_of(
    "access account api app application auth bot client com consumer customer "
    "dev gems enterprise id key keys license live login oauth org personal private "
    "prod project secret service test token tokens user value webhook server"
)
_NEUTRAL = _NEUTRAL_WORDS | _SPELLED
_MEASURED = set_of("n nb num max min has is count total avg mean per")
# One lower-case word that ends in these: ``pgpassword``, ``authtoken``.
_ENDINGS = {
    **dict.fromkeys(("password", "passwd", "passwort", "secret", "apikey"), STRONG),
    **dict.fromkeys(("accesskey", "secretkey", "privatekey"), STRONG),
    **dict.fromkeys(("authkey", "sessionid", "authtoken", "accesstoken"), WORDY),
    "token": WEAK,
}
# What a name that is secret to any degree has in it, in lower case and without
# accents; ``named`` looks for these.
STEMS = _SPELLED | set_of(
    "pass pw psw secret token key auth cred cookie jwt dsn sess otp xsrf csrf bearer "
    "conn code signature phrase pin seed sas mnemonic crumb secure hmac kennw contrase "
    "senha mdp wachtw lösen losen adgangs salasana hasło haslo heslo jelsz parol şifre "
    "sifre geslo lozinka slapta geheimn парол 密码 密碼 口令 パスワ 비밀번 contrasen"
)

_NAME = regex(r"-{0,2}[^\W\d][\w.-]{0,60}")
# Between the words of ``dbPassword`` and of ``APIKey``.
_CASES = regex(r"(?<=[^\WA-Z_])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = regex(r"[^\W\d_]+")


@lru_cache(4_096)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, without accents and digits."""
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    name = name[:200]
    parts = _WORD.findall(name if name.isupper() else _CASES.sub("_", name))
    return tuple(_plain(part.lower()) for part in parts)


def _plain(word: str) -> str:
    if word.isascii():
        return word
    word = word.translate(_LETTERS)
    spelt = unicodedata.normalize("NFKD", word)
    bare = "".join(each for each in spelt if not unicodedata.combining(each))
    return bare if bare.isascii() else unicodedata.normalize("NFC", word)


_LETTERS = str.maketrans({"ł": "l", "\u0131": "i", "ø": "o", "ß": "ss"})


def secrecy(name: str, extra: Iterable[str] = ()) -> int:
    """How secret what has this name is: 0 for not at all, to `STRONG`."""
    return _secrecy(name[:200], tuple(extra))


@lru_cache(8_192)
def _secrecy(name: str, extra: tuple[str, ...]) -> int:
    words = words_of(name)
    if extra:
        more = {word.lower() for word in extra}
        spelled = words and words in map(words_of, extra)
        if name.lower() in more or not more.isdisjoint(words) or spelled:
            return STRONG
    # The shell's working directory, and no password.
    if not words or name in ("PWD", "OLDPWD"):
        return 0
    return max(_by_words(words), _by_service(words))


def _by_words(words: tuple[str, ...]) -> int:
    level, place = 0, -1
    for index, word in enumerate(words):
        one = _LEVELS.get(word) or _by_ending(word)
        if index:
            one = max(one, _pair(words[index - 1], word))
        if one >= level and one:
            level, place = one, index
    if not level:
        return _plain_key(words)
    before, after = words[:place], words[place + 1 :]
    if after and (after[-1] in _ABOUT or (words[-2:] == ("key", "id") and level < 4)):
        return 0
    if words[0] in _MEASURED and len(words) > 1:
        return 0
    if words[place] in _BARELY and not before and level == STRONG and after:
        level = WEAK
    if words[place].endswith("token") and level == WEAK:
        beside = before[-1] if before else words[place][: -len("token")]
        if beside in _TEXTUAL or (before and before[0] in _TEXTUAL):
            return 0
    if level < STRONG and any(word not in _NEUTRAL for word in after):
        return KEYED
    if after and after[-1] == "id" and level == STRONG and "key" not in words:
        return WEAK
    return level


_BARELY = ("pw", "pwd", "mdp", "parole", "parola")


def _by_ending(word: str) -> int:
    ends = (e for e in _ENDINGS if word.endswith(e) and word != e)
    return _ENDINGS.get(next(ends, ""), 0)


def _pair(first: str, second: str) -> int:
    if second in ("token", "tokens") and first in _SPELLED:
        return WORDY
    pairs = _PAIRS.get(second) or _PAIRS.get(second.rstrip("s")) or {}
    return pairs.get(first, 0)


def _plain_key(words: tuple[str, ...]) -> int:
    """Of a key that nothing says what it opens; and of ``pass``, alone."""
    if words == ("pass",):
        return WEAK
    if words[-1] in ("key", "tokens") or words[-2:] == ("client", "id"):
        before = words[:-1]
        if any(word in _PLAIN for word in before):
            return 0
        return SERVICE if before and words[-1] == "key" else KEYED
    return 0


def _by_service(words: tuple[str, ...]) -> int:
    if not any(word in _SPELLED for word in words):
        if words[:2] != ("new", "relic"):
            return 0
        words = words[2:]
    rest = [word for word in words if word not in _SPELLED]
    return SERVICE if all(word in _BY_SERVICE for word in rest) else 0


def is_secret_name(name: str, extra: Iterable[str] = ()) -> bool:
    """Whether what has this name should be hidden.

    Parameters
    ----------
    name : str
        Of a variable, an attribute, a mapping's key, an environment variable or a
        setting (``a.b.c``).
    extra : iterable of str
        Further names to hide, in any case, as a whole or as a word of the name.

    Examples
    --------
    >>> [is_secret_name(n) for n in ("dbPassword", "API_KEY", "tokenize", "keys")]
    [True, True, False, False]
    """
    return secrecy(name, extra) >= WEAK


def key_secrecy(key: Any, extra: Iterable[str] = ()) -> int:
    """`secrecy`, for a mapping's key of any type: text, bytes, tuples of these.

    No method of the key's own class is called.
    """
    kind = type(key)
    if issubclass(kind, str):
        return secrecy(str.__getitem__(key, slice(0, 200)), extra)
    if issubclass(kind, bytes):
        begin = bytes.__getitem__(key, slice(0, 200))
        return secrecy(begin.decode("utf-8", "replace"), extra)
    found = 0
    if kind is tuple:
        for part in key[:8]:
            for inner in part[:8] if type(part) is tuple else (part,):
                if type(inner) is not tuple:
                    found = max(found, key_secrecy(inner, extra))
    return found


def announced(item: Any, count: int, extra: Iterable[str] = ()) -> int:
    """How secret an item makes what follows it in a sequence of so many.

    So in ``("password", "x")`` and in ``["run", "--password", "x"]``.
    """
    if type(item) is not str or len(item) > 64 or not _NAME.fullmatch(item):
        return 0
    if item[0] != "-":
        return secrecy(item, extra) if count == 2 else 0
    level = secrecy(item, extra)
    return WORDY if level == WEAK else level  # of a command line


def named_within(pairs: Iterable[tuple[Any, Any]], extra: Iterable[str] = ()) -> int:
    """How secret the name is that a mapping has as a value.

    So ``{"name": "password", "value": "x"}``, whose "x" `is_value_of` finds.
    """
    found = 0
    for name, item in itertools.islice(pairs, 20):
        if type(name) is str and name.lower().strip("_") in _NAMING:
            found = max(found, announced(item, 2, extra))
    return found


def is_value_of(name: Any) -> bool:
    """Whether what has this name is the value of what else a mapping names."""
    return type(name) is str and name.lower().strip("_") in _VALUES


_NAMING = set_of("field id key name option parameter setting var variable")
_VALUES = set_of("content data default string text val value")
