"""What `dbgkit run` puts on the screen: the exception and its line first, and once."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest
from commands import environment

HEAD = """
    import logging, sys
    from dask import delayed
    from distributed import Client

    def ratio(a, b):
        return a / b

    def other(x):
        raise KeyError(f"other {x}")

    def main():
        BODY

    def ask(client):
        return client.submit(ratio, 1, 0, key="ratio-1", retries=2).result()

    if __name__ == "__main__":
        main()
"""
CLIENT = (
    "with Client(n_workers=1, threads_per_worker=1, processes={processes}, "
    'dashboard_address=":0") as client:'
)
LINE = "ZeroDivisionError: division by zero"
BLOCK = "Compute Failed"


@pytest.fixture
def run(tmp_path):
    def run(body, *, processes=True, apart=False, head=HEAD, **options):
        lines = [CLIENT.format(processes=processes), *(f"    {x}" for x in body)]
        script = tmp_path / "job.py"
        text = textwrap.dedent(head)
        script.write_text(text.replace("BODY", "\n    ".join(lines)))
        return subprocess.run(
            [sys.executable, "-m", "dbgkit", "run", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            env=environment(),
            cwd=tmp_path,
            text=True,
            timeout=120,
            **options,
        )

    return run


@pytest.mark.parametrize("processes", [True, False])
def test_the_exception_and_its_line_come_first_and_once(run, processes):
    done = run(["ask(client)"], processes=processes)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == LINE
    assert lines[1] == "job.py:7 in ratio"
    assert "❱ 7 │     return a / b" in lines[3]
    assert done.stdout.count("division by zero") == 1
    assert BLOCK not in done.stdout and "Traceback" not in done.stdout
    # THEN the way to it is told, too
    assert "called  job.py:20 in <module> → job.py:14 in main" in done.stdout
    assert "job.py:17 in ask" in done.stdout
    assert "tried 3 times" in done.stdout


def test_where_they_are_seen_apart_each_has_it(run):
    done = run(["ask(client)"], apart=True)
    assert done.stdout.startswith(f"{LINE}\n")
    assert done.stderr.rstrip().endswith(LINE)
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert BLOCK not in done.stderr


def test_what_dask_logs_of_other_failures_stays(run):
    done = run(
        [
            "from distributed import wait",
            'wait(client.submit(other, 7, key="other-7"))',
            'logging.getLogger("distributed.worker").error("something else")',
            "ask(client)",
        ]
    )
    assert done.stdout.count(BLOCK) == 1
    assert "Key:       other-7" in done.stdout
    assert "something else" in done.stdout
    assert "Key:       ratio-1" not in done.stdout
    assert done.stdout.count("division by zero") == 1


def test_others_that_failed_alike_are_named_in_a_line(run):
    body = [
        "from distributed import wait",
        'wait(more := client.map(ratio, range(5), [0] * 5, key=list("abcde")))',
        "ask(client)",
    ]
    done = run(body)
    assert BLOCK not in done.stdout
    assert done.stdout.startswith(LINE) and done.stdout.count(LINE) == 1
    line = "dbgkit: 5 more tasks failed in the same way: a, b, c and 2 more"
    assert done.stdout.rstrip().endswith(line)


def test_a_script_that_goes_on_sees_soon_what_was_logged(run):
    body = [
        "from distributed import wait",
        'wait(client.submit(other, 7, key="other-7"))',
        'print("waiting", flush=True)',
        "import time; time.sleep(5)",
        'print("went on", flush=True)',
    ]
    done = run(body)
    assert done.returncode == 0
    at = [done.stdout.index(text) for text in ("waiting", BLOCK, "went on")]
    assert at == sorted(at)


def test_a_script_that_takes_it_as_it_is_loses_nothing(run):
    done = run(["try:", "    ask(client)", "except ZeroDivisionError:", "    pass"])
    assert done.returncode == 0
    assert done.stdout.count(BLOCK) == 3  # one of each attempt
    assert done.stdout.count("Key:       ratio-1") == 3


def test_files_of_the_users_own_get_all_at_once(run):
    done = run(
        [
            'logger = logging.getLogger("distributed.worker")',
            'logger.addHandler(logging.FileHandler("own.log"))',
            "try:",
            "    ask(client)",
            "except ZeroDivisionError:",
            '    assert "Compute Failed" in open("own.log").read()',
            "    raise",
        ],
        processes=False,
    )
    assert done.stdout.startswith(LINE), done.stdout


def test_another_exception_than_the_task_raised_has_its_traceback(run):
    body = [
        "try:",
        "    ask(client)",
        "except ZeroDivisionError as error:",
        '    raise RuntimeError("the job failed") from error',
    ]
    done = run(body)
    assert "RuntimeError: the job failed" in done.stdout
    assert done.stdout.startswith("Traceback")
    assert done.stdout.count("RuntimeError: the job failed") == 1
    assert "\n  task    " in done.stdout and BLOCK not in done.stdout


def test_an_exception_of_the_script_itself_is_told_once(run):
    done = run(["1 / 0"])
    assert done.stdout.startswith(f"{LINE}\njob.py:14 in main\n")
    assert done.stdout.count("division by zero") == 1
    assert "nothing to do with Dask" in done.stdout
    assert done.returncode == 1


def test_nothing_of_it_is_left_at_the_end(run):
    before = {
        "get": "__import__('multiprocessing.spawn').spawn.get_preparation_data",
        "held": "logging.getLogger('distributed.worker').filters",
    }
    body = [
        "import atexit",
        f"atexit.register(lambda: print({before['get']}.__name__, {before['held']}))",
    ]
    done = run(body)
    assert "get_preparation_data []" in done.stdout


def test_a_hook_of_the_users_own_is_called(run):
    body = ["sys.excepthook = lambda *args: print('mine', flush=True)", "ask(client)"]
    done = run(body)
    assert "mine" in done.stdout
    assert re.search(rf"^{LINE}$", done.stdout, re.M)
