"""Of ordinary names and values, nothing is hidden; and no text takes for ever."""

from __future__ import annotations

import itertools
from time import process_time

import ordinary
import pytest

from dbgkit.remote.secrets.redact import (
    HIDDEN,
    redact_lines,
    redact_text,
)
from dbgkit.remote.values.summarize import summarize

BAR = 0.001
STEP = 5  # of the texts each fifth; it is no divisor of what they are made of


def share_hidden(texts):
    """The share of the texts that are not shown as they are, and examples."""
    told = [(text, redact_text(text)) for text in texts]
    hidden = [pair for pair in told if pair[0] != pair[1]]
    return len(hidden) / len(told), hidden[:10]


def test_ordinary_names_and_values_are_shown():
    texts = [text for _, _, text in ordinary.texts()]
    assert len(texts) > 100_000
    share, examples = share_hidden(texts[:: STEP + 2])
    assert share <= BAR, examples


def test_ordinary_names_and_values_are_shown_in_one_large_text():
    pairs = itertools.product(ordinary.NAMES, ordinary.VALUES)
    lines = [f"{name} = {value!r}" for name, value in pairs][::STEP]
    told = redact_text("\n".join(lines)).split("\n")
    assert len(told) == len(lines)
    hidden = [pair for pair in zip(lines, told, strict=True) if pair[0] != pair[1]]
    assert len(hidden) <= BAR * len(lines), hidden[:10]
    told = redact_lines(lines)
    hidden = [pair for pair in zip(lines, told, strict=True) if pair[0] != pair[1]]
    assert len(hidden) <= BAR * len(lines), hidden[:10]


def test_ordinary_values_are_shown_in_recordings():
    hidden = []
    count = 0
    for number, name in enumerate(ordinary.NAMES):
        for value in ordinary.VALUES[number % STEP :: STEP]:
            count += 1
            told = (summarize({name: value})["text"], summarize(value, name=name))
            if HIDDEN in told[0] or told[1]["hidden"]:
                hidden.append((name, value))
    assert count > 5_000
    assert len(hidden) <= BAR * count, hidden[:10]


@pytest.mark.parametrize("name", ["token", "next_token", "n_tokens", "pad_token_id"])
@pytest.mark.parametrize("value", [0, 50_256, "the", "</s>", None, True, 0.5])
def test_numbers_and_words_are_shown_under_names_of_tokens(name, value):
    assert summarize(value, name=name)["text"] == repr(value)


HOSTILE = {
    "a": "a",
    "=": "=",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "-": "-",
    "$": "$",
    "%": "%",
    "(": "(",
    "{": "{",
    "[]": "[]",
    "a=": "a=",
    "key=": "key=",
    "password=": "password=",
    "password=[": "password=[",
    'password="': 'password="',
    'password=\\"': 'password=\\"',
    "password='x ": "password='x ",
    "password: |\n ": "password: |\n ",
    "password:\n": "password:\n",
    "<password>": "<password>",
    'name="password" ': 'name="password" ',
    'form-data; name="password"\r\n\r\n': 'form-data; name="password"\r\n\r\n',
    "token: ": "token: ",
    "bearer ": "bearer ",
    "password secret token ": "password secret token ",
    "a://": "a://",
    "a://b:c@": "a://b:c@",
    "begin": "-----BEGIN A-----",
    "eyJ-": "eyJ-",
    "eyJaaaaaaaa.": "eyJaaaaaaaa.",
    "ghp_": "gh" + "p_",
    "1234567:A": "1234567:A",
    "$2b$10$": "$2b$10$",
    "login x password ": "login x password ",
    'curl -u "a:': 'curl -u "a:',
    "mysql -u ": "mysql -u ",
    "&quot;": "&quot;",
    "kind: Secret\ndata:\n ": "kind: Secret\ndata:\n ",
}


@pytest.mark.parametrize("bare", [True, False], ids=["text", "source"])
@pytest.mark.parametrize("part", HOSTILE.values(), ids=HOSTILE)
def test_the_time_for_a_text_grows_with_its_length(part, bare):
    # GIVEN a text and one that is four times as long
    short, long = (part * (length // len(part)) for length in (10_000, 40_000))

    def clock(text):
        began = process_time()
        redact_text(text, bare=bare)
        return process_time() - began

    # THEN it takes about four times as long, and not sixteen times
    clock(short[:1_000])
    best = min(clock(short) for _ in range(3))
    assert clock(long) < max(0.1, 10 * best)


@pytest.mark.parametrize("part", ["a", "=", '"', "["])
def test_a_megabyte_of_one_character_takes_a_moment(part):
    began = process_time()
    redact_text(part * 1_000_000)
    redact_text("[" * 500_000 + "]" * 500_000)
    assert process_time() - began < 5
