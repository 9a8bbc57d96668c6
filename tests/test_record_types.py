"""Arrays and frames of many libraries in a bounded text, none of them imported."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types

import numpy as np
import pandas as pd
import pytest

from dbgkit.remote.values.arrays import FULL, sample
from dbgkit.remote.values.keep import NOT_KEPT, keep
from dbgkit.remote.values.summarize import summarize
from dbgkit.remote.values.tables import foreign_column

LETTERS = pd.Series(["a", "b", None], dtype=object)
DAYS = pd.to_datetime(pd.Series(["2020-01-01", None]))
PAIRS = pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["k", "n"])


def text_of(value):
    return summarize(value)["text"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.ma.masked, "float64 (), 1 masked: --"),
        (
            np.ma.array([1.0, 9.0, np.nan], mask=[0, 1, 0]),
            "float64 (3,), 1 masked, 1 NaN, 1.0 to 1.0: [1.0, --, nan]",
        ),
        (np.zeros(1, [(f"f{n}", "i4") for n in range(50)]), "structured, 50 fields"),
        (np.array([b"ab"], "V2"), "|V2 (1,): [b'ab']"),
        (np.array([(1, 2.5)], "i4,f8")[0], "(1, 2.5)"),
        (np.datetime64("2020-01-01"), "2020-01-01"),
        (pd.Series([1, None], dtype="Int64"), "2 rows Int64 (1 NaN, 1 to 1): [1, <NA>"),
        (LETTERS.astype("category"), "category (1 NaN, 2 categories): ['a', 'b', nan]"),
        (LETTERS, "3 rows object (1 NaN): ['a', 'b', None]"),
        (LETTERS.astype("string"), "(1 NaN): ['a', 'b', <NA>]"),
        (DAYS.dt.tz_localize("UTC"), "UTC] (1 NaN, 2020-01-01 00:00:00+00:00 to 2020"),
        (DAYS.dt.to_period("D"), "2 rows period[D] (1 NaN): [2020-01-01, NaT]"),
        (pd.Interval(0, 1), "(0, 1]"),
        (pd.NA, "<NA>"),
        (pd.RangeIndex(10**9), "1,000,000,000 labels: [0, 1, 2, … 999,999,997 more]"),
        (pd.DataFrame({"v": range(4)}, index=PAIRS), "'v' int64 (0 to 3); index [('a'"),
        (pd.DataFrame(np.ones((1, 4)), columns=PAIRS), "('a', 1) float64 (1.0 to 1.0)"),
        (pd.DataFrame(), "0 rows; index []"),
    ],
)
def test_numpy_and_pandas(value, expected):
    assert expected in text_of(value)


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    arrow = pd.Series([1, None], dtype="int64[pyarrow]")
    assert "int64[pyarrow] (1 NaN, 1 to 1): [1, <NA>]" in text_of(arrow)
    assert text_of(pa.array([1, None])) == "int64 (2,), 1 null: [1, None]"
    assert text_of(pa.chunked_array([["a"]])) == "string (1,), 0 null: ['a']"
    assert text_of(pa.scalar(5)) == "5"


@pytest.mark.skipif(sys.platform != "linux", reason="told by Linux' own table of maps")
def test_a_mapped_arrow_file_is_not_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = str(tmp_path / "a.arrow")
    table = pa.table({"a": np.arange(100_000)})
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    mapped = pa.ipc.open_file(pa.memory_map(path)).read_all()
    assert text_of(mapped["a"]) == "int64 (100000,), memory-mapped, not read"
    assert text_of(mapped) == "100,000 rows, 1 columns: 'a' int64"


def test_xarray():
    xr = pytest.importorskip("xarray")
    array = xr.DataArray(np.ones((1, 2)), dims=("x", "y"), name="t", coords={"x": [5]})
    told = "('x', 'y') float64 (1, 2), 0 NaN, 1.0 to 1.0: [1.0, 1.0]"
    assert text_of(array) == f"'t' {told}; coordinates 'x'"
    both = xr.Dataset({"t": array, "token": array})
    assert text_of(both) == (
        f"2 variables: 't' {told}; 'token' <hidden>; coordinates 'x'"
    )


def test_lazy_xarray_is_not_loaded():
    xr = pytest.importorskip("xarray")
    da = pytest.importorskip("dask.array")
    told = text_of(xr.DataArray(da.ones(5), dims="x", name="t"))
    assert told == "'t' ('x') <Array>, not read"


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse(kind):
    sparse = pytest.importorskip("scipy.sparse")
    for family in ("matrix", "array"):
        made = getattr(sparse, f"{kind}_{family}")(np.eye(3))
        assert text_of(made).startswith("(3, 3), 3 stored: float64 (")


def test_torch():
    torch = pytest.importorskip("torch")
    assert text_of(torch.ones(2)) == "float32 (2,), 0 NaN, 1.0 to 1.0: [1.0, 1.0]"
    assert text_of(torch.ones(2, dtype=torch.bfloat16)) == "bfloat16 (2,)"
    assert text_of(torch.ones(2, device="meta")) == "float32 (2,) on meta, not read"
    assert text_of(torch.eye(3).to_sparse()) == "float32 (3, 3), sparse_coo"


class Tensor:
    """Has of a tensor what is asked of one."""

    dtype = "torch.float32"
    shape = (2,)
    layout = "strided"

    def __init__(self, device):
        self.device = types.SimpleNamespace(type=device)

    def data_ptr(self):
        return 0

    def detach(self):
        assert self.device.type == "cpu", "its values would be waited for"
        return self

    def numpy(self):
        return np.ones(2, "f4")


def test_what_looks_like_torch(monkeypatch):
    module = types.ModuleType("torch")
    module.Tensor, module.strided = Tensor, "strided"
    monkeypatch.setitem(sys.modules, "torch", module)
    assert text_of(Tensor("cpu")) == "float32 (2,), 0 NaN, 1.0 to 1.0: [1.0, 1.0]"
    assert text_of(Tensor("cuda")).endswith(", not read")

    class Derived(Tensor):
        pass

    assert text_of(Derived("cpu")).startswith(
        "test_what_looks_like_torch.<locals>.Derived("
    )


@pytest.mark.parametrize(
    "shape", [(10**9,), (10**6, 10**6), (3, 10**8), (10**8, 3), (999, 1_001, 1_003)]
)
def test_a_sample_is_of_no_more_than_a_million_elements(shape):
    part = sample(np.broadcast_to(1.0, shape))
    assert 1_000 <= part.size <= FULL


def test_all_of_a_million_elements_are_looked_at():
    values = np.zeros(FULL)
    values[123_457] = 7
    assert "0.0 to 7.0: " in text_of(values)
    assert "(sampled)" in text_of(np.zeros(FULL + 1))


def test_pandas_gives_a_column_without_asking_it():
    # Contract: foreign_column reads DataFrame._mgr.iget_values.
    frame = pd.DataFrame({"a": [1], "b": pd.array([1], dtype="Int64")})
    assert hasattr(frame._mgr, "iget_values")
    assert foreign_column(frame, 0) == foreign_column(frame, 1) == ""


def test_no_library_is_imported():
    code = """
        import sys
        import types
        import numpy as np
        from dbgkit.remote.recording.take import Limits, take

        class Torch(types.ModuleType):  # loaded on the first look at it
            def __getattribute__(self, name):
                raise AssertionError(name)

        sys.modules["torch"] = Torch("torch")
        try:
            values = np.ones(3)
            raise ValueError(values, object())
        except ValueError as error:
            take(error, Limits(), short=False)
        for name in ("pandas", "pyarrow", "xarray", "scipy"):
            assert name not in sys.modules, name
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_mapped_array_is_not_kept(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones(4))
    assert keep(np.ones(4), 1_000) is not NOT_KEPT
    assert keep(np.asarray(np.load(path, mmap_mode="r")), 1_000) is NOT_KEPT
