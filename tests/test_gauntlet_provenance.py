"""Where a failing value came from, of real collections on real clusters."""

from __future__ import annotations

import asyncio
import html
import sys
import time

import dask
import pytest
from distributed import futures_of, wait
from distributed.spans import Span
from watching import LIMIT, forgotten, wait_until

import dbgkit
from dbgkit import render

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
db = pytest.importorskip("dask.bag")
pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")

import provenance_tasks as job  # noqa: E402
import rerun_tasks  # noqa: E402

META = ("b", int)
TEXT = {"b": "str"}
GOOD, BAD = "a,b\n0,1\n1,2\n", "a,b\n0,1\n1,x\n"


def raised(compute):
    with pytest.raises(Exception) as caught:
        compute()
    return caught.value


def parsed(path):
    return dd.read_csv(str(path), dtype=TEXT).map_partitions(job.parse, meta=META)


def origins(target):
    """What is told of a failure, and stands in its card and in a replay's header."""
    failure = dbgkit.locate(target)
    told = [origin.text for origin in failure.came_from]
    card, page = render.to_text(failure, width=300), render.to_html(failure)
    for text in told:
        assert text in card
        assert html.escape(text) in page.replace("&#39;", "&#x27;")
    return told


# Of what was submitted, a span of 2025.4 loses some (see `came_from`).
LOSES = hasattr(Span, "_metadata_seen")


def told_of_map(target, *wanted):
    """Assert what is told of a task of a `Client.map`."""
    told = origins(target)
    assert told == [*wanted] or (LOSES and told == [*wanted[1:]])
    return told == [*wanted]


def header_of(target, **options):
    with dbgkit.replay(target, **options) as again:
        assert again.outcome == "same"
        return render.header(again, width=300)


@pytest.fixture
def csvs(tmp_path):
    """Three files, the second of them empty, the third one with a bad line."""
    for number, text in enumerate((GOOD, "", BAD)):
        (tmp_path / f"{number}.csv").write_text(text)
    return tmp_path


@pytest.fixture
def parquets(tmp_path):
    for number in range(2):
        frame = pd.DataFrame({"b": ["1", "x"] if number else ["1", "2"]})
        frame.to_parquet(tmp_path / f"{number}.parquet", row_group_size=1)
    return tmp_path


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "0.txt").write_text("1\n2\n3\n")
    (tmp_path / "1.txt").write_text("1\n2\nx\n")
    return tmp_path


# -- files ---------------------------------------------------------------------


def test_read_csv_names_the_file_and_the_bytes(processes_client, csvs):
    frame = dd.read_csv(str(csvs / "*.csv"), dtype=TEXT)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    path = str(csvs / "2.csv")
    assert origins(error) == [f"read_csv {path!r}, bytes 0 to {len(BAD)}"]


def test_partitions_are_not_counted_where_empty_files_are_skipped(
    processes_client, csvs
):
    frame = dd.read_csv(str(csvs / "*.csv"), dtype=TEXT)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert "(of " not in dbgkit.locate(error).name
    told = header_of(error)
    assert 'task    step "parse" on partition' in told
    assert f"from    read_csv {str(csvs / '2.csv')!r}" in told
    assert "inputs  df = pandas." in told


def test_read_csv_names_the_block_of_a_file(processes_client, csvs):
    frame = dd.read_csv(str(csvs / "2.csv"), blocksize=6, dtype=TEXT)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert origins(error) == [f"read_csv {str(csvs / '2.csv')!r}, bytes 6 to 12"]


def test_read_table_is_called_so(processes_client, csvs):
    frame = dd.read_table(str(csvs / "2.csv"), sep=",", dtype=TEXT)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert origins(error) == [f"read_table {str(csvs / '2.csv')!r}, bytes 0 to 12"]


def test_a_failure_in_library_frames_only(processes_client, csvs):
    error = raised(dd.read_csv(str(csvs / "*.csv"), dtype=TEXT).b.astype(int).compute)
    assert origins(error) == [f"read_csv {str(csvs / '2.csv')!r}, bytes 0 to 12"]


def test_read_json(processes_client, tmp_path):
    (tmp_path / "0.json").write_text('{"b": "x"}\n')
    frame = dd.read_json(str(tmp_path / "*.json"), lines=True)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert origins(error)[0].startswith(f"read_json {str(tmp_path / '0.json')!r}")


