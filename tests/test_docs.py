"""The documentation: its Python blocks run and print what it shows; its links work.

After a change of what is printed, ``DBGKIT_UPDATE_DOCS=1 pytest tests/test_docs.py``
writes what the blocks print now into the pages.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_page import blocks_of

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not path.name.startswith("_") and "_build" not in path.parts
)
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

# What differs from one run to the next, and what stands for it in the pages.
VARYING = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( UTC|,\d{3})", r"2026-01-07 09:30:00\1"),
    (r"\b\d\d:\d\d:\d\d\.\d{3}\b", "09:30:00.000"),
    (r"(?<=127\.0\.0\.1:)\d+", "40123"),
    (r"(?<=\(name )\d+", "0"),
    (r"\b[0-9a-f]{32}\b", "0f0e0d0c0b0a09080706050403020100"),
    (r"/\S*/(?=job\.py|sales-)", "/home/you/"),
    (r"\b\d+(\.\d+)? (us|ms|s)\b", "0 s"),
    (r"\b[\d.]+ (KiB|MiB|GiB)\b", "1 MiB"),
    (r"\bprocess \d+\b", "process 4711"),
    (r"-\d{10}\.\d+\b", "-1767778200.0"),
]


def steady(text):
    """A text as it is in each run."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    # Columns, and where lines are cut, go by the lengths of what was replaced.
    return re.sub(r"[ \n]+", " ", text).strip()


def with_blocks(path):
    return any(block.runs for block in blocks_of(path.read_text("utf-8")))


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", list(filter(with_blocks, PAGES)), ids=name_of)
def test_blocks_of_a_page_run_and_print_what_it_shows(page, tmp_path):
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "docs_page.py", page, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={
            # As by default, also where the tests run with the recorder on.
            **{k: v for k, v in os.environ.items() if not k.startswith("DASK_")},
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            "COLUMNS": "88",
        },
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    text = page.read_text("utf-8")
    shown = [block for block in blocks_of(text) if block.shows_output]
    assert len(printed) == len(shown)
    if os.environ.get("DBGKIT_UPDATE_DOCS"):
        update(page, text, shown, printed)
        return
    for block, output in zip(shown, printed, strict=True):
        assert steady(output) == steady(block.text)


def update(page, text, shown, printed):
    """Write what was printed into a page, where it is not there yet."""
    for block, output in reversed(list(zip(shown, printed, strict=True))):
        if steady(output) != steady(block.text):
            start, end = block.span
            lines = [line.rstrip() for line in output.strip("\n").split("\n")]
            for pattern, instead in VARYING[:6]:
                lines = [re.sub(pattern, instead, line) for line in lines]
            text = text[:start] + "\n".join(lines) + "\n" + text[end:]
    page.write_text(text, "utf-8")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_block_that_is_not_run_says_why(path):
    for block in blocks_of(path.read_text("utf-8")):
        if block.info.startswith("python") and not block.runs:
            assert re.search(r"skip: \w+ \w+", block.info), block.info


# -- links -----------------------------------------------------------------------

LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_to_files_lead_to_files(path):
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
    for match in LINK.finditer(text):
        target = (match[1] or match[2]).partition("#")[0]
        if target and "://" not in target:
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_each_link_has_a_text(path):
    """Sphinx fills in a title, GitHub does not."""
    assert "[](" not in path.read_text("utf-8")


NO_LINK = ("changelog", "index")  # which it has another link to, or none


def test_the_readme_names_each_page_that_is_not_made_at_build():
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in PAGES:
        name = name_of(page)
        if not name.startswith("docs/reference") and page.stem not in NO_LINK:
            assert name in readme, name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
