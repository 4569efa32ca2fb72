"""Signals in the main thread: Ctrl-C while something is waited for, and handlers that use the pool."""

from __future__ import annotations

import pytest

from tests._processes import Program, run_python

WAITS = {
    "result": "pool.submit(stay).result()",
    "call": "pool.call(stay)",
    "iteration": "next(iter(pool.map(stay_with, [1])))",
    "leaving": "pool.submit(stay)",
}


@pytest.mark.backends("thread", "process", "interpreter", why="what workers print goes to Ray's own logs")
@pytest.mark.parametrize("wait", WAITS)
def test_ctrl_c_cancels_what_is_waited_for(backend: str, wait: str) -> None:
    """Ctrl-C in the main thread cancels the task, which cleans up before the program ends."""
    with Program(
        """
        import asyncio, polyloop

        async def stay():
            print("ready", flush=True)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                print("cleaned", flush=True)

        async def stay_with(item):
            await stay()

        with polyloop.LoopPool(1, backend="BACKEND") as pool:
            WAIT
        """.replace("WAIT", WAITS[wait]).replace("BACKEND", backend)
    ) as program:
        assert program.wait_for_line() == "ready"
        # Another process says that it is ready while submit() has not returned yet.
        program.interrupt(at_rest=True)
        ended = program.end()

    assert ended.output.splitlines()[-1] == "cleaned"
    assert ended.errors.splitlines()[-1] == "KeyboardInterrupt"
    assert ended.status == -2


@pytest.mark.backends("thread", "process", "interpreter", why="what workers print goes to Ray's own logs")
def test_ctrl_c_in_an_async_block(backend: str) -> None:
    """Ctrl-C in asyncio.run() cancels what the pool runs, as it cancels the program's own tasks."""
    code = """
        import asyncio, polyloop

        async def stay():
            try:
                print("ready", flush=True)
                await asyncio.Event().wait()
            finally:
                print("cleaned", flush=True)

        async def main():
            async with polyloop.LoopPool(1, backend="BACKEND") as pool:
                await pool.run(stay)

        asyncio.run(main())
    """
    with Program(code.replace("BACKEND", backend)) as program:
        assert program.wait_for_line() == "ready"
        program.interrupt()
        ended = program.end()

    assert ended.output == "cleaned\n"
    assert ended.errors.splitlines()[-1] == "KeyboardInterrupt"
    assert ended.status == -2


@pytest.mark.parametrize("where", ["pool.close()", "asyncio.run(pool.aclose())", "future.wait()"])
def test_a_handler_may_close_the_pool(backend: str, where: str) -> None:
    """A signal handler that closes the pool ends the draining that it interrupted, and cannot hang."""
    code = """
        import asyncio, os, signal, threading, polyloop

        async def stay():
            await asyncio.Event().wait()

        async def nothing():
            pass

        pool = polyloop.LoopPool(1, backend="BACKEND")
        pool.open()
        future = pool.submit(stay)
        pool.call(nothing)  # what was sent before has started
        signal.signal(signal.SIGTERM, lambda *_: pool.close(drain=0))
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        WHERE
        pool.close()
        print(future.cancelled())
    """
    ended = run_python(code.replace("WHERE", where).replace("BACKEND", backend), limit=10)

    assert (ended.status, ended.output, ended.errors) == (0, "True\n", "")


def test_pools_work_where_signal_handlers_do_not(backend: str) -> None:
    """A pool opened in another thread than the main one needs no signal handler of its own."""
    code = """
        import threading, polyloop

        async def one():
            return 1

        def use():
            with polyloop.LoopPool(1, backend="BACKEND") as pool:
                print(pool.call(one))

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    """
    ended = run_python(code.replace("BACKEND", backend))

    assert (ended.status, ended.output, ended.errors) == (0, "1\n", "")
