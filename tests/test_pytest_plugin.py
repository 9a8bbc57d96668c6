"""The pytest plugin, in pytest runs of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pexpect
import pytest

JOBS = """
    import pytest

    def inc(x):
        return x + 1

    def ratio(a, b):
        scaled = a * 100
        return scaled / b

    @pytest.fixture
    def client():
        from distributed import Client
        with Client(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as client:
            yield client
"""

FIXTURE = """
    def test_job(client):
        from dask import delayed
        delayed(ratio)(7, delayed(inc)(-1)).compute()
"""

BODY = """
    def test_job():
        from distributed import Client
        with Client(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as client:
            below = client.submit(inc, -1, key="below")
            client.submit(ratio, 7, below, key="job").result()
"""

PLAIN = """
    def test_plain():
        left, right = 1, 2
        assert left == right
"""

_ON = ("-p", "dbgkit.frontends.pytest_plugin")


def arguments(folder, text, *args):
    """A pytest run of our own; the plugin is named, as it may not be installed."""
    text = textwrap.dedent(JOBS) + textwrap.dedent(text)
    (folder / "test_it.py").write_text(text)
    from importlib.metadata import entry_points

    installed = any(e.name == "dbgkit" for e in entry_points(group="pytest11"))
    on = () if installed or "no:dbgkit" in args else _ON
    return [
        "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:logging", *on, *args,
        "--rootdir", str(folder), str(folder / "test_it.py"),
    ]  # fmt: skip


def environment():
    path = os.pathsep.join(filter(None, sys.path))
    kept = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}
    return {**kept, "PYTHONPATH": path, "NO_COLOR": "1"}


@pytest.fixture
def run(tmp_path):
    def run(text, *args, limit=90):
        done = subprocess.run(
            [sys.executable, *arguments(tmp_path, text, *args)],
            capture_output=True,
            text=True,
            timeout=limit,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
        return done.stdout + done.stderr

    return run


@pytest.fixture
def prompt(tmp_path):
    """Run under --pdb in a pseudo-terminal, and type."""

    def prompt(text, *commands, args=("--pdb",), name="(Pdb) "):
        child = pexpect.spawn(
            sys.executable,
            arguments(tmp_path, text, *args),
            cwd=str(tmp_path),
            env={**environment(), "IPY_TEST_SIMPLE_PROMPT": "1", "TERM": "dumb"},
            encoding="utf8",
            timeout=60,
            dimensions=(50, 200),
        )
        said = []
        for command in commands:
            child.expect_exact(name)
            said.append(child.before)
            child.sendline(command)
        child.expect(pexpect.EOF)
        said.append(child.before)
        child.close()
        return "".join(said)

    return prompt


def test_pdb_opens_in_the_task(prompt):
    out = prompt(FIXTURE, "p scaled, b", "where", "c")
    assert "(700, 0)" in out
    assert "-> return scaled / b" in out
    assert "hidden]" in out
    assert "same: failed here in the same way" in out
    assert "1 failed" in out


def test_pdb_opens_in_the_task_of_a_client_that_has_closed(prompt):
    assert "(700, 0)" in prompt(BODY, "p scaled, b", "c")


# Each import in a process of its own, forked off where Dask is not imported yet, but
# what it imports of others is.
FIRST = """
    import gc, os, sys, traceback
    import IPython, click, dask.layers, locket, msgpack, numpy, packaging.requirements
    import rich.console, rich.table, sortedcontainers, tornado.simple_httpclient
    import tornado.web, tornado.websocket, xml.etree.ElementTree, xml.sax, zict

    import dbgkit

    MODULES = (
        "dbgkit.api.asking",
        "dbgkit.api.replay",
        "dbgkit.cluster.link",
        "dbgkit.debugger",
        "dbgkit.diagnose.failures",
        "dbgkit.render.replay",
        "dbgkit.replays.capture",
        "dbgkit.targets.locate",
    )

    # Those that bring in the same modules are one case.
    TOGETHER = (
        "DbgkitError, Failure, Plan, Recording, Replay, __version__, errors",
        "load_ipython_extension, unload_ipython_extension",
    )
    NAMES = {*dbgkit.__all__} - {*", ".join(TOGETHER).split(", ")} | {*TOGETHER}

    def is_ready(first):
        exec(first, {})
        from distributed import Client
        assert Client.__exit__.__module__ == "dbgkit.replays.capture"
        assert not [f for f in sys.meta_path if "dbgkit" in type(f).__module__]

    @pytest.mark.parametrize(
        "first",
        [f"from dbgkit import {name}" for name in sorted(NAMES)]
        + [f"import {name}" for name in MODULES],
    )
    def test_first(first):
        assert "distributed" not in sys.modules
        gc.freeze()
        child = os.fork()
        if not child:
            gc.disable()
            try:
                is_ready(first)
            except BaseException:
                os.write(2, traceback.format_exc().encode())
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""


def test_whatever_of_dbgkit_a_test_imports_first_is_whole(run):
    # Rewriting dbgkit for each is slow.
    out = run(FIRST, "--assert=plain", limit=180)
    assert re.search(r"\n=* 3\d passed in", out), out


def test_a_client_is_seen_to_close_if_dbgkit_has_imported_dask(run):
    out = run(
        BODY.replace(
            "from distributed", "from dbgkit import debugging, why; from distributed"
        )
    )
    assert "key     job" in out.partition(" Dask task ")[2]


def test_a_run_inside_a_test_waits_for_dask_too(run):
    out = run("""
        def test_it():
            from dbgkit.frontends.importing import once_imported
            seen = []
            with once_imported("distributed", lambda: seen.append("inner")):
                from dbgkit import debugging
            from distributed import Client
            assert seen == ["inner"]
            assert Client.__exit__.__module__ == "dbgkit.replays.capture"
    """)
    assert "1 passed" in out, out


def test_who_only_asks_for_a_spec_gets_a_whole_one(run):
    out = run("""
        def test_it():
            import importlib.util, sys
            spec = importlib.util.find_spec("distributed")
            assert "distributed" in spec.loader.get_source("distributed")
            assert "distributed" not in sys.modules
            from distributed import Client
            assert Client.__exit__.__module__ == "dbgkit.replays.capture"
    """)
    assert "1 passed" in out, out


def test_pdb_takes_another_debugger(prompt):
    args = ("--pdb", "--pdbcls=IPython.terminal.debugger:TerminalPdb")
    out = prompt(FIXTURE, "p scaled, b", "where", "c", args=args, name="ipdb> ")
    assert "(700, 0)" in out
    assert "hidden frame(s)]" in out


def test_pdb_opens_elsewhere_as_ever(prompt):
    out = prompt(PLAIN, "p left, right", "c")
    assert "(1, 2)" in out
    assert "hidden" not in out


def test_pdb_says_why_a_task_was_not_replayed(prompt):
    out = prompt(
        """
        def test_job():
            from distributed import Client
            client = Client(n_workers=1, processes=False, dashboard_address=":0")
            try:
                client.submit(ratio, 7, 0).result()
            finally:
                client.close()
        """,
        "c",
    )
    assert "dbgkit: not replayed: " in out
    assert "1 failed" in out


@pytest.mark.parametrize("text", [FIXTURE, BODY])
def test_the_report_names_key_worker_and_inputs(run, text):
    out = run(text)
    section = out.partition(" Dask task ")[2]
    assert "key     " in section
    assert "worker  inproc://" in section
    assert "input   " in section
    assert "1 failed" in out


def test_a_task_without_a_cluster_is_named_too(run):
    out = run(
        """
        def test_job():
            from dask import delayed
            delayed(ratio)(7, delayed(inc)(-1)).compute(scheduler="sync")
        """
    )
    assert "key     ratio-" in out.partition(" Dask task ")[2]
    assert "worker  none: it ran in this process" in out


def test_the_section_has_the_line_that_failed_of_code_that_travelled(run):
    out = run(
        """
        def test_job(client):
            def look_up(table):
                return table["XYZ"]

            client.submit(look_up, {}, key="job").result()
        """
    )
    section = out.partition(" Dask task ")[2]
    assert re.search(r"line    \S*test_it.py:\d+ in look_up", section)
    assert re.search(r"❱ \d+ │ .*return table\[\"XYZ\"\]", section)
    assert section.count('return table["XYZ"]') == 1


def test_what_is_not_dasks_gains_no_section(run):
    out = run(
        PLAIN
        + """
    def test_misuse():
        from dask.utils import parse_bytes
        parse_bytes("nonsense")
        """
    )
    assert "2 failed" in out
    assert "Dask task" not in out


def test_without_the_plugin_it_is_as_before(run):
    out = run(FIXTURE, "-p", "no:dbgkit")
    assert "1 failed" in out
    assert "Dask task" not in out


def test_a_run_without_dask_imports_no_dask(run):
    out = run(
        """
        def test_it():
            import sys
            heavy = {"dask", "distributed", "IPython", "rich", "dbgkit.api"}
            assert not heavy & set(sys.modules)

        def test_the_finder_is_there_once():
            import sys
            ours = [f for f in sys.meta_path if "dbgkit" in type(f).__module__]
            assert len(ours) == 1
        """
    )
    assert "2 passed" in out


def test_the_first_import_of_distributed_is_as_ever(run):
    out = run(
        """
        def test_it():
            import sys
            import distributed
            assert distributed.__spec__.loader is distributed.__loader__
            assert "dbgkit" not in type(distributed.__loader__).__module__
            assert not [f for f in sys.meta_path if "dbgkit" in type(f).__module__]
        """
    )
    assert "1 passed" in out


def test_nothing_is_left_on_client_after_a_test(run):
    out = run(
        """
        from distributed import Client
        before = Client.__exit__, Client.__aexit__

        def test_inside():
            assert Client.__exit__ is not before[0]

        @pytest.fixture(autouse=True)
        def unhooked():
            yield
            assert (Client.__exit__, Client.__aexit__) == before
        """
    )
    assert "1 passed" in out
    assert "error" not in out
