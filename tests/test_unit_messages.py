"""Which messages of one line of code are alike, and what is shown of those that are."""

from __future__ import annotations

import time

import pytest

from dbgkit.remote.common.texts import COMPARED, filled, likeness, signature
from dbgkit.remote.scheduler.failures_groups import MOST_SEEN, Messages

LINE = ("job.py", 12, "load")

SAME = [
    ("user 'ann' not found", "user 'bob' not found"),
    ("user 'ann' not found", "user 'Ann Smith' not found"),
    ("user 'ann' not found", "user '' not found"),
    ('user "ann" not found', 'user "bob" not found'),
    ("no column `price`", "no column `name`"),
    ("'price'", "'name'"),
    ("('a', 1)", "('b', 2)"),
    ("b'ab' is no header", "b'\\x00' is no header"),
    ("at 'x'", "at 'y'"),
    ('"it\'s" is missing', '"that" is missing'),
    ("columns ['a', 'b'] not in index", "columns ['c'] not in index"),
    ("columns ['a', 'b', 'c'] not in index", "columns ['d', 'e'] not in index"),
    ("shapes (3, 4) and (5,)", "shapes (2, 2) and (7,)"),
    ("expected 3 fields in line 7, saw 5", "expected 3 fields in line 12, saw 4"),
    ("value 3.5 out of range", "value -1e-7 out of range"),
    ("value nan out of range", "value 3.5 out of range"),
    ("value -inf out of range", "value inf out of range"),
    ("1,000 rows", "12 rows"),
    ("No such file or directory: '/data/a.csv'", "No such file or directory: '/b/c'"),
    ("cannot open /data/2020/a.csv: denied", "cannot open /srv/b.csv: denied"),
    ("cannot open ~/a.csv", "cannot open ../b/c.csv"),
    (r"cannot open C:\data\a.csv", r"cannot open D:\b.csv"),
    ("s3://bucket/a.parquet is gone", "s3://other/b/c.parquet is gone"),
    ("http://a.example/x?y=1 returned 500", "https://b.example/ returned 404"),
    ("tcp://10.0.0.5:40123 has left", "tcp://10.0.0.6:5 has left"),
    ("connection to 10.0.0.5:40123 lost", "connection to 192.168.1.1:80 lost"),
    ("<Point object at 0x7f21aa>", "<Point object at 0x10>"),
    (
        "job 123e4567-e89b-12d3-a456-426614174000 failed",
        "job 00000000-0000-4000-8000-000000000001 failed",
    ),
    ("token 9f86d081884c7d65 expired", "token 60303ae22b998861 expired"),
    ("order A1B2C3D4 refused", "order Z9Y8X7W6 refused"),
    ("row of 2026-11-27", "row of 2025-01-01"),
    ("at 2026-11-27 10:00:00.5+00:00 no data", "at 2026-11-27T11:30:00Z no data"),
    ("/tmp/tmpab12cd34/x is gone", "/tmp/tmpzz99yy88/x is gone"),
    ("user_17 is locked", "user_4 is locked"),
    ("part-00012 is empty", "part-3 is empty"),
]
DIFFERENT = [
    ("user 'ann' not found", "user 'ann' is locked"),
    ("user 'ann' not found", "group 'ann' not found"),
    ("user 'ann' not found", "user ann not found"),
    ("user 'ann' not found", 'user "ann" not found'),
    ("user 'ann' not found", "user 7 not found"),
    ("expected 3 columns", "expected 3 rows"),
    ("expected 3 columns", "expected columns"),
    ("bad facade", "bad decade"),
    ("division by zero", "modulo by zero"),
    ("integer division or modulo by zero", "division by zero"),
    ("don't use 'x'", "do use 'x'"),
    ("it's late", "it's early"),
    ("cannot open /data/a.csv: denied", "cannot open /data/a.csv: is a directory"),
    ("s3://bucket/a is gone", "s3://bucket/a is empty"),
    ("tcp://10.0.0.5:1 has left", "tcp://10.0.0.5:1 does not answer"),
    ("row of 2026-11-27", "day of 2026-11-27"),
    ("columns ['a'] not in index", "columns ['a'] not in columns"),
    ("key 'a'", "keys 'a'"),
    ("unsupported operand type(s) for +", "unsupported operand type(s) for -"),
    ("cannot cast int to str", "cannot cast int to float"),
    ("", "no value"),
    ("A", "B"),
    ("high", "low"),
    ("Timeout", "timeout"),
    ("<Point object at 0x10>", "<Line object at 0x10>"),
    ("step 1: read", "step 1: write"),
    ("é", "è"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_messages_that_are_alike(one, other):
    assert signature("E", one, LINE) == signature("E", other, LINE)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_messages_that_are_not(one, other):
    assert signature("E", one, LINE) != signature("E", other, LINE)


def test_without_a_line_of_their_own_only_numbers_and_the_like_may_differ():
    one, other = (signature("KeyError", text, None) for text in ("'a'", "'b'"))
    assert one != other
    assert signature("E", "3 rows", None) == signature("E", "4 rows", None)


@pytest.mark.parametrize("text", [text for pair in SAME + DIFFERENT for text in pair])
def test_what_was_taken_out_goes_back_where_it_was(text):
    words, parts = likeness(text)
    if words.count("\0") == len(parts):  # else a list had several
        assert filled(words, parts) == text


def messages(*texts):
    found = Messages(likeness(texts[0]).words)
    for text in texts:
        assert likeness(text).words == found.words
        found.add(likeness(text).parts)
    return found


def test_only_what_differs_is_left_out():
    found = messages(
        "user 'ann' of 'shop' not found in 3 s",
        "user 'bob' of 'shop' not found in 3 s",
        "user 'eve' of 'shop' not found in 3 s",
    )
    assert found.pattern == "user '…' of 'shop' not found in 3 s"
    assert found.sample == [
        "user 'ann' of 'shop' not found in 3 s",
        "user 'bob' of 'shop' not found in 3 s",
        "user 'eve' of 'shop' not found in 3 s",
    ]


def test_of_lists_of_several_lengths_nothing_is_put_back():
    found = messages("no ['a', 'b'] in 'x'", "no ['a'] in 'x'")
    assert found.pattern == "no ['…'] in '…'"


def test_equal_messages_are_one():
    found = messages("value 3", "value 3")
    assert (found.pattern, found.sample, len(found.seen)) == ("value 3", [], 1)


def test_groups_that_turn_out_to_be_one():
    one, other = messages("value 3", "value 4"), messages("value 4", "value 5")
    one.absorb(other)
    assert (one.pattern, len(one.seen)) == ("value …", 3)


def test_so_many_are_told_apart():
    found = messages(*(f"value {number}" for number in range(MOST_SEEN + 10)))
    assert len(found.seen) == MOST_SEEN


@pytest.mark.parametrize(
    "piece",
    [
        *("'", "a/", "1a", "1", "['", "a://", "-", "b'", "0x", "~/", "a", ", \0", "1."),
        *("[\0, \0", "a1", "2026-11-27", "'a', ", "C:\\", "10.0.0.", "nan", "`"),
    ],
)
def test_a_hostile_message_takes_no_longer(piece):
    start = time.process_time()
    words, parts = likeness((piece * COMPARED)[: 10 * COMPARED] + "1")
    filled(words, parts)
    assert time.process_time() - start < 0.5
