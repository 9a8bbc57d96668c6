"""What others can put where files of ours are expected, by real files."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import Any

import pytest

OTHER = 54_321  # another user's id
is_root = hasattr(os, "geteuid") and os.geteuid() == 0
as_root = pytest.mark.skipif(not is_root, reason="only root can act for others")


def pipe(path: Any) -> None:
    os.mkfifo(path)


def link(path: Any) -> None:
    target = f"{path}-target"
    with open(target, "wb") as file:
        file.write(b"x" * 100_000)
    os.symlink(target, path)


def loose_link(path: Any) -> None:
    os.symlink("/nowhere/at/all", path)


def folder(path: Any) -> None:
    os.mkdir(path)


def unix_socket(path: Any) -> None:
    with socket.socket(socket.AF_UNIX) as found:
        before = os.getcwd()
        os.chdir(os.path.dirname(path))  # the whole path may be too long
        try:
            found.bind(os.path.basename(path))
        finally:
            os.chdir(before)


def huge(path: Any) -> None:
    with open(path, "wb") as file:
        file.truncate(10 * 2**30)
    os.chmod(path, 0o600)


def empty(path: Any) -> None:
    with open(path, "wb"):
        os.chmod(path, 0o600)


def endless(path: Any) -> None:
    """A device that never ends: ``/dev/zero``."""
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))


@contextmanager
def hung(path: Any) -> Any:
    """A file system that never answers, mounted at a path: one without its server.

    It answers with an error once the block ends.
    """
    system = ctypes.CDLL(None, use_errno=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"there is no FUSE: {error}")
    try:
        os.makedirs(path, exist_ok=True)
        options = f"fd={server},rootmode=40700,user_id=0,group_id=0"
        if system.mount(b"hung", os.fsencode(path), b"fuse", 0, options.encode()):
            pytest.skip(f"nothing can be mounted: {os.strerror(ctypes.get_errno())}")
        try:
            assert _hangs(path)
            yield
        finally:
            system.umount2(os.fsencode(path), 2)  # MNT_DETACH
    finally:
        os.close(server)


def _hangs(path: Any) -> Any:
    def look() -> None:
        try:
            os.listdir(path)
        except OSError:
            return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(0.2)
    return thread.is_alive()


@contextmanager
def within(seconds: float) -> Any:
    """Fail if a block takes longer."""
    start = time.monotonic()
    yield
    taken = time.monotonic() - start
    assert taken < seconds, f"it took {taken:.1f} s, not {seconds:g} s"
