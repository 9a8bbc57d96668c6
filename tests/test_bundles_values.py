"""Values in safe formats: what is written comes back the same, or is not written."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst
from test_unit_properties import VALUES, same

from dbgkit.bundles.arrow_same import same_table
from dbgkit.bundles.values import ValueWriter, read_value
from dbgkit.errors import BundleUnreadable
from dbgkit.remote.values.keep import NOT_KEPT, keep, keep_whole

LIMIT = 10_000_000


def stored(value):
    """An archive with a value, and where it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        found = ValueWriter(archive).store(value)
    return zipfile.ZipFile(file), found


def there_and_back(value):
    archive, found = stored(value)
    assert found is not None, "it has no safe format"
    return found, read_value(found.entry, archive.open, LIMIT)


class Frame(pd.DataFrame):
    pass


def frozen(array):
    array.flags.writeable = False
    return array


def noted(frame):
    frame.attrs.update({"unit": "m", "of": [1, (2, None)]})
    return frame


DAYS = pd.date_range("2024-03-30", periods=4, freq="D", tz="Europe/Berlin", name="day")
MULTI = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", None])
TIMES = pa.timestamp("us", "UTC")
DATES = [datetime.datetime(2020, 1, 1), None]

ARRAYS = {
    "floats": np.array([0.0, -0.0, np.nan, np.inf, 5e-324]),
    "other nan": np.array([0x7FF8000000000001], "u8").view("f8"),
    "Fortran order": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "not contiguous": np.arange(20)[::2],
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "reversed": np.arange(6)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
    "of no dimension": np.array(3),
    "bool": np.array([True, False]),
    "complex": np.array([1j, np.nan]),
    "half": np.array([1, 2], "f2"),
    "big endian": np.arange(3, dtype=">i4"),
    "structured": np.array([(1, 2.0, "x")], [("a", "i4"), ("b", "f8"), ("c", "U3")]),
    "with gaps": np.zeros(2, {"names": ["a"], "formats": ["i4"], "itemsize": 12}),
    "texts": np.array(["a", "bcd", "ü"]),
    "bytes": np.array([b"a", b"b\x00c"]),
    "void": np.zeros(2, "V3"),
    "dates": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "durations": np.array([1, "NaT"], "m8[25s]"),
    "empty": np.zeros((0, 3)),
    "locked": frozen(np.arange(3.0)),
}