def test_read_parquet(processes_client, parquets):
    pytest.importorskip("pyarrow")
    frame = dd.read_parquet(str(parquets / "*.parquet"))
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert origins(error) == [f"read_parquet {str(parquets / '1.parquet')!r}"]


def test_read_parquet_names_the_row_group(processes_client, parquets):
    pytest.importorskip("pyarrow")
    frame = dd.read_parquet(str(parquets / "*.parquet"), split_row_groups=True)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    (told,) = origins(error)
    assert told == f"read_parquet {str(parquets / '1.parquet')!r}, row groups [1]"


def test_read_parquet_of_several_files_at_once_names_them(processes_client, parquets):
    pytest.importorskip("pyarrow")
    frame = dd.read_parquet(str(parquets), filesystem="arrow")
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    told = {f"read_parquet {str(parquets / f'{n}.parquet')!r}" for n in range(2)}
    assert set(origins(error)) <= told
    assert f"read_parquet {str(parquets / '1.parquet')!r}" in origins(error)


def test_what_is_forgotten_under_way_is_told_as_a_moment_later(
    inproc_client, parquets, monkeypatch
):
    def fail(**options):
        frame = dd.read_parquet(str(parquets / "*.parquet"))
        return raised(frame.map_partitions(job.parse, meta=META, **options).compute)

    wanted = [f"read_parquet {str(parquets / '1.parquet')!r}"]
    # Under another key than below: what the scheduler still has to say of it is not
    # taken for that task's failure.
    assert origins(fail(enforce_metadata=False)) == wanted
    # GIVEN failed tasks that the scheduler hears nobody wants once it has found them
    send, released = inproc_client._send_to_scheduler, []

    def send_later(message):
        later = message["op"] == "client-releases-keys"
        (released.append if later else send)(message)

    monkeypatch.setattr(inproc_client, "_send_to_scheduler", send_later)

    def let_go():
        while released:
            inproc_client.loop.add_callback(send, released.pop())

    found = forgotten_under_way(monkeypatch, let_go)
    # WHEN it is located THEN the graph in its traceback tells the rest
    assert origins(fail()) == wanted
    assert found


def test_a_future_that_is_forgotten_under_way_is_unknown_as_a_moment_later(
    inproc_client, monkeypatch
):
    futures = [inproc_client.submit(job.number, "x", key="forgotten-under-way")]
    error = futures[0].exception()
    # GIVEN a failed task that nobody wants any more once the scheduler has found it
    found = forgotten_under_way(monkeypatch, futures.clear)
    # WHEN it is located THEN what is left of it is told, and not that it is there
    failure = dbgkit.locate(error)
    assert found
    assert (failure.key, failure.found_in) == ("forgotten-under-way", "history")
    assert failure.exception_type == "ValueError"


def forgotten_under_way(monkeypatch, let_go):
    """Have failed tasks forgotten once a scheduler has found them; those, as it does.

    ``let_go`` has nobody want them any more; it is called in the event loop.
    """
    found = []
    for module in shipped("scheduler.visit"):
        find_roots = module.find_roots

        async def find_and_wait(*args, find_roots=find_roots, **options):
            roots = await find_roots(*args, **options)
            found.extend(roots.order)
            let_go()
            end = time.monotonic() + LIMIT
            while any(ts.state != "forgotten" for ts in roots.order):
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            return roots

        monkeypatch.setattr(module, "find_roots", find_and_wait)
    return found


