"""Where black boxes are: below the folder for temporary files, one folder per user.

Anyone can make a folder of that name first. Then a worker makes a private one for its
box, and reports it.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import time
from typing import IO

import psutil

from ..common.boxes import is_alive, read_box, remove_box
from ..common.own_files import MOST_NAMES, NotOwn, OwnFolder

KEPT = 3600.0  # seconds that a dead worker's box is left for others to read
MOST_READ = 500  # boxes that are read to find out whether they can go
_TRIES = 100
_BOX = re.compile(r"(\d{1,19})-\d+\.\d\d(\.\d+)?")


@dataclass
class Made:
    """A new file for a box: open, and where; why not in the usual folder, if so."""

    path: str
    file: IO[bytes]
    refused: str = ""


def folder_in(parent: str) -> str:
    """The usual folder of a user's black boxes, below one for temporary files."""
    owner = getattr(os, "geteuid", lambda: 0)()
    return os.path.join(parent, f"dbgkit-boxes-{owner}")


def make_file(name: str) -> Made:
    """Make a file of this name that only this user can access, or raise `OSError`."""
    parent = tempfile.gettempdir()
    usual = folder_in(parent)
    refused = f"{usual} is made and removed all the time"
    for _ in range(_TRIES):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(usual, mode=0o700)
            return _file_in(usual, name)
        except FileNotFoundError:  # the folder was empty, and somebody removed it
            continue
        except (NotOwn, FileExistsError, PermissionError) as error:
            refused = f"{usual}: {error.strerror}"
            break
    private = tempfile.mkdtemp(prefix=f"{os.path.basename(usual)}-", dir=parent)
    try:
        made = _file_in(private, name)
    except OSError:
        os.rmdir(private)
        raise
    made.refused = refused
    return made


def _file_in(parent: str, name: str) -> Made:
    with OwnFolder(parent) as folder:
        for number in range(1, _TRIES):  # other workers of this process
            each = name if number == 1 else f"{name}.{number}"
            try:
                return Made(os.path.join(parent, each), folder.create(each))
            except FileExistsError as error:
                taken = error
    raise FileExistsError(taken.errno, "names of boxes are taken in there", parent)


def boxes_in(folders: Iterable[str]) -> Iterator[str]:
    """Paths of boxes in some folders, as far as these are this user's alone."""
    for parent in folders:
        with contextlib.suppress(OSError), OwnFolder(parent) as folder:
            for name in folder.names():
                if _BOX.fullmatch(name):
                    yield os.path.join(parent, name)


def remove_dead(scheduler: str, folders: Iterable[str]) -> None:
    """Remove boxes of dead workers of one cluster: nobody will ask for them."""
    for path in islice(boxes_in(folders), MOST_READ):
        box = read_box(path)
        if box is None or box["scheduler"] != scheduler:
            continue
        if not is_alive(box["pid"], box["started"]):
            remove_box(path)


def sweep() -> None:
    """Remove the boxes of processes that died long ago, and that nobody has read."""
    usual = folder_in(tempfile.gettempdir())
    old = (path for path in boxes_in([usual, *_private(usual)]) if _is_old(path))
    for path in islice(old, MOST_READ):
        box = read_box(path)
        if box is None:
            pid = int(os.path.basename(path).partition("-")[0])
            alive = pid < 2**31 and psutil.pid_exists(pid)
        else:
            # In memory (tmpfs), a file that is mapped has the time of its making. In
            # another container it may be alive, though it is not seen here.
            alive = box["sampled"] > time() - KEPT
            alive = alive or is_alive(box["pid"], box["started"])
        if not alive:
            remove_box(path)


def _private(usual: str) -> list[str]:
    """Folders of workers that could not have the usual one."""
    parent, name = os.path.split(usual)
    found = []
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in islice(entries, MOST_NAMES):
            if entry.name.startswith(f"{name}-"):
                found.append(entry.path)
    return found


def _is_old(path: str) -> bool:
    parent, name = os.path.split(path)
    try:
        with OwnFolder(parent) as folder:
            return folder.look(name).st_mtime < time() - KEPT
    except OSError:
        return False
