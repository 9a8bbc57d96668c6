"""Looking at what threads run keeps nothing of theirs alive."""

from __future__ import annotations

import gc
import threading
import weakref

from dbgkit.remote.common.frames import frames_of_threads


class Big:
    pass


def test_frames_that_were_looked_at_end_with_their_functions():
    started, go = threading.Event(), threading.Event()
    seen = []

    def work():
        value = Big()
        seen.append(weakref.ref(value))
        started.set()
        go.wait(30)

    def look():
        frames = frames_of_threads()
        return frames[thread.ident].f_lineno

    thread = threading.Thread(target=work)
    gc.collect()
    gc.disable()
    try:
        thread.start()
        assert started.wait(30)
        assert look() > 0
        go.set()
        thread.join(30)
        assert seen[0]() is None
    finally:
        gc.enable()


def test_the_own_thread_is_left_out():
    assert threading.get_ident() not in frames_of_threads()