def shipped(part):
    """Modules of this part as clusters of this process have been sent them."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("dbgkit_remote_") and name.endswith(f".{part}")
    ]


def test_read_text(processes_client, texts):
    error = raised(db.read_text(str(texts / "*.txt")).map(job.number).compute)
    assert origins(error) == [f"read_text {str(texts / '1.txt')!r}"]


def test_read_text_names_the_block(processes_client, texts):
    # As Dask cut it: the line that begins right after the first one within it.
    bag = db.read_text(str(texts / "*.txt"), blocksize=2)
    error = raised(bag.map(job.number).compute)
    assert origins(error) == [f"read_text {str(texts / '1.txt')!r}, bytes 2 to 4"]


def test_read_text_of_several_files_a_partition_names_them(processes_client, texts):
    bag = db.read_text(str(texts / "*.txt"), files_per_partition=2)
    error = raised(bag.map(job.number).compute)
    told = [f"read_text {str(texts / f'{n}.txt')!r}" for n in range(2)]
    assert sorted(origins(error)) == told


def test_from_array_names_the_slice_of_a_file(inproc_client, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = str(tmp_path / "x.h5")
    with h5py.File(path, "w") as file:
        file["v"] = np.arange(20)
    with h5py.File(path) as file:
        array = da.from_array(file["v"], chunks=5)
        error = raised(array.map_blocks(job.limited, dtype=int).compute)
        assert origins(error) == [f"from_array {path!r}, /v [15:20]"]
        part = array[3:18].map_blocks(job.limited, dtype=int)
        assert origins(raised(part.compute)) == [f"from_array {path!r}, /v [15:18]"]


def test_open_mfdataset_names_the_file_of_the_chunk(processes_client, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("scipy")
    for number in range(2):
        values = np.arange(6.0) + 11 * number
        data = xarray.Dataset({"v": ("t", values)})
        data.to_netcdf(tmp_path / f"{number}.nc", engine="scipy")
    data = xarray.open_mfdataset(
        str(tmp_path / "*.nc"),
        engine="scipy",
        combine="nested",
        concat_dim="t",
        chunks={"t": 3},
    )
    with data:
        array = data.v.data.map_blocks(job.limited, dtype=float)
        error = raised(array.compute)
    assert origins(error) == [f"open_dataset {str(tmp_path / '1.nc')!r}, v [3:6]"]


# -- calls, values, indices ----------------------------------------------------


def test_from_map_tells_the_item(processes_client):
    frame = dd.from_map(job.load, ["1", "x"], extra=3)
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert origins(error) == ["load(item='x', extra=3)"]
    assert "on partition 1 (of 2, counted" in dbgkit.locate(error).name


def test_from_delayed_tells_the_call(processes_client):
    parts = [dask.delayed(job.load)(item) for item in ("1", "x")]
    frame = dd.from_delayed(parts, meta=pd.DataFrame({"b": ["x"]}))
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    assert origins(error) == ["load(item='x')"]


def test_from_sequence_tells_the_items(processes_client):
    bag = db.from_sequence(["1", "2", "3", "x"], npartitions=2)
    error = raised(bag.map(job.number).compute)
    assert origins(error) == ["from_sequence ['3', 'x']"]


@pytest.mark.parametrize("pure", [True, False])
def test_client_map_tells_the_index(processes_client, pure):
    items = ["a", "b", "bad", "d"]
    futures = processes_client.map(job.check, items, pure=pure)
    error = raised(lambda: processes_client.gather(futures))
    known = told_of_map(error, "client.map, index 2", "check(item='bad')")
    told = header_of(error)
    assert ("client.map, index 2" in told) == known
    assert "check(item=" not in told  # the call's arguments are its inputs
    assert "inputs  item = 'bad'" in told


@pytest.mark.parametrize("pure", [True, False])
def test_of_a_batch_the_index_within_it_is_told(processes_client, pure):
    client, items = processes_client, ["a", "b", "c", "bad", "e"]
    batched = client.map(job.check, items, batch_size=2, pure=pure, unit="m")
    wait(batched, timeout=30)
    wanted = ["client.map, index 1 of its batch", "check(item='bad', unit='m')"]
    told_of_map(batched[3], *wanted)
    # The other batches are forgotten: it looks as if there had been one alone.
    keys = [future.key for future in batched]
    both = batched[2:4]
    del batched
    forgotten(client, but=keys[2:4])
    told_of_map(both[1], *wanted)


def test_one_after_the_other_is_as_batches_are(processes_client):
    client = processes_client
    first = client.map(job.check, "ab", unit="in")
    futures = [*first, *client.map(job.check, ["c", "bad"], unit="in")]
    error = raised(lambda: client.gather(futures))
    told_of_map(
        error, "client.map, index 1 of its batch", "check(item='bad', unit='in')"
    )


def test_no_index_is_told_where_it_is_not_certain(processes_client):
    client = processes_client
    single = client.submit(job.check, "bad", unit="kg")
    assert origins(raised(single.result)) == ["check(item='bad', unit='kg')"]


@pytest.mark.parametrize("mapped", [(), ("c", "d")])
def test_of_pure_delayed_calls_no_index_is_told(processes_client, mapped):
    client = processes_client
    futures = client.map(job.check, mapped, unit="lb")
    check = dask.delayed(job.check, pure=True)
    items = ["a", "b", "bad", "e", "f"]
    futures += client.compute([check(item, unit="lb") for item in items])
    error = raised(lambda: client.gather(futures))
    assert origins(error) == ["check(item='bad', unit='lb')"]


def test_of_pure_delayed_calls_with_inputs_no_index_is_told(processes_client):
    div, inc = (dask.delayed(each, pure=True) for each in (job.div, job.inc))
    parts = [div(inc(n), inc(n) if n else 0) for n in range(4)]
    error = raised(lambda: dask.compute(*parts, optimize_graph=False))
    assert "client.map" not in str(origins(error))
    assert origins(error)[-1] == "inc(x=0)"


def test_what_parents_that_were_released_were_called_with(processes_client):
    future = processes_client.submit(job.div, processes_client.submit(job.inc, 41))
    error = raised(future.result)
    assert origins(error) == ["inc(x=41)"]


def test_calls_within_a_list_of_arguments(processes_client):
    parts = [dask.delayed(job.inc)(n) for n in (1, 2)]
    error = raised(dask.delayed(job.combine)(parts, weight="kg").compute)
    told = origins(error)
    assert told[0] == "combine(parts=[…], weight='kg')"
    assert sorted(told[1:]) == ["inc(x=1)", "inc(x=2)"]


def test_many_origins_are_counted(processes_client):
    parts = [dask.delayed(job.inc)(n) for n in range(9)]
    told = origins(raised(dask.delayed(job.combine)(parts).compute))
    assert len(told) == 5
    assert told[-1] == "… 5 more"


def test_secrets_are_hidden(processes_client):
    part = dask.delayed(job.fetch)("https://me:hunter22@host/x", token="t0ps3cr3t")
    frame = dd.from_delayed([part], meta=pd.DataFrame({"b": ["x"]}))
    error = raised(frame.map_partitions(job.parse, meta=META).compute)
    (told,) = origins(error)
    assert told == "fetch(address='https://me:<hidden>@host/x', token=<hidden>)"
    report = repr(dbgkit.failures().to_json()) + render.to_html(dbgkit.failures())
    assert "t0ps3cr3t" not in report


# -- wherever it failed, and in every view -------------------------------------


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_without_a_cluster(csvs, scheduler):
    frame = dd.read_csv(str(csvs / "2.csv"), dtype=TEXT).map_partitions(
        job.parse, meta=META
    )
    error = raised(lambda: frame.compute(scheduler=scheduler))
    assert origins(error) == [f"read_csv {str(csvs / '2.csv')!r}, bytes 0 to 12"]


def test_what_the_scheduler_has_forgotten_is_told_by_the_graph(processes_client, csvs):
    frame = dd.read_csv(str(csvs / "2.csv"), dtype=TEXT).map_partitions(
        job.parse, meta=META
    )
    error = raised(frame.compute)
    forgotten(processes_client)
    failure = dbgkit.locate(error)
    assert failure.found_in == "graph"
    assert origins(error) == [f"read_csv {str(csvs / '2.csv')!r}, bytes 0 to 12"]


def test_failures_tell_it_of_their_example(processes_client, csvs):
    frame = dd.read_csv(str(csvs / "*.csv"), dtype=TEXT).map_partitions(
        job.parse, meta=META
    )
    persisted = frame.persist()
    futures = futures_of(persisted)
    wait_until(lambda: any(f.status == "error" for f in futures), "it has failed")
    report = dbgkit.failures()
    groups = {group.example.key: group for group in report.groups}
    group = groups[next(f.key for f in futures if f.status == "error")]
    path = str(csvs / "2.csv")
    wanted = f"read_csv {path!r}, bytes 0 to 12"
    assert [one.text for one in group.example.came_from] == [wanted]
    assert f"from {wanted}" in " ".join(render.to_text(report, width=300).split())
    assert html.escape(wanted) in render.to_html(report).replace("&#39;", "&#x27;")
    told = report.to_json()["groups"][report.groups.index(group)]["came_from"]
    assert told == [
        {"text": wanted, "what": "read_csv", "path": path, "place": "bytes 0 to 12"}
    ]


def test_ancestors_show_the_inputs_of_each_step(processes_client):
    client = processes_client
    future = client.submit(job.div, client.submit(job.inc, client.submit(job.inc, 40)))
    error = raised(future.result)
    with dbgkit.replay(error, scope="ancestors") as again:
        steps = [(step.label, dict(step.arguments)) for step in again.steps]
        told = render.header(again, width=200)
        page = render.to_html(again)
    assert steps == [("inc", {"x": 40}), ("inc", {"x": 41}), ("div", {"x": 42})]
    assert "steps   inc → inc → div" in told
    assert "x = 40" in told and "x = 41" in told
    assert told.count("x = 42") == 1
    assert "steps" in page


def test_a_process_shows_the_inputs_of_each_step_too(processes_client):
    client = processes_client
    future = client.submit(job.div, client.submit(job.inc, client.submit(job.inc, 50)))
    error = raised(future.result)
    with dbgkit.replay(error, scope="ancestors", where="process") as again:
        assert again.outcome == "same"
        steps = [
            (step.label, [(name, value.text) for name, value in step.arguments])
            for step in again.steps
        ]
        assert [step.failed for step in again.steps] == [False, False, True]
        told = render.header(again, width=200)
    assert steps == [
        ("inc", [("x", "50")]),
        ("inc", [("x", "51")]),
        ("div", [("x", "52")]),
    ]
    assert "steps   inc → inc → div" in told
    assert "x = 50" in told and "x = 51" in told


def test_a_process_shows_the_inputs_of_fused_steps_too(processes_client):
    array = (da.arange(20, chunks=5) * 1).map_blocks(job.limited, dtype=int)
    error = raised(array.compute)
    with dbgkit.replay(error, scope="ancestors", where="process") as again:
        assert again.outcome == "same"
        last = again.steps[-1]
        told = render.header(again, width=300)
    assert (last.label, last.failed) == ("limited", True)
    assert dict(last.arguments)["b"].text.startswith("int64 (5,), 15 to 19")
    assert "b          = numpy.ndarray int64 (5,), 15 to 19" in told


def test_a_worker_shows_the_inputs_of_each_step_too(processes_client):
    client = processes_client
    future = client.submit(job.div, client.submit(job.inc, client.submit(job.inc, 60)))
    error = raised(future.result)
    with dbgkit.replay(error, scope="ancestors", where="worker", times=2) as again:
        assert again.tally == {"same": 2}
        steps = [
            (step.label, [(name, value.text) for name, value in step.arguments])
            for step in again.steps
        ]
        assert [step.failed for step in again.steps] == [False, False, True]
        told = render.header(again, width=200)
        page = render.to_html(again)
    assert steps == [
        ("inc", [("x", "60")]),
        ("inc", [("x", "61")]),
        ("div", [("x", "62")]),
    ]
    assert "steps   inc → inc → div" in told
    assert "x = 60" in told and "x = 61" in told
    assert "steps" in page and "<code>61</code>" in page
    assert not any("steps" in note for note in again.notes)


def test_a_worker_shows_the_inputs_of_fused_steps_too(processes_client):
    array = (da.arange(20, chunks=5) * 1).map_blocks(job.limited, dtype=int)
    error = raised(array.compute)
    with dbgkit.replay(error, scope="ancestors", where="worker") as again:
        assert again.outcome == "same"
        last = again.steps[-1]
        told = render.header(again, width=300)
    assert (last.label, last.failed) == ("limited", True)
    assert dict(last.arguments)["b"].text.startswith("int64 (5,), 15 to 19")
    assert "b          = numpy.ndarray int64 (5,), 15 to 19" in told


@pytest.mark.parametrize("between", [10, 11])
def test_what_a_worker_shows_of_steps_is_bounded_and_redacted(
    processes_client, between
):
    client = processes_client
    text = client.submit(job.login, "ada", password="hunter2")
    for _ in range(between):
        text = client.submit(job.louder, text)
    text = client.submit(job.number, text)  # what is in between is held by nobody
    with dbgkit.replay(raised(text.result), scope="ancestors", where="worker") as again:
        assert again.outcome == "same"
        first = dict(again.steps[0].arguments)
        value = dict(again.steps[-1].arguments)["text"]
        shown = render.header(again, width=300)
    assert len(again.steps) == 0 and "hunter2" not in shown
    # The first of twelve, or of thirteen, of which the last twelve are shown.
    assert list(first) == (["user", "password"] if between == 10 else ["text"])
    assert all(each.hidden for name, each in first.items() if name == "password")
    assert value.text.startswith("'adaada") and value.cut and len(value.text) < 500


def test_of_a_run_on_a_worker_that_does_not_finish_it_is_said(
    processes_client, tmp_path
):
    path = str(tmp_path / "file")
    future = processes_client.submit(
        rerun_tasks.fails_then_waits, processes_client.submit(str, path)
    )
    error = raised(future.result)
    with dbgkit.replay(
        error, scope="ancestors", where="worker", timeout="0.5s"
    ) as again:
        open(f"{path}-go", "w").close()
        assert again.outcome == "timeout"
        assert not again.steps
    note = "the inputs of its steps are not known: the run did not finish"
    assert note in again.notes


def test_steps_of_a_long_way_are_counted(processes_client):
    client = processes_client
    future = client.submit(job.inc, 0)
    for _ in range(20):
        future = client.submit(job.inc, future)
    future = client.submit(job.div, future)
    error = raised(future.result)
    with dbgkit.replay(error, scope="ancestors") as again:
        assert len(again.steps) == 12  # the last ones: no others are held
        assert dict(again.steps[-1].arguments) == {"x": 21}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # affine's own
def test_open_rasterio_names_the_file_and_the_window(processes_client, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    rioxarray = pytest.importorskip("rioxarray")
    path, values = str(tmp_path / "0.tif"), np.zeros((64, 64), "int32")
    values[40, 10] = 99
    place = rasterio.transform.from_origin(5, 50, 0.5, 0.5)
    shape = {"height": 64, "width": 64, "count": 1, "dtype": "int32"}
    with rasterio.open(path, "w", driver="GTiff", transform=place, **shape) as file:
        file.write(values, 1)
    array = rioxarray.open_rasterio(path, chunks={"x": 32, "y": 32}).data
    error = raised(array.map_blocks(job.limited, dtype=int).compute)
    assert origins(error) == [f"open_rasterio {path!r}, [0:1, 32:64, 0:32]"]


# -- the user's own language ---------------------------------------------------


def test_block_info_and_the_block_have_their_own_names(processes_client):
    array = da.from_array(np.arange(20), chunks=5)
    error = raised(array.map_blocks(job.limited, dtype=int).compute)
    told = header_of(error)
    assert "fused   limited" in told
    assert "b          = numpy.ndarray int64 (5,), 15 to 19" in told
    assert "block_info = {" in told and "'array-location': [(15, 20)]" in told
    assert "__dask_blockwise__" not in told and "_pass_extra_kwargs" not in told


def test_overlapping_chunks_are_named_and_no_array_is_told_twice(processes_client):
    array = da.from_array(np.arange(64).reshape(8, 8), chunks=4)
    error = raised(array.map_overlap(job.limited, depth=1, dtype=int).compute)
    with dbgkit.replay(error) as again:
        told = render.header(again, width=300)
        key = again.failure.key
    edges = {"edge of chunk (0, 0)", "edge of chunk (0, 1)", "edge of chunk (1, 0)"}
    assert any(edge in told for edge in edges), key
    assert "0.0999" not in told.partition("inputs")[2].partition("= numpy")[0]
    assert told.count("b          = numpy.ndarray") == 1


def test_the_function_of_a_reduction_is_the_users(processes_client, texts):
    bag = db.read_text(str(texts / "*.txt")).reduction(job.total, sum)
    told = header_of(raised(bag.compute))
    assert "→ total" in told and "empty_safe_apply" not in told
    assert r"texts = ['1\n', '2\n', 'x\n']" in told


def test_what_stands_in_an_argument_is_no_input_besides(processes_client):
    parts = [dask.delayed(job.inc)(n) for n in (1, 2)]
    told = header_of(raised(dask.delayed(job.combine)(parts).compute))
    assert "inputs  parts = [" in told
    assert 'task "inc"' not in told


def test_the_call_of_a_plan_is_the_users(processes_client, csvs):
    frame = dd.read_csv(str(csvs / "2.csv"), dtype=TEXT).map_partitions(
        job.parse, meta=META
    )
    plan = dbgkit.replay(raised(frame.compute), dry_run=True)
    assert plan.call.startswith("parse(<(")


def test_a_lambda_is_called_alike_before_and_after_the_replay(processes_client):
    array = da.ones(4, chunks=2).map_blocks(
        lambda b: 1 // int(b.sum() - 2) * b, dtype=float
    )
    error = raised(array.compute)
    name = dbgkit.locate(error).name
    assert 'step "lambda" on partition' in name
    with dbgkit.replay(error) as again:
        assert again.failure.name == name