TABLES = {
    "numbers": pd.DataFrame({"a": [1.0, np.nan, -0.0], "b": [1, 2, 3]}),
    "one block": pd.DataFrame(np.arange(6.0).reshape(3, 2)),
    "mixed objects": pd.DataFrame(
        {"a": [1, "x", None], "b": [np.nan, None, 1.5], "c": [True, 1, 1.0]},
        dtype=object,
    ),
    "objects of other kinds": pd.Series(
        [
            *(pd.NA, pd.NaT, decimal.Decimal("1.50"), decimal.Decimal("NaN"), "x"),
            *(datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 2, 3, 4, 5)),
            datetime.timedelta(-1, 2, 3),
        ],
        dtype=object,
    ),
    "texts as objects": pd.Series(["a", None], dtype=object),
    "texts and nan": pd.Series(["a", np.nan], dtype=object),
    "bytes": pd.Series([b"\x00\xff", None], dtype=object),
    "texts": pd.Series(["a", None, "ü"]),
    "string": pd.Series(["a", None], dtype="string"),
    "string[python]": pd.Series(["a", None], dtype="string[python]"),
    "categories": pd.Series(list("abca"), dtype="category", name="c"),
    "ordered categories": pd.Series(
        pd.Categorical([1, 2, None], categories=[2, 1, 3], ordered=True)
    ),
    "categories of dates": pd.Series(DAYS, dtype="category"),
    "no categories": pd.Series(pd.Categorical([None], categories=[])),
    "intervals": pd.cut(pd.Series([1, 5, 9.0]), 3),
    "interval index": pd.interval_range(0, 3, closed="left"),
    "time zone": pd.DataFrame({"when": DAYS}),
    "index of days": DAYS,
    "UTC": pd.date_range("2024", periods=3, tz="UTC"),
    "fixed zone": pd.date_range(
        "2024", periods=3, tz=datetime.timezone(datetime.timedelta(hours=2))
    ),
    "dates": pd.DataFrame(
        {
            "a": pd.to_datetime(["2020", None]),
            "b": pd.to_timedelta([1, None], unit="s"),
            "c": pd.to_datetime(["2020", "2021"]).astype("M8[s]"),
        }
    ),
    "frequency": pd.Series([1, 2, 3], index=pd.date_range("2020", periods=3, freq="h")),
    "business": pd.Series([1, 2], index=pd.date_range("2020", periods=2, freq="B")),
    "durations": pd.timedelta_range("1h", periods=3),
    "periods": pd.Series(pd.period_range("2020", periods=3, freq="M")),
    "period index": pd.period_range("2020", periods=3, freq="Q-NOV"),
    "rows of levels": pd.DataFrame({"x": [1, 2, 3.0]}, index=MULTI),
    "columns of levels": pd.DataFrame(np.ones((1, 3)), columns=MULTI),
    "some of the levels": pd.DataFrame({"x": [1, 2, 3.0]}, index=MULTI).iloc[1:2],
    "nullable": pd.DataFrame(
        {
            "a": pd.array([1, None], "Int64"),
            "b": pd.array([True, None], "boolean"),
            "c": pd.array([1.5, None], "Float32"),
            "d": pd.array([1, None], "UInt8"),
        }
    ),
    "empty": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": np.zeros(0), "b": pd.Series([], dtype="category")}),
    "no columns": pd.DataFrame(index=[3, 4]),
    "no columns, a range": pd.DataFrame(index=range(7)),
    "equal columns": pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"]),
    "equal rows": pd.DataFrame({"a": [1, 2, 3], "b": list("xyz")}, index=[1, 1, 2]),
    "mixed labels": pd.DataFrame([[1, 2, 3]], columns=["a", 1, None]),
    "a range": pd.RangeIndex(3, 9, 2, name="r"),
    "an index": pd.Index([1.5, np.nan], name=("a", 1)),
    "half": pd.Series(np.array([1, 2], "f2")),
    "complex": pd.Series([1j, 2]),
    "integers of Arrow": pd.Series([1, None], dtype="int64[pyarrow]"),
    "times of Arrow": pd.Series(DATES, dtype=pd.ArrowDtype(TIMES)),
    "attrs": noted(pd.DataFrame({"a": [1]})),
    "a name": pd.Series([1], name=("a", 1)),
    "no equal labels": pd.DataFrame({"a": [1]}).set_flags(
        allows_duplicate_labels=False
    ),
    "many rows": pd.DataFrame({"n": range(60_000), "t": ["x", None, "yz"] * 20_000}),
}

BUILTIN = {
    "nested": [{"a": (1, 2.0, [None, True])}, {"k": b"\x00\xff"}],
    "deep": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]],
    "huge": [2**4_000, -(2**64), 2**63 - 1],
    "sets": [{1, 2, 3}, frozenset([3]), set(), {float("nan")}],
    "keys": {float("nan"): 1, None: 2, (1, 2): -0.0, True: 1j, b"x": ...},
    "secrets": {"password": "hunter2", "url": "https://me:hunter2@example.com"},
    "tags": [["b64", "eHg="], ["list", ["b64", "x"]], ["int", "0x1"], "b64"],
    "floats": [float("inf"), -0.0, 5e-324, float("nan"), 1e308],
    "others": [range(3), slice(1, None), ..., 2 + 1j, bytearray(b"x"), ()],
    "text": "\x00\x1b[31m\u2028" * 10,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back(name):
    array = ARRAYS[name]
    found, again = there_and_back(array)
    assert found.format == "npy"
    assert again.dtype == array.dtype and again.dtype.str == array.dtype.str
    assert again.shape == array.shape and again.tobytes() == array.tobytes()
    assert again.flags.fnc == array.flags.fnc and again.flags.owndata
    assert again.flags.writeable == array.flags.writeable


