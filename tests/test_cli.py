"""``dbgkit run``: a script runs as under Python, and what fails in it is opened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import zipfile

import pexpect
import pytest

from dbgkit import __version__

TELLS = """
    import json, os, sys
    print(json.dumps({
        "argv": sys.argv, "name": __name__, "path": sys.path[0],
        "file": os.path.basename(__file__),
        "main": sys.modules["__main__"].__dict__ is globals(),
        "package": __package__, "spec": getattr(__spec__, "name", None),
    }))
"""

JOB = """
    import sys
    from distributed import Client

    class TooMuch(Exception):
        pass

    def work(a, b):
        total = a + b
        if total > 3:
            raise TooMuch(f"{total} is too much")
        return total

    if __name__ == "__main__":
        print("main", flush=True)
        with Client(
            n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as client:
            client.submit(work, 2, 2).result()
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def dbgkit(tmp_path):
    """Run the command line without a terminal, in a folder of its own."""

    def run(*args, command=("-m", "dbgkit"), **options):
        return subprocess.run(
            [sys.executable, *command, *map(str, args)],
            capture_output=True,
            text=True,
            timeout=90,
            cwd=options.pop("cwd", tmp_path),
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **options,
        )

    return run


def test_a_script_sees_what_it_sees_under_python(write, dbgkit, tmp_path):
    write("tells.py", TELLS)
    args = ["tells.py", "--where", "x", "-m", "--", "-h"]
    done = dbgkit("run", *args)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(dbgkit(command=args).stdout)
    assert json.loads(done.stdout)["argv"] == args


def test_a_module_sees_what_it_sees_under_python(write, dbgkit):
    write("pack/__init__.py", "")
    write("pack/tells.py", TELLS)
    write("pack/__main__.py", TELLS)
    for name in ("pack.tells", "pack"):
        done = dbgkit("run", "-m", name, "--flag")
        assert done.returncode == 0, done.stderr
        python = dbgkit("--flag", command=("-m", name))
        assert json.loads(done.stdout) == json.loads(python.stdout)


def test_a_folder_and_a_zip_file_run(write, dbgkit, tmp_path):
    write("folder/__main__.py", "print('from the folder')")
    assert dbgkit("run", "folder").stdout == "from the folder\n"
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as file:
        file.writestr("__main__.py", "print('from the zip')")
    assert dbgkit("run", "app.pyz").stdout == "from the zip\n"


@pytest.mark.parametrize(
    ("code", "expected"), [("", 0), ("3", 3), ("'no'", 1), ("None", 0)]
)
def test_ends_with_the_scripts_own_code(write, dbgkit, code, expected):
    write("script.py", f"import sys\nsys.exit({code})")
    done = dbgkit("run", "script.py")
    assert done.returncode == expected
    assert done.stderr == ("no\n" if code == "'no'" else "")


def test_an_exception_of_no_task_is_shown_as_python_does(write, dbgkit, tmp_path):
    write("script.py", "def f(x):\n    return 1 / x\nf(0)\n")
    done = dbgkit("run", "script.py")
    python = dbgkit(command=("script.py",))
    assert done.returncode == python.returncode == 1
    assert done.stderr.startswith(python.stderr)
    assert "ZeroDivisionError" in done.stdout  # the report


def test_a_syntax_error_is_shown_as_python_does(write, dbgkit):
    write("script.py", "def f(:\n")
    done = dbgkit("run", "script.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == dbgkit(command=("script.py",)).stderr


def test_what_cannot_be_run_is_told(dbgkit):
    done = dbgkit("run", "missing.py")
    assert done.returncode == 2
    assert "can't open file 'missing.py'" in done.stderr
    done = dbgkit("run", "-m", "no.such.module")
    assert done.returncode == 2
    assert "No module named 'no'" in done.stderr


def test_a_wrong_option_is_told_before_the_script_runs(write, dbgkit):
    write("script.py", "print('ran')")
    done = dbgkit("run", "--timeout", "soon", "script.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "invalid duration 'soon'" in done.stderr


def test_a_failed_task_is_reported_without_a_terminal(write, dbgkit):
    write("job.py", JOB)
    done = dbgkit("run", "job.py")
    assert done.returncode == 1
    assert done.stdout.startswith("main\n")  # once: workers import it otherwise
    assert done.stdout.count("main\n") == 1
    assert "TooMuch: 4 is too much" in done.stdout
    assert "total = 4" in done.stdout
    assert "Traceback (most recent call last)" in done.stderr


def test_options_of_a_replay_hold_for_a_script(write, dbgkit):
    write("job.py", JOB)
    done = dbgkit("run", "--times", "2", "--where", "process", "job.py")
    assert done.returncode == 1, done.stderr
    assert "failed 2 of 2 times in processes of their own: 2 same" in done.stdout
    done = dbgkit("run", "--where", "worker", "job.py")
    assert done.returncode == 2
    assert "'worker' is not one of here, process" in done.stderr


def test_a_failed_task_is_opened_in_a_terminal(write, tmp_path):
    script = write("job.py", JOB)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "run", str(script)],
        encoding="utf8",
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    child.expect_exact("(Pdb) ")
    assert "-> raise TooMuch" in child.before
    child.sendline("p total, a, b")
    child.expect_exact("(4, 2, 2)")
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1


def test_no_prompt_means_the_report(write):
    script = write("job.py", JOB)
    child = pexpect.spawn(
        sys.executable,
        ["-m", "dbgkit", "run", "--no-prompt", str(script)],
        encoding="utf8",
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    child.expect_exact("total")
    child.expect(pexpect.EOF)
    child.close()
    assert "(Pdb)" not in child.before
    assert child.exitstatus == 1


def test_ctrl_c_ends_it(write, tmp_path):
    script = write(
        "waits.py", "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "dbgkit", "run", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=30)
    assert child.returncode == 130
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert "dbgkit" not in error


def test_help_says_the_exit_codes(dbgkit):
    text = " ".join(dbgkit("run", "--help").stdout.split())
    assert "the script's own exit code: 1 after an exception, 130 after Ctrl-C" in text


def test_version(dbgkit):
    assert dbgkit("--version").stdout == f"dbgkit, version {__version__}\n"


def test_is_a_command_of_dask(dbgkit):
    from importlib.metadata import entry_points

    found = {entry.name: entry.value for entry in entry_points(group="dask_cli")}
    if "dbgkit" not in found:
        pytest.skip("dbgkit is not installed, only imported")
    done = dbgkit("dbgkit", "run", "--help", command=("-m", "dask"))
    assert "Usage: python -m dask dbgkit run" in done.stdout, done.stderr
