"""Opening a pool of interpreters, and the extension modules that cannot be loaded there."""

from __future__ import annotations

import platform
import textwrap
from pathlib import Path
from typing import Any

import pytest

from polyloop import LoopPool, StartupError
from tests._processes import run_python
from tests._programs import run_program
from tests.interpreter import _jobs
from tests.interpreter._needs import HAS_INTERPRETERS, needs_interpreters


@pytest.mark.skipif(HAS_INTERPRETERS, reason="this Python has interpreters")
def test_an_older_python_says_so() -> None:
    """Where there are no interpreters to be had, making the pool says which Python has them."""
    with pytest.raises(RuntimeError, match=rf"needs CPython 3\.14 .* {platform.python_version()}"):
        LoopPool(1, backend="interpreter")


@needs_interpreters
def test_a_stall_limit_is_refused() -> None:
    """An interpreter that is stalled cannot be ended."""
    with pytest.raises(ValueError, match="stall_limit= is for backend='process'"):
        LoopPool(1, backend="interpreter", stall_limit=1.0)


@needs_interpreters
def test_the_working_directory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory belongs to the process, so opening a pool does not go back to where it began."""
    monkeypatch.chdir(tmp_path)

    with LoopPool(1, backend="interpreter") as pool:
        there = pool.call(_jobs.directory)

    assert there == str(Path.cwd()) == str(tmp_path)


@needs_interpreters
@pytest.mark.parametrize("what", ["loop_factory", "lifespan"])
def test_an_extension_that_the_setup_needs(what: str) -> None:
    """Where the loop factory or the lifespan needs what cannot be loaded there, opening says so."""
    pytest.importorskip("uvloop")
    from tests.interpreter import _uvloop_jobs  # noqa: PLC0415 - it cannot be imported without

    options: dict[str, Any] = {"loop_factory": _uvloop_jobs.make_loop, "lifespan": _uvloop_jobs.lifespan}
    # One loop: another one may still be on its way, and be given up with a warning.
    pool = LoopPool(1, backend="interpreter", **{what: options[what]})

    with pytest.raises(StartupError, match=r"uvloop\.loop is not made for sub-interpreters.*'process'"):
        pool.open()


@needs_interpreters
def test_an_extension_that_a_call_needs(pool: LoopPool) -> None:
    """A call whose module needs such a module fails, by an error that names it; others go on."""
    pytest.importorskip("uvloop")
    from tests.interpreter import _uvloop_jobs  # noqa: PLC0415 - as above

    with pytest.raises(ImportError, match=r"uvloop\.loop is not made for sub-interpreters") as caught:
        pool.call(_uvloop_jobs.job)

    assert caught.value.name == "uvloop.loop"
    assert pool.call(_jobs.double, 1) == 2


MAIN = """
    import readline
    import _curses
    import polyloop

    async def job():
        pass

    if __name__ == "__main__":
        try:
            polyloop.LoopPool(1, backend="interpreter").open()
        except polyloop.StartupError as error:
            assert {first!r} in str(error), error
            assert {others!r} in str(error), error
        else:
            raise AssertionError("it has been opened")
"""


@needs_interpreters
def test_extensions_that_the_main_module_needs(tmp_path: Path) -> None:
    """The error names the one that failed, and all others of the program that would."""
    pytest.importorskip("readline")
    pytest.importorskip("_curses")
    script = tmp_path / "script.py"
    first = "the extension module readline is not made for sub-interpreters"
    script.write_text(textwrap.dedent(MAIN.format(first=first, others="has loaded, so are: _curses)")))

    run_program(script, folder=tmp_path)


SCRIPT = """
    import polyloop

    FACTOR = 3

    class Pair:
        def __init__(self, one, other):
            self.one, self.other = one, other

    async def multiply(pair):
        return Pair(pair.one * FACTOR, pair.other * FACTOR)

    if __name__ == "__main__":
        with polyloop.LoopPool(2, backend="interpreter") as pool:
            for pair in pool.map(multiply, [Pair(1, 2)] * 10):
                assert (pair.one, pair.other) == (3, 6) and type(pair) is Pair, pair
"""


@needs_interpreters
def test_functions_of_the_main_module(tmp_path: Path) -> None:
    """A worker imports the program's main module under another name, as processes do."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))

    run_program(script, folder=tmp_path)


@needs_interpreters
def test_functions_of_a_program_without_a_file() -> None:
    """Where the main module cannot be imported, its functions cross by value."""
    ended = run_python(textwrap.dedent(SCRIPT).replace("type(pair) is Pair", "True"))

    assert (ended.status, ended.errors) == (0, "")