@pytest.mark.parametrize("name", TABLES)
def test_a_table_comes_back(name):
    table = TABLES[name]
    found, again = there_and_back(table)
    assert found.format == "arrow"
    assert same_table(again, table)
    # What pandas compares is compared apart from ours.
    if isinstance(table, pd.DataFrame):
        pd.testing.assert_frame_equal(again, table, check_exact=True)
        assert again.attrs == table.attrs
    elif isinstance(table, pd.Series):
        if name != "objects of other kinds":  # of which one is not equal to itself
            pd.testing.assert_series_equal(again, table, check_exact=True)
    else:
        pd.testing.assert_index_equal(again, table, exact=True)


def test_a_table_that_was_read_can_be_changed():
    _, again = there_and_back(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}))
    again.iloc[0, 0] = 5.0
    again["b"] = again["b"].fillna("y")
    assert again.to_numpy().tolist() == [[5.0, "x"], [2.0, "y"]]
    assert all(block.values.flags.writeable for block in again[["a"]]._mgr.blocks)


@pytest.mark.parametrize("name", BUILTIN)
def test_a_builtin_value_comes_back(name):
    found, again = there_and_back(BUILTIN[name])
    assert found.format == "json"
    assert repr(again) == repr(BUILTIN[name])


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a"], object),
        np.ma.array([1, 2], mask=[0, 1]),
        np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.zeros(2, np.dtype("f8", metadata={"a": 1})),
        Frame({"a": [1]}),
        pd.Series([pd.Timestamp("2020"), 1], dtype=object),
        pd.Series([[1], (2,)], dtype=object),
        pd.Series([datetime.datetime(2020, 1, 1, fold=1)], dtype=object),
        pd.Series([datetime.time(1)], dtype=object),
        pd.Series([decimal.Decimal("1" * 2_000)]),
        pd.Series(pd.arrays.SparseArray([0, 0, 1])),
        pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        pd.Series([1], name=object()),
        pd.Series(["\ud800"], dtype=object),
        pd.DataFrame(frozen(np.ones((2, 2))), copy=False),
        noted(pd.DataFrame({"a": [1]})).set_axis(["a"], axis=1).rename(columns=str),
        [np.float64(1)],
        {"a": object()},
        ["\ud800"],
        type("Own", (dict,), {})(a=1),
        datetime.date(2020, 1, 1),
    ],
)
def test_nothing_is_written_of_what_would_not_come_back(value):
    if isinstance(value, pd.DataFrame) and value.attrs:
        value.attrs["more"] = object()
    archive, found = stored(value)
    assert found is None and archive.namelist() == []


# -- any value -----------------------------------------------------------------


@examples(150)
@given(VALUES)
def test_any_builtin_value_comes_back_or_is_not_written(value):
    archive, found = stored(value)
    if found is not None:
        assert same(read_value(found.entry, archive.open, LIMIT), value)
    else:
        with pytest.raises(UnicodeEncodeError):  # half of a surrogate pair
            repr(value).encode()
            str(value).encode("utf-8", "strict")
            raise UnicodeEncodeError("utf-8", "", 0, 1, "within it") from None


DTYPES = st.one_of(
    *(npst.boolean_dtypes(), npst.integer_dtypes(), npst.floating_dtypes()),
    *(
        npst.complex_number_dtypes(),
        npst.datetime64_dtypes(),
        npst.timedelta64_dtypes(),
    ),
    *(npst.unicode_string_dtypes(max_len=3), npst.byte_string_dtypes(max_len=3)),
    npst.array_dtypes(max_size=3),
)


