"""A failure saved as a file, opened again, and run again out of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import dask
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from bundle_tasks import Scale, grow, number, once, per_row, ratio
from distributed import KilledWorker, get_client, wait
from hard_tasks import boom_async
from watching import wait_until

import dbgkit
from dbgkit import render
from dbgkit.errors import (
    BundleUnreadable,
    CannotWrite,
    InputsTooLarge,
    NotTrusted,
    SecretInside,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "failure.dbgkit"


def failed(client, *args, **kwargs):
    future = client.submit(*args, **kwargs)
    wait(future, timeout=60)
    return future


def failing(compute):
    with pytest.raises(Exception) as failed:
        compute()
    return failed.value


def manifest_of(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("manifest.json"))


# -- what is in it -------------------------------------------------------------------


def test_a_failure_is_saved_with_its_frames_call_and_inputs(client, path):
    saved = dbgkit.save(failed(client, ratio, 3, y=2), path)
    assert saved.path == str(path) and not saved.trusted
    assert saved.failure.exception_type == "ZeroDivisionError"
    assert [(one.name, one.text) for one in saved.inputs] == [("x", "3"), ("y", "2")]
    frame = saved.recording.frames[-1]
    assert (frame.function, dict(frame.locals)["x"].text) == ("ratio", "3")
    assert saved.recording.values[len(saved.recording.frames) - 1] == {"x": 3, "y": 2}
    (text,) = saved.sources.values()
    assert "def ratio(x, y=1):\n    return y / (x - 3)\n" in text
    assert "import os" not in text  # what the frames are not in


def test_a_file_that_is_there_is_replaced_and_nothing_else_is_left(client, path):
    path.write_text("before")
    dbgkit.save(failed(client, ratio, 3), path)
    assert zipfile.is_zipfile(path)
    assert os.listdir(path.parent) == [path.name]


def test_tables_and_arrays_are_stored_in_formats_of_their_own(client, path):
    frame = dd.from_pandas(pd.DataFrame({"x": range(10)}), npartitions=2)
    lazy = frame.map_partitions(per_row, limit=3, meta={"x": int, "z": float})
    saved = dbgkit.save(failing(lazy.compute), path)
    assert [(one.name, one.format) for one in saved.inputs] == [
        ("frame", "arrow"),
        ("limit", "pickle"),
    ]
    again = dbgkit.replay(dbgkit.load(path, trust=True), where="here")
    assert again.outcome == "same"
    assert again.args[0].x.tolist() == [5, 6, 7, 8, 9]


def test_without_inputs_it_can_be_looked_at_only(client, path):
    saved = dbgkit.save(failed(client, ratio, 3), path, inputs=False)
    assert saved.inputs == () and saved.function == ""
    assert saved.recording.frames[-1].function == "ratio"
    assert {*manifest_of(path)["entries"]} == {"recording.json", "sources/0.txt"}
    with pytest.raises(dbgkit.DbgkitError, match="without its inputs"):
        dbgkit.replay(dbgkit.load(path, trust=True))


def test_a_recording_is_saved_without_the_call(client, path, recorded):
    future = failed(client, ratio, 3, key="ratio-recorded-to-save")
    (recording,) = dbgkit.recordings(future).recordings
    saved = dbgkit.save(recording, path)
    assert saved.failure.key == "ratio-recorded-to-save" and saved.function == ""
    assert saved.recording.frames[-1].function == "ratio"


# -- run again out of it -------------------------------------------------------------


def test_nothing_is_run_without_trust(client, path):
    dbgkit.save(failed(client, ratio, 3), path)
    bundle = dbgkit.load(path)
    with pytest.raises(NotTrusted, match="trust=True"):
        dbgkit.replay(bundle)
    with pytest.raises(NotTrusted):
        dbgkit.debug(bundle, using="replay")


def test_with_trust_it_runs_in_a_process_of_its_own(client, path):
    dbgkit.save(failed(client, Scale(0), 3), path)
    again = dbgkit.replay(dbgkit.load(path, trust=True))
    assert (again.outcome, again.where) == ("same", "process")


def test_inputs_are_as_they_were_at_the_call(client, path):
    dbgkit.save(failed(client, grow, client.submit(list, (1, 2))), path)
    again = dbgkit.replay(dbgkit.load(path, trust=True), where="here", times=2)
    assert again.outcome == "same" and again.tally == {"same": 2}


def test_a_bag_without_dasks_wrappers(client, path, tmp_path):
    (tmp_path / "a.txt").write_text("1\n2\nx\n3\n")
    lazy = db.read_text(tmp_path / "*.txt").map(str.strip).map(number)
    dbgkit.save(failing(lazy.compute), path)
    assert dbgkit.load(path).function == "number for each item"
    with zipfile.ZipFile(path) as file:
        assert b"dask" not in file.read("pickles/call.pickle")
    assert dbgkit.replay(dbgkit.load(path, trust=True)).outcome == "same"


GENERATED = """
import sys
from collections import namedtuple
from dataclasses import dataclass, field

