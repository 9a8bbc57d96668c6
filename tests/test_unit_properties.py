"""What holds for any input: packing, keeping and restoring, redaction."""

from __future__ import annotations

import json
import math

import msgpack
import numpy as np
import pandas as pd
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st

from dbgkit.model.kept import restore
from dbgkit.remote.recording.packing import pack, raw_of, unpack
from dbgkit.remote.recording.take import Limits, take
from dbgkit.remote.secrets.redact import HIDDEN, redact_text
from dbgkit.remote.values.keep import NOT_KEPT, keep

TEXTS = st.text(max_size=30)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | TEXTS
    | st.binary(max_size=30)
)
HASHABLE = st.none() | st.booleans() | st.integers() | TEXTS
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(HASHABLE, max_size=4)
        | st.frozensets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    """Equal, of the same types all the way down; NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    return one == other


@examples(300)
@given(value=VALUES)
def test_what_is_kept_comes_back_as_it_was(value):
    kept = keep(value, 100_000)
    if kept is not NOT_KEPT:
        # on its way it is bytes
        sent = msgpack.unpackb(raw_of(kept), unicode_errors="surrogatepass")
        assert same(restore(sent), value)


@examples(100)
@given(
    value=st.recursive(st.integers() | st.floats(), lambda v: st.lists(v), max_leaves=8)
)
def test_numbers_are_always_kept(value):
    assert keep(value, 100_000) is not NOT_KEPT


@examples(100)
@given(value=VALUES, limit=st.integers(0, 60))
def test_what_is_kept_is_within_its_limit(value, limit):
    kept = keep(value, limit)
    if kept is not NOT_KEPT:
        # A tag and a length for each value, beside what is counted.
        assert len(raw_of(kept)) <= 20 * (limit + 10)


@examples(60)
@given(
    rows=st.lists(st.tuples(st.integers(-9, 9), TEXTS, st.booleans()), max_size=5),
    name=TEXTS,
)
def test_a_frame_comes_back_as_it_was(rows, name):
    frame = pd.DataFrame(rows, columns=["number", "text", "flag"])
    frame.index.name = name
    kept = keep(frame, 100_000)
    if kept is not NOT_KEPT:
        sent = msgpack.unpackb(raw_of(kept), unicode_errors="surrogatepass")
        pd.testing.assert_frame_equal(restore(sent), frame)


@examples(60)
@given(
    shape=st.lists(st.integers(0, 3), max_size=3),
    kind=st.sampled_from(["f4", "f8", "i2", "u1", "?", "c16", "M8[s]", "U3", "S2"]),
    order=st.sampled_from("CF"),
)
def test_an_array_comes_back_as_it_was(shape, kind, order):
    array = np.zeros(shape, kind, order)
    kept = keep(array, 100_000)
    if kept is not NOT_KEPT:
        found = restore(msgpack.unpackb(raw_of(kept)))
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.flags.f_contiguous == array.flags.f_contiguous
        np.testing.assert_array_equal(found, array)


def raises(depth, values, texts):
    """Fail below so many frames that each hold the values."""
    if depth:
        raises(depth - 1, values, texts)
    held = list(texts)
    raise ValueError(len(held))


@examples(60)
@given(
    depth=st.integers(0, 6),
    values=VALUES,
    texts=st.lists(st.text(max_size=400), max_size=20),
    nbytes=st.integers(300, 20_000),
)
def test_a_recording_is_packed_within_its_limit_and_read_again(
    depth, values, texts, nbytes
):
    try:
        raises(depth, values, texts)
    except ValueError as error:
        recording = take(error, Limits(seconds=10.0), short=False)
    packed, left_out = pack(recording, nbytes)
    assert len(packed) <= nbytes
    whole = unpack(raw_packed := pack(recording, 10**9)[0])
    assert raw_of(whole) == raw_of(recording)
    if packed and not left_out:
        assert packed == raw_packed
    elif packed:
        found = unpack(packed)
        omitted = sum(
            short["omitted_locals"] - frame["omitted_locals"]
            for short, frame in zip(found["frames"], whole["frames"], strict=True)
        )
        gone = sum(len(whole[name]) - len(found[name]) for name in ("kept", "causes"))
        texts_gone = found["traceback_text"] != whole["traceback_text"]
        assert omitted + gone + texts_gone == left_out


# A secret as it is made up: letters of both cases and digits, no word.
SECRETS = st.from_regex(
    r"[A-Z][a-z]{2}[0-9]{3}[A-Z]{2}[a-z0-9]{6}[0-9][A-Z]", fullmatch=True
)
NAMES = st.sampled_from(
    [
        "password",
        "PASSWORD",
        "db_password",
        "client-secret",
        "apiKey",
        "aws_secret_access_key",
    ]
)
AROUND = st.text(alphabet="abc xyz,.\n", max_size=20)
FORMS = st.sampled_from(
    [
        "{name}={secret}",
        "{name}: {secret}",
        '"{name}": "{secret}"',
        "--{name} {secret}",
        "{{'{name}': '{secret}'}}",
        "{name} = '{secret}'",
    ]
)


@examples(300)
@given(name=NAMES, secret=SECRETS, form=FORMS, before=AROUND, after=AROUND)
def test_a_named_secret_is_hidden_wherever_it_stands(name, secret, form, before, after):
    text = f"{before}\n{form.format(name=name, secret=secret)}\n{after}"
    found = redact_text(text)
    assert secret not in found and HIDDEN in found


@examples(200)
@given(name=NAMES, secret=SECRETS, depth=st.integers(1, 4))
def test_a_named_secret_is_hidden_within_texts_within_texts(name, secret, depth):
    text = json.dumps({name: secret, "rows": 3})
    for _ in range(depth):
        text = json.dumps({"body": text})
    assert secret not in redact_text(text)


@examples(200)
@given(text=st.text(max_size=200))
def test_what_is_redacted_stays_so(text):
    once = redact_text(text)
    assert redact_text(once) == once


@examples(200)
@given(text=st.text(max_size=200), value=st.text(min_size=4, max_size=20))
def test_a_given_value_is_hidden_in_any_text(text, value):
    if HIDDEN not in value and value not in HIDDEN:
        assert value not in redact_text(f"{text}{value}{text}", values=[value]).replace(
            HIDDEN, "\0"
        )
