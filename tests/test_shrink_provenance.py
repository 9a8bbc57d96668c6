"""Where culprits came from: file and line, row group, slice."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import dask
import pytest
from commands import environment
from distributed import wait

import dbgkit
from dbgkit.remote.common.shrink_lines import lines_of

dd = pytest.importorskip("dask.dataframe")
db = pytest.importorskip("dask.bag")
da = pytest.importorskip("dask.array")
pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")

META = {"a": int, "b": int}
BAD = 777


def frame():
    made = pd.DataFrame({"a": range(1_000), "b": [str(i) for i in range(1_000)]})
    made.loc[BAD, "b"] = "abc"
    return made


def numbers(part):
    return part.assign(b=part.b.map(int))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("provenance")
    frame().to_csv(folder / "rows.csv", index=False)
    text = (folder / "rows.csv").read_text()
    (folder / "gaps.csv").write_text(text.replace("\n500,500\n", "\n\n\n500,500\n"))
    (folder / "quoted.csv").write_text(text.replace("3,3\n", '3,"3\n"\n', 1))
    (folder / "rows.txt").write_text("\n".join(frame().b) + "\n")
    with gzip.open(folder / "rows.txt.gz", "wt") as file:
        file.write("\n".join(frame().b) + "\n")
    frame().to_parquet(folder / "rows.parquet", row_group_size=100)
    return folder


def shrunk(collection, **options):
    with pytest.raises(ValueError, match="invalid literal") as caught:
        collection.compute(scheduler="sync", **options)
    return dbgkit.shrink(caught.value)


def line_of(found):
    """The line of the only culprit, as told, and as data."""
    (told,) = found.provenance
    assert found.culprits[0].provenance == told
    assert told.text in " ".join(str(found).split())
    assert f"line {told.line}" == told.place
    return told.line


def read_csv(folder, name="rows.csv", **options):
    read = dd.read_csv(str(folder / name), dtype={"b": str}, **options)
    return read.map_partitions(numbers, meta=META)


@pytest.mark.parametrize("optimize", [True, False], ids=["fused", "each"])
@pytest.mark.parametrize("blocksize", [None, 2_000])
def test_read_csv(folder, blocksize, optimize):
    collection = read_csv(folder, blocksize=blocksize)
    if optimize:
        collection = collection.optimize(fuse=True)
    found = shrunk(collection)
    assert line_of(found) == BAD + 2  # a header, and counted from 1
    assert found.provenance[0].path.endswith("rows.csv")
    lines = (folder / "rows.csv").read_text().splitlines()
    assert "abc" in lines[line_of(found) - 1]


def test_blank_lines_count(folder):
    assert line_of(shrunk(read_csv(folder, "gaps.csv", blocksize=None))) == BAD + 4


def test_lines_that_cannot_be_counted_are_not_told(folder):
    found = shrunk(read_csv(folder, "quoted.csv", blocksize=None))
    assert found.verdict == "one" and not found.provenance
    assert "line ends within quotes" in found.notes[-1]


@pytest.mark.parametrize("blocksize", [None, 500])
def test_read_text(folder, blocksize):
    collection = db.read_text(str(folder / "rows.txt"), blocksize=blocksize).map(int)
    assert line_of(shrunk(collection)) == BAD + 1


def test_compressed_text(folder):
    collection = db.read_text(str(folder / "rows.txt.gz")).map(int)
    assert line_of(shrunk(collection)) == BAD + 1


@pytest.mark.parametrize("split", [True, False])
def test_read_parquet(folder, split):
    read = dd.read_parquet(folder / "rows.parquet", split_row_groups=split)
    found = shrunk(read.map_partitions(numbers, meta=META))
    assert found.provenance[0].place == "row group 7, row 77 of it"
    assert found.provenance[0].line is None


def test_from_array(tmp_path):
    stored = tmp_path / "rows.npy"
    rows = np.arange(1_000.0)
    rows[BAD] = -1
    np.save(stored, rows)
    source = np.load(stored, mmap_mode="r")
    with pytest.raises(ValueError, match="negative") as caught:
        da.from_array(source, chunks=300).map_blocks(refuse).compute(scheduler="sync")
    found = dbgkit.shrink(caught.value)
    assert found.verdict == "one" and found.rows == 300
    assert found.provenance[0].place == f"[{BAD}]"
    assert dbgkit.replay(found).outcome == "same"


def refuse(chunk):
    if (chunk < 0).any():
        raise ValueError("negative")
    return chunk


@pytest.mark.parametrize("where", ["here", "worker", "process"])
def test_on_a_cluster_in_each_place(processes_client, folder, where):
    future = processes_client.compute(read_csv(folder, blocksize=2_000))
    wait(future)
    found = dbgkit.shrink(future, where=where)
    assert found.where == where and line_of(found) == BAD + 2


def test_partitions_that_were_persisted(processes_client, folder):
    read = dd.read_csv(str(folder / "rows.csv"), dtype={"b": str}, blocksize=2_000)
    held = read.persist()
    wait(held)
    future = processes_client.compute(held.map_partitions(numbers, meta=META))
    wait(future)
    assert dbgkit.shrink(future).culprits[0].partition == 2


def test_a_file_that_is_gone_costs_nothing_but_its_lines(folder, tmp_path):
    (tmp_path / "gone.csv").write_text((folder / "rows.csv").read_text())
    with pytest.raises(ValueError) as caught:
        read_csv(tmp_path, "gone.csv").compute(scheduler="sync")
    source = {"what": "read_csv", "path": str(tmp_path / "none.csv"), "place": ""}
    lines, note = lines_of(source, frame(), [BAD])
    assert lines == [] and "none.csv are not told: FileNotFoundError" in note
    del caught


def test_delayed_readers_have_their_call(tmp_path):
    @dask.delayed
    def load(count):
        return [*range(count), "abc"]

    found_by = dask.delayed(total)(load(100))
    with pytest.raises(TypeError) as caught:
        found_by.compute(scheduler="sync")
    found = dbgkit.shrink(caught.value)
    assert [each.position for each in found.culprits] == [100]


def total(rows):
    return sum(rows)


def test_the_example_finds_both_lines(tmp_path):
    example = Path(__file__).parent.parent / "examples" / "smallest_input.py"
    done = subprocess.run(
        [sys.executable, example],
        capture_output=True,
        text=True,
        env=environment(COLUMNS="100"),
        cwd=tmp_path,
        timeout=120,
    )
    text = " ".join(done.stdout.split())
    assert "verdict some: 2 rows make it fail together" in text, done.stderr
    assert "line 1,236" in text and "line 20,002" in text
    assert "it fails in the same way: same" in text


def test_what_dask_itself_cannot_read_shrinks_to_its_line(tmp_path):
    """Its own line is compared: other errors of its code are other failures."""
    rows = [f"{number},{number}" for number in range(200)]
    for month in range(2):
        rows[50 + month] = "50,n/a" if month else rows[50]
        text = "\n".join(["trip,delay", *rows]) + "\n"
        (tmp_path / f"{month}.csv").write_text(text)
    read = dd.read_csv(str(tmp_path / "*.csv"))
    with pytest.raises(ValueError, match="Mismatched dtypes") as caught:
        read.delay.sum().compute(scheduler="sync")
    found = dbgkit.shrink(caught.value)
    assert [each.value for each in found.culprits] == [
        "b'trip,delay\\n'",
        "b'50,n/a\\n'",
    ]
    assert found.failure.message.startswith("Mismatched dtypes")