import dask
import dbgkit
from dbgkit import render
from distributed import Client, wait

Rate = namedtuple("Rate", "value unit")


@dataclass
class Account:
    owner: str
    rate: Rate
    history: list = field(default_factory=list)

    def __eq__(self, other):
        return self.owner == other.owner

    def per_unit(self, amount):
        self.history.append(amount)
        return amount / self.rate.value


def settle(account, amounts):
    return [account.per_unit(amount) for amount in amounts]


if __name__ == "__main__":
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client,
    ):
        future = client.submit(settle, Account("ann", Rate(0, "x")), [1, 2])
        wait(future)
        dbgkit.save(future, sys.argv[1])
"""


def test_what_the_library_makes_for_a_class_travels_without_bytecode(path, tmp_path):
    script = tmp_path / "accounts.py"
    script.write_text(GENERATED)
    subprocess.run([sys.executable, str(script), str(path)], timeout=120, check=True)
    assert manifest_of(path)["call"]["bytecode"] is False
    saved = dbgkit.load(path, trust=True)
    assert saved.inputs[0].text.startswith("Account(owner='ann'")
    with dbgkit.replay(saved, where="here") as replay:
        assert replay.outcome == "same"
        (account,) = [each for each in replay.args if hasattr(each, "owner")]
        assert account == type(account)("ann", None) and account.history


def test_code_of_main_travels_as_source(path, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import dask, dbgkit\n"
        "LIMIT = 3\n"
        "def check(x):\n"
        "    return [1 / (v - LIMIT) for v in x]\n"
        "try:\n"
        "    dask.delayed(check)([1, 3]).compute(scheduler='sync')\n"
        "except ZeroDivisionError as error:\n"
        f"    dbgkit.save(error, {str(path)!r})\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=120)
    assert manifest_of(path)["call"]["bytecode"] is False
    again = dbgkit.replay(dbgkit.load(path, trust=True))
    assert (again.outcome, again.frames[-1].lineno) == ("same", 4)


def test_the_text_of_a_file_is_shown_where_the_script_is_not(path, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import dask, dbgkit\n"
        "def check(x):\n"
        "    return [1 / v for v in x]\n"
        "try:\n"
        "    dask.delayed(check)([1, 0]).compute(scheduler='sync')\n"
        "except ZeroDivisionError as error:\n"
        f"    dbgkit.save(error, {str(path)!r})\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=120)
    script.unlink()
    again = dbgkit.replay(dbgkit.load(path, trust=True))
    assert (3, "    return [1 / v for v in x]") in again.frames[-1].source
    assert not [note for note in again.notes if "source" in note]


def test_a_file_that_changed_since_it_was_opened_is_not_run(client, path):
    dbgkit.save(failed(client, ratio, 3), path)
    bundle = dbgkit.load(path, trust=True)
    dbgkit.save(failed(client, ratio, 3, y=5), path)
    with pytest.raises(dbgkit.DbgkitError, match="changed since it was opened"):
        dbgkit.replay(bundle, where="here")


def test_a_bundle_is_saved_again(client, path, tmp_path):
    dbgkit.save(failed(client, ratio, 3), path)
    other = tmp_path / "other.dbgkit"
    dbgkit.save(dbgkit.load(path, trust=True), other)
    assert dbgkit.replay(dbgkit.load(other, trust=True)).outcome == "same"
    looked = dbgkit.save(dbgkit.load(path), other)
    assert looked.function == "" and looked.recording.frames[-1].function == "ratio"


# -- what is refused, or said ---------------------------------------------------------


def test_a_literal_that_looks_like_a_secret_is_refused(client, path):
    def login(user, password):
        raise PermissionError(user)

    future = failed(client, login, "ann", password="hunter2-and-more")
    with pytest.raises(SecretInside, match="password"):
        dbgkit.save(future, path)
    assert not path.exists() and os.listdir(path.parent) == []
    saved = dbgkit.save(future, path, inputs=False)
    assert dict(saved.recording.frames[-1].locals)["password"].hidden


def test_a_secret_in_the_code_of_a_call_is_told(path, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        "import dask, dbgkit\n"
        "API_TOKEN = 'abc'\n"
        "def check(x):\n"
        "    password = 'hunter2'\n"
        "    return [API_TOKEN, 1 / x]\n"
        "try:\n"
        "    dask.delayed(check)(0).compute(scheduler='sync')\n"
        "except ZeroDivisionError as error:\n"
        f"    dbgkit.save(error, {str(path)!r})\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=120)
    (note,) = dbgkit.load(path).notes
    assert "the global 'API_TOKEN', the text of 'job.py'" in note
    assert "hunter2" not in note


def test_inputs_over_the_limit_are_not_pulled(client, path):
    data = client.submit(np.ones, 100_000)
    with pytest.raises(InputsTooLarge, match="inputs=False"):
        dbgkit.save(failed(client, Scale(0).times, data), path, max_bytes="1 kB")
    assert not path.exists()


def test_inputs_that_cannot_be_pickled_are_left_out_and_that_is_said(path):
    import threading

    error = failing(
        lambda: dask.delayed(lambda lock: 1 / 0)(threading.Lock()).compute(
            scheduler="sync"
        )
    )
    saved = dbgkit.save(error, path)
    assert saved.function == ""
    assert any("left out" in note for note in saved.notes)
    assert saved.recording.frames[-1].function == "<lambda>"


def test_a_task_that_passes_now_is_saved_and_that_is_said(client, path, tmp_path):
    future = failed(client, once, str(tmp_path / "there"))
    saved = dbgkit.save(future, path)
    assert "it passed" in saved.notes[-1]


def ask_for_a_client(rows):
    get_client()
    return [1 // row for row in rows]


def test_what_a_run_here_lacks_is_not_shown_as_the_failure(client, path):
    future = failed(client, ask_for_a_client, [2, 1, 0], key="asks-1")
    smallest = dbgkit.shrink(future)
    text = " ".join(str(dbgkit.save(smallest, path)).split())
    assert "did not get as far: the replayed task asks for a client" in text
    assert "in ask_for_a_client" not in text or "1 // row" in text
    # What the recorder has, where it is on in every cluster, is the failure.
    recording = dbgkit.load(path).recording
    assert recording is None or "1 // row" in str(recording)


def test_what_killed_a_worker_is_saved_without_a_run(mortals, path):
    future = mortals.submit(os._exit, 4, key="killer-to-save")
    with pytest.raises(KilledWorker):
        future.result(timeout=60)
    saved = dbgkit.save(future, path)
    assert saved.failure.killed and saved.inputs[0].text == "4"
    again = dbgkit.replay(dbgkit.load(path, trust=True))
    assert again.outcome == "died"


def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(client):
    with pytest.raises(CannotWrite):
        dbgkit.save(failed(client, ratio, 3), "/nonexistent/failure.dbgkit")


def test_a_link_stays_one_and_a_device_is_left_alone(client, path, tmp_path):
    future = failed(client, ratio, 3)
    link = tmp_path / "link.dbgkit"
    link.symlink_to(path)
    dbgkit.save(future, link)
    assert link.is_symlink() and zipfile.is_zipfile(path)
    with pytest.raises(CannotWrite, match="no regular file"):
        dbgkit.save(future, os.devnull)


def test_no_bundle_is_a_clear_error(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(BundleUnreadable):
        dbgkit.load(tmp_path / "a.txt")


def test_a_forgotten_failure_is_saved_as_it_was_recorded(client, path, recorded):
    future = failed(client, ratio, 3, key="ratio-forgotten-to-save")
    error = future.exception()
    key = future.key
    wait_until(lambda: len(dbgkit.recordings(key)), "it is recorded")
    del future
    saved = dbgkit.save(error, path)
    assert saved.failure.exception_type == "ZeroDivisionError"
    frame = saved.recording.frames[-1]
    assert (frame.function, dict(frame.locals)["x"].text) == ("ratio", "3")


def test_a_bundle_is_shrunk_in_processes_and_knows_the_line_without_its_file(
    client, path, tmp_path
):
    sales = tmp_path / "sales.csv"
    rows = ["x", *(f"{row % 5}" for row in range(200))]
    rows[151] = "5"
    sales.write_text("\n".join([*rows, ""]))
    lazy = dd.read_csv(sales).map_partitions(
        per_row, limit=-99, meta={"x": int, "z": float}
    )
    dbgkit.save(failing(lazy.compute), path)
    sales.unlink()
    bundle = dbgkit.load(path, trust=True)
    shrunk = dbgkit.shrink(bundle)
    assert (shrunk.where, shrunk.verdict) == ("process", "one")
    (place,) = shrunk.provenance
    assert (place.line, place.path, place.position) == (152, str(sales), 150)
    # The smallest input is saved like any other failure.
    smallest = dbgkit.save(shrunk, path)
    assert "1 rows" in smallest.inputs[0].text
    assert dbgkit.replay(dbgkit.load(path, trust=True)).outcome == "same"


def test_the_items_of_a_bag_know_their_lines_too(client, path, tmp_path):
    (tmp_path / "a.txt").write_text("1\n2\nx\n3\n")
    lazy = db.read_text(tmp_path / "*.txt").map(str.strip).map(number)
    dbgkit.save(failing(lazy.compute), path)
    (tmp_path / "a.txt").unlink()
    shrunk = dbgkit.shrink(dbgkit.load(path, trust=True), where="here")
    assert [place.line for place in shrunk.provenance] == [3]


def test_what_files_name_stays_where_it_is():
    """Files of older versions name these."""
    import inspect

    from dbgkit.replays import by_name

    assert str(inspect.signature(by_name.for_each)) == (
        "(function: 'Callable[..., Any]', items: 'Sequence[Any]', "
        "*others: 'Sequence[Any]', names: 'Sequence[str]' = (), "
        "given: 'Mapping[str, Any]' = mappingproxy({})) -> 'list[Any]'"
    )
    assert [*inspect.signature(by_name.RunTask).parameters] == ["node", "data"]
    assert by_name.for_each([].append, [1, 2]) == [None, None]


def test_a_coroutine_fails_while_nothing_else_is_handled(client, path):
    """Whether a loop runs is asked by a call that raises: no cause of the task's."""
    dbgkit.save(failed(client, boom_async, 4, key="awaited-alone"), path)
    opened = dbgkit.load(path)
    assert opened.failure.message == "cannot take 8"
    assert opened.recording is not None and not opened.recording.causes