@examples(150)
@given(npst.arrays(DTYPES, npst.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_any_array_comes_back(array):
    archive, found = stored(array)
    if found is None:
        assert array.dtype.names or array.dtype.subdtype
        return
    again = read_value(found.entry, archive.open, LIMIT)
    assert again.dtype == array.dtype and again.shape == array.shape
    assert again.tobytes() == array.tobytes()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
INDEXES = st.one_of(
    pdst.range_indexes(max_size=6),
    pdst.indexes(elements=st.text(max_size=3), min_size=0, max_size=6, dtype=object),
    pdst.indexes(dtype="M8[ns]", max_size=6),
)
FRAMES = pdst.data_frames(
    [
        pdst.column("number", dtype=float),
        pdst.column("whole", dtype="i4"),
        pdst.column("when", dtype="M8[ns]"),
        pdst.column("any", elements=SCALARS, dtype=object),
        pdst.column("text", elements=st.text(max_size=4), dtype=object),
    ],
    index=INDEXES,
)


@examples(40)
@given(FRAMES)
def test_any_frame_comes_back_or_is_not_written(frame):
    archive, found = stored(frame)
    if found is None:
        with pytest.raises(UnicodeEncodeError):
            "".join(map(str, [*frame.index, *frame.to_numpy().ravel()])).encode()
        return
    again = read_value(found.entry, archive.open, LIMIT)
    assert same_table(again, frame)
    assert [[type(each) for each in row] for row in again.to_numpy()] == [
        [type(each) for each in row] for row in frame.to_numpy()
    ]


def test_the_recorders_form_still_hides_what_this_one_shows():
    value = {"password": "hunter2"}
    assert keep(value, 10_000) == NOT_KEPT
    assert keep_whole(value, 10_000) == ["dict", [["password", "hunter2"]]]
    assert keep_whole([1] * 10_000, 1_000) == NOT_KEPT


# -- of anybody's --------------------------------------------------------------


def read_bytes(name, data, limit=LIMIT):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return read_value(name, zipfile.ZipFile(file).open, limit)


def npy(header, data=b"", version=(2, 0)):
    text = header.encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<I", len(text)) + text + data


def shaped(shape, descr="'<f8'"):
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


def pickled_npy():
    file = io.BytesIO()
    np.save(file, np.array([print], object), allow_pickle=True)
    return file.getvalue()


HOSTILE_ARRAYS = {
    "nothing": b"",
    "no array": b"garbage" * 10,
    "a pickle": pickled_npy(),
    "objects": shaped("(1,)", "'|O'") + b"\x80\x05N.",
    "fields of objects": shaped("(1,)", "[('a', '|O')]") + b"\x80\x05N.",
    "cut": shaped("(3,)") + b"\x00" * 20,
    "more than it": shaped("(1,)") + b"\x00" * 20,
    "huge": shaped(f"({10**12},)"),
    "huger": shaped(f"({10**12}, {10**12})"),
    "negative": shaped("(-1,)"),
    "two negatives": shaped("(-1, -8)") + b"\x00" * 64,
    "of no bytes": shaped(f"({10**12},)", "'|V0'"),
    "huge elements": shaped("(1,)", "'|V2000000000'"),
    "many dimensions": shaped(str((1,) * 200)) + b"\x00" * 8,
    "a long header": npy(" " * 20_000),
    "a header that is cut": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
    "deep": npy("(" * 5_000),
    "no header": npy("__import__('os').abort()"),
    "another version": npy("{}", version=(9, 9)),
}


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_arrays_of_anybodys_are_a_clear_error(name):
    with pytest.raises(BundleUnreadable, match=r"inputs/0\.npy"):
        read_bytes("inputs/0.npy", HOSTILE_ARRAYS[name])


HOSTILE_JSON = {
    "nothing": b"",
    "cut": b'["list",[1,2',
    "deep": b'["list",[' * 100_000,
    "deep lists": b"[" * 100_000,
    "no tag": b"[1,2,3]",
    "unknown tag": b'["call",["os.abort"]]',
    "an object": b'{"a":1}',
    "within": b'["list",[{"a":1}]]',
    "no base64": b'["b64","\xc3\xbc"]',
    "a scalar over a range": b'["series",[null,["float64",["scalar",1]],'
    b'["range",null,[0,1000000000,1]]]]',
    "an array": b'["array",["<f8",[1000000000000],"","C",false]]',
    "not hashable": b'["set",[["list",[]]]]',
    "many digits": b"1" * 1_000_000,
    "no text": b"\xff\xfe",
    "a number of bytes": b'["bytearray",1000000000]',
    "one hash": json.dumps(
        ["set", [["int", hex(n * (2**61 - 1))] for n in range(20_000)]]
    ).encode(),
    "no pairs": b'["dict",[[1]]]',
}


@pytest.mark.parametrize("name", HOSTILE_JSON)
def test_json_of_anybodys_is_a_clear_error(name):
    with pytest.raises(BundleUnreadable, match=r"inputs/0\.json"):
        read_bytes("inputs/0.json", HOSTILE_JSON[name])


class Ran(pa.ExtensionType):
    """An extension type that tells when it is made from a file."""

    ran = False

    def __init__(self):
        super().__init__(pa.int64(), "dbgkit.tests")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        cls.ran = True
        return cls()


def stream(arrays, note, rows=None, **options):
    """A stream of Arrow as `values_arrow` writes it, with a note of anybody's."""
    fields = [pa.field(str(n), array.type) for n, array in enumerate(arrays)]
    schema = pa.schema(fields, {b"dbgkit": json.dumps(note).encode()})
    file = io.BytesIO()
    with pa.ipc.new_stream(file, schema, **options) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return file.getvalue()


def index_of(values, **more):
    return {"kind": "index", "index": {"values": values, "freq": None, "name": None}}


NUMBERS = index_of({"is": "numbers", "dtype": "<i8", "at": [0, 0]})
ONES = pa.array([1] * 1_000)


def truncated(bytes_off):
    return stream([ONES], NUMBERS)[:-bytes_off]


def claiming(rows):
    """A stream whose batch claims more rows than it has."""
    data = bytearray(stream([ONES], NUMBERS))
    one = struct.pack("<q", 1_000)
    for _ in range(data.count(one)):
        data = data.replace(one, struct.pack("<q", rows))
    return bytes(data)


def of_texts(text):
    array = pa.array([text], pa.large_string())
    return stream([array], index_of({"is": "objects", "texts": False, "at": [0, 0]}))


def of_offsets(*offsets):
    """Texts whose offsets lead out of their bytes."""
    array = pa.array(["a", "b"], pa.large_string())
    data = stream([array], index_of({"is": "objects", "texts": True, "at": [0, 0]}))
    before = struct.pack("<3q", 0, 1, 2)
    assert data.count(before) == 1
    return data.replace(before, struct.pack("<3q", *offsets))


def zone(name):
    values = {"is": "zoned", "unit": "ns", "zone": name, "at": [0, 0]}
    return stream([ONES], index_of(values))


RANGE = {"range": [0, 10**12, 1], "name": None}
LEVELS = {
    **{"levels": [{"range": [0, 2, 1], "name": None}], "names": [None]},
    **{"codes": [{"dtype": "<i8", "at": [0, 0]}], "sorted": None},
}
HOSTILE_TABLES = {
    "nothing": lambda: b"",
    "no stream": lambda: b"garbage" * 100,
    "cut at its end": lambda: truncated(100),
    "cut": lambda: truncated(7_000),
    "no note": lambda: stream([ONES], {}),
    "a deep note": lambda: stream([ONES], 0).replace(b'"0"', b"[[["),
    "another kind": lambda: stream([ONES], {"kind": "Panel", "index": RANGE}),
    "huge range": lambda: stream([ONES], {"kind": "index", "index": RANGE}),
    "claims 10**12 rows": lambda: claiming(10**12),
    "claims -1 rows": lambda: claiming(-1),
    "compressed": lambda: stream(
        [ONES], NUMBERS, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ),
    "nothing but nulls": lambda: stream([pa.nulls(10**9)], NUMBERS),
    "of no bytes": lambda: stream([pa.array([b""], pa.binary(0))], NUMBERS),
    "dictionary": lambda: stream([ONES.dictionary_encode()], NUMBERS),
    "lists": lambda: stream([pa.array([[1]])], NUMBERS),
    "extension": lambda: stream([pa.ExtensionArray.from_storage(Ran(), ONES)], NUMBERS),
    "another type": lambda: stream([pa.array(["x"])], NUMBERS),
    "a long number": lambda: of_texts('{"decimal": "' + "1" * 2_000 + '"}'),
    "no number": lambda: of_texts('{"decimal": "x"}'),
    "no date": lambda: of_texts('{"date": "2020-99-99"}'),
    "two kinds": lambda: of_texts('{"date": "2020-01-01", "NA": 0}'),
    "unknown kind": lambda: of_texts('{"call": "os.abort"}'),
    "deep object": lambda: of_texts('{"date": ' + "[" * 100_000),
    "offsets": lambda: of_offsets(0, 1, 10**9),
    "offsets back": lambda: of_offsets(0, 2, -5),
    "objects": lambda: stream(
        [ONES], index_of({**NUMBERS["index"]["values"], "dtype": "O"})
    ),
    "no codec": lambda: stream([ONES], index_of({"is": "pickle", "at": [0, 0]})),
    "no column": lambda: stream(
        [ONES], index_of({**NUMBERS["index"]["values"], "at": [0, 7]})
    ),
    "column -1": lambda: stream(
        [ONES], index_of({**NUMBERS["index"]["values"], "at": [0, -1]})
    ),
    "a zone that is a file": lambda: zone("dateutil//dev/zero"),
    "a zone that is a path": lambda: zone("/dev/zero"),
    "a zone above": lambda: zone("Europe/../../../../dev/zero"),
    "codes of no level": lambda: stream(
        [pa.array([99])], {"kind": "index", "index": LEVELS}
    ),
    "two lengths": lambda: stream(
        [ONES],
        {
            **{"kind": "Series", "attrs": ["dict", []], "duplicates": True},
            **{"index": {"range": [0, 10**6, 1], "name": None}, "name": None},
            "columns": [{"is": "numbers", "dtype": "<i8", "at": [0, 0]}],
        },
    ),
}


@pytest.mark.parametrize("name", HOSTILE_TABLES)
def test_tables_of_anybodys_are_a_clear_error(name):
    pa.register_extension_type(Ran())
    try:
        data = HOSTILE_TABLES[name]()
        Ran.ran = False
        with pytest.raises(BundleUnreadable, match=r"inputs/0\.arrow"):
            read_bytes("inputs/0.arrow", data)
        assert not Ran.ran
    finally:
        pa.unregister_extension_type("dbgkit.tests")


@examples(150)
@given(st.data())
def test_a_table_that_was_tampered_with_is_read_or_refused(data):
    archive, found = stored(TABLES[data.draw(st.sampled_from(FEW))])
    whole = bytearray(archive.read(found.entry))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(
            st.integers(0, 255)
        )
    with suppress(BundleUnreadable):
        repr(read_bytes("inputs/0.arrow", bytes(whole), 100_000))


FEW = ("numbers", "mixed objects", "texts", "categories", "rows of levels", "time zone")


@pytest.mark.parametrize("kind", ["npy", "arrow", "json"])
def test_no_more_is_read_than_the_limit_says(kind):
    values = {"npy": np.ones(1_000), "arrow": pd.Series(np.ones(1_000))}
    archive, found = stored(values.get(kind, list(range(1_000))))
    with pytest.raises(BundleUnreadable):
        read_value(found.entry, archive.open, 1_000)
    assert read_value(found.entry, archive.open, 50_000) is not None


def test_a_name_of_no_format_is_refused():
    with pytest.raises(BundleUnreadable, match="no format"):
        read_bytes("inputs/0.pickle", b"")


def test_numbers_are_stored_as_they_are_and_small_values_compressed():
    archive, found = stored(np.ones(1_000_000))
    assert archive.getinfo(found.entry).compress_type == zipfile.ZIP_STORED
    archive, found = stored(list(range(10_000)))
    assert archive.getinfo(found.entry).compress_size < found.nbytes / 2
    assert math.isclose(found.nbytes, 10_000 * 4.9, rel_tol=0.1)
