"""What a cell is called, in a real kernel; what a terminal beside the job tells."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cells import WITH_PATHS
from commands import ended, environment, start
from shells import Kernel

from dbgkit.cluster.view import DumpView
from dbgkit.diagnose.failures import report_failures
from dbgkit.source import Index

SETUP = """
from dask import delayed
from distributed import Client, wait
import dbgkit
client = Client(
    n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
)
print(client.scheduler.address)
"""
FIRST = """def price(item):
    return 100 // item
one = client.submit(price, 0, pure=False)
wait(one)
"""
SECOND = """def price(item):
    return (item + 5) // item
two = client.submit(price, 0, pure=False)
wait(two)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    for code in ("%load_ext dbgkit", SETUP):
        status, said = kernel.run(code)
        assert status == "ok", said
    yield kernel
    kernel.run("client.close(); client.cluster.close()")
    kernel.stop()


def said_by(kernel, code, *lines):
    status, said = kernel.run(code, *lines)
    assert status == "ok", said
    return said


def number(kernel):
    """Of the cell that runs next."""
    return int(said_by(kernel, "print(len(In) - 1)").split()[0]) + 1


def test_a_cell_has_one_name_everywhere(kernel):
    cell = number(kernel)
    said_by(kernel, FIRST)
    name = f"Cell In[{cell}], line 2"
    shown = (
        "print(dbgkit.failures().groups[0].location)",
        "print(dbgkit.failures())",
        "print(dbgkit.locate(one))",
        "print(dbgkit.why(one).evidence)",
        "print(dbgkit.replay(one))",
        "dbgkit.replay(one)",
        "dbgkit.failures()",
    )
    for code in shown:
        assert name in said_by(kernel, code), code
    said_by(kernel, "del one")


def test_two_cells_that_fail_on_one_line_are_two_groups(kernel):
    cell = number(kernel)
    said_by(kernel, FIRST)
    said_by(kernel, SECOND)
    told = said_by(kernel, "print([g.location for g in dbgkit.failures().groups])")
    assert f"Cell In[{cell}], line 2 in price" in told
    assert f"Cell In[{cell + 1}], line 2 in price" in told
    said_by(kernel, "del one, two")


def test_a_cell_that_is_run_again_is_one_group_with_the_newest_first(kernel):
    cell = number(kernel)
    text = "def amount(n):\n    return 7 // n\n"
    said_by(kernel, text + "four = client.submit(amount, 0, pure=False); wait(four)")
    said_by(kernel, text + "five = client.submit(amount, 0, pure=False); wait(five)")
    told = said_by(kernel, "print([g.location for g in dbgkit.failures().groups])")
    name = f"Cell In[{cell + 1}], line 2 in amount"
    assert f"{name} (In[{cell}] or In[{cell + 1}])" in told
    said_by(kernel, "del four, five")


def test_a_recording_calls_it_so_too(kernel):
    said_by(kernel, "recorder = dbgkit.record()")
    cell = number(kernel)
    said_by(kernel, FIRST)
    told = said_by(kernel, "print(dbgkit.recordings(one)[0])")
    assert f"Cell In[{cell}], line 2" in told and "return 100 // item" in told
    said_by(kernel, "recorder.off(); del one")


JOB = """
import sys
from distributed import Client, LocalCluster, wait

def ratio(a, b):
    return a // b  # ratio

if __name__ == "__main__":
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as cluster, Client(cluster) as client:
        future = client.submit(ratio, 1, 0, key="ratio")
        wait(future)
        client.dump_cluster_state(sys.argv[1], format="yaml")
        print(client.scheduler.address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A script that has failed and still runs: its folder, and its scheduler."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "job.py").write_text(JOB)
    process = subprocess.Popen(
        [sys.executable, "job.py", str(folder / "dump")],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        text=True,
    )
    try:
        yield folder, process.stdout.readline().strip()
    finally:
        process.communicate(timeout=60)


def test_a_terminal_beside_the_job_finds_its_script(job, tmp_path):
    _, address = job
    done = ended(start("failures", "--scheduler", address, cwd=tmp_path))
    assert done.code == 1, done.err
    assert "job.py:6 in ratio" in done.out
    assert "return a // b  # ratio" in done.out


def test_a_terminal_shows_no_line_of_a_script_that_was_edited_since(job, tmp_path):
    folder, address = job
    text = (folder / "job.py").read_text()
    (folder / "job.py").write_text(text.replace("a // b  # ratio", "a + b  # mended"))
    try:
        done = ended(start("failures", "--scheduler", address, cwd=tmp_path))
    finally:
        (folder / "job.py").write_text(text)
    assert "mended" not in done.out
    # The worker has read the line before it was edited, where it knew the file.
    told = "# ratio" if WITH_PATHS else "job.py:6 (edited since it ran) in ratio"
    assert told in done.out


def test_a_dump_in_a_terminal_has_the_functions_name_and_line(job, tmp_path):
    folder, _ = job
    done = ended(start("failures", "--dump", folder / "dump.yaml", cwd=tmp_path))
    assert done.code == 1, done.err
    assert "line 6 in ratio" in done.out or ":6 in ratio" in done.out
    assert ("# ratio" in done.out) == WITH_PATHS


def test_a_file_that_is_named_shows_the_line_if_it_alone_can_be_it(job, tmp_path):
    folder, _ = job
    other = tmp_path / "other.py"
    other.write_text("\n\n\n\ndef ratio(a, b):\n    return b / a  # another\n")

    def told(*sources):
        view = DumpView(str(folder / "dump.yaml"))
        return str(report_failures(view, index=Index(sources)))

    alone = told(str(folder / "job.py"))
    assert "job.py:6 in ratio" in alone and "# ratio" in alone
    assert "# another" not in told(str(folder / "job.py"), str(other))