def connects(address, password):
    raise ConnectionError(f"no answer from https://{address}:{password}@db/sales")


def test_a_message_with_a_secret_is_the_same_failure_again(path, tmp_path):
    """The file has the message with its secret hidden."""
    dsn = ["ann", "hunter2-hunter2"]
    error = failing(dask.delayed(lambda one: connects(*one))(dsn).compute)
    dbgkit.save(error, path)
    opened = dbgkit.load(path, trust=True)
    assert opened.failure.message.endswith("https://ann:<hidden>@db/sales")
    with dbgkit.replay(opened) as replay:
        assert replay.outcome == "same"
    shrunk = dbgkit.shrink(opened)
    assert not any("another way" in note for note in shrunk.notes)
    # Another message is another failure, secret or not.
    other = failing(dask.delayed(lambda one: connects("bob", one[1]))(dsn).compute)
    dbgkit.save(other, tmp_path / "other.dbgkit")
    bob = dbgkit.load(tmp_path / "other.dbgkit", trust=True)
    call = replace(bob.failure, message=opened.failure.message)
    with dbgkit.replay(call) as replay:
        assert replay.outcome == "different"


class NoRate(Exception):
    def __init__(self, shop, currency):
        super().__init__(shop, currency)
        self.shop, self.currency = shop, currency

    def __str__(self):
        return f"{self.shop}: no rate for {self.currency}, password=hunter2-hunter2"


def test_an_exception_says_in_the_file_what_it_says_itself(path):
    def rate(shop):
        raise NoRate(shop, "CHF")

    dbgkit.save(failing(dask.delayed(rate)("north").compute), path)
    opened = dbgkit.load(path)
    said = "north: no rate for CHF, password=<hidden>"
    assert opened.failure.message == said
    assert opened.recording is not None and opened.recording.message == said


def test_what_no_task_raised_has_neither_key_nor_worker(path):
    """As where a graph is made, on the client."""
    frame = dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=1)
    with pytest.raises(Exception, match="by zero") as caught:
        frame.map_partitions(lambda each: each.shape[0] / 0)
    dbgkit.save(caught.value, path)
    opened = dbgkit.load(path)
    assert opened.failure.key is None
    shown = " ".join(render.to_text(opened.recording).split())
    assert "None" not in shown and "where 20" in shown
    assert "None" not in str(opened)
