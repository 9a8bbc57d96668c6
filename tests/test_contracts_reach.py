"""What the way to the scheduler and the workers takes for granted of Dask's own."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from distributed.core import ConnectionPool, Server, connect, send_recv
from distributed.protocol.pickle import dumps
from distributed.scheduler import Scheduler
from distributed.worker import run


def parameters(function):
    return set(inspect.signature(function).parameters)


def test_messages_of_one_connection_are_handled_one_after_the_other():
    async def look():
        server = Server({})
        done = []

        async def slow(name):
            await asyncio.sleep(0.05)
            server.handlers["late"] = lambda: "there"
            done.append(name)
            return "not to be answered"

        server.handlers["slow"] = slow
        await server.listen("tcp://127.0.0.1:0")
        comm = await connect(server.address)
        try:
            # A message that wants no reply has none, and the next one waits for it.
            await comm.write({"op": "slow", "name": "first", "reply": False})
            answer = await send_recv(comm, op="late")
            # One that fails is not answered either.
            await comm.write({"op": "slow", "reply": False})
            again = await send_recv(comm, op="late")
            unknown = await send_recv(comm, op="unheard-of")
        finally:
            await comm.close()
            await server.close()
        return done, answer, again, unknown

    assert asyncio.run(look()) == (["first"], "there", "there", None)


def test_a_pool_lends_connections_and_takes_them_back():
    assert {"addr", "timeout"} <= parameters(ConnectionPool.connect)

    async def look():
        server = Server({"ping": lambda: "pong"})
        await server.listen("tcp://127.0.0.1:0")
        pool = await ConnectionPool()
        try:
            comm = await pool.connect(server.address, timeout=5)
            assert pool.active == 1
            pool.reuse(server.address, comm)
            assert (pool.open, pool.active) == (1, 0)
            assert await pool(server.address).ping() == "pong"
            assert pool.open == 1
            assert pool(server.address).address == server.address
            assert pool.serializers is None
            assert pool.deserializers is None
        finally:
            await pool.close()
            await server.close()

    asyncio.run(look())


def test_nobody_listening_is_an_oserror_within_the_timeout():
    async def look():
        pool = await ConnectionPool()
        try:
            with pytest.raises(OSError):
                await pool.connect("tcp://127.0.0.1:1", timeout=0.2)
            with pytest.raises(ValueError):
                await pool.connect("unheard-of://127.0.0.1:1", timeout=0.2)
        finally:
            await pool.close()

    asyncio.run(look())


def test_the_scheduler_registers_a_plugin_by_this_message():
    assert {"plugin", "name", "idempotent"} <= parameters(
        Scheduler.register_scheduler_plugin
    )


def test_workers_run_functions_by_this_message():
    assert {"msg", "workers", "on_error"} <= parameters(Scheduler.broadcast)
    assert {"function", "args", "kwargs", "wait"} <= parameters(run)

    async def look():
        return await run(
            None,
            None,
            function=dumps(divmod),
            args=dumps((7, 2)),
            kwargs=b"",
            wait=True,
        )

    answer = asyncio.run(look())
    assert answer["status"] == "OK"
    assert getattr(answer["result"], "data", answer["result"]) == (3, 1)
