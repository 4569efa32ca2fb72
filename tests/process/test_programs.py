"""Functions that workers cannot simply import: those of the program itself, and those without a name."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from polyloop import LoopPool
from tests._processes import run_python
from tests.process import _jobs, _lifespans, _looks

if TYPE_CHECKING:
    from pathlib import Path

    from tests._processes import Ended


def run_script(folder: Path, code: str) -> Ended:
    """Run the code as a script."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    return run_python(script)


JOB = """
    import os
    import polyloop

    FACTOR = 2
    LOCAL = polyloop.LoopLocal(list)

    class Pair:
        def __init__(self, one, other):
            self.pair = one, other

    class Odd(Exception):
        pass

    async def job(pair):
        (await LOCAL.get()).append(FACTOR)
        if pair.pair == (0, 0):
            raise Odd("zero")
        return Pair(os.getpid(), [FACTOR * n for n in pair.pair]), await LOCAL.get()

    def main():
        with polyloop.LoopPool(1, backend="process") as pool:
            for count in (1, 2):
                result, values = pool.call(job, Pair(1, 2))
                assert isinstance(result, Pair), result
                assert result.pair[0] != os.getpid() and result.pair[1] == [2, 4], result.pair
                assert values == [2] * count, values
            try:
                pool.call(job, Pair(0, 0))
            except Odd as error:
                print("done", error)
"""


def test_a_script_uses_its_own_functions(tmp_path: Path) -> None:
    """Functions, classes, errors and loop-locals of a script with a main guard are the same on both sides."""
    ended = run_script(tmp_path, JOB + "\n    if __name__ == '__main__':\n        main()\n")

    assert (ended.status, ended.output, ended.errors) == (0, "done zero\n", "")


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    """Workers import the script; to open a pool meanwhile is an error that says so, and no fork bomb."""
    ended = run_script(tmp_path, JOB + "\n    main()\n    print('over')\n")

    assert ended.status == 1
    assert ended.output == ""
    last = ended.errors[ended.errors.rindex("StartupError") :]
    assert 'if __name__ == "__main__":' in last
    assert ended.errors.count("\n") < 45  # multiprocessing's own words, from each process, are 150


def test_a_lazy_pool_of_a_script_needs_no_guard_of_its_own(tmp_path: Path) -> None:
    """A pool that a module makes, to be opened by its first call, is made in the workers, too."""
    ended = run_script(
        tmp_path,
        """
        import os
        import polyloop

        pool = polyloop.LoopPool(1, backend="process", lazy=True)

        async def job():
            return os.getpid()

        if __name__ == "__main__":
            print(pool.call(job) != os.getpid())
        """,
    )

    assert (ended.status, ended.output, ended.errors) == (0, "True\n", "")


LATER = """
    main()
    FACTOR = 3
    with polyloop.LoopPool(1, backend="process") as pool:
        print(pool.call(job, Pair(1, 2))[0].pair[1])
"""


def test_code_of_a_command_line_crosses_by_value() -> None:
    """What ``python -c`` has defined is sent with all that it refers to, as it is at each call."""
    ended = run_python(JOB + LATER)

    assert (ended.status, ended.output, ended.errors) == (0, "done zero\n[3, 6]\n", "")


def test_code_of_standard_input_crosses_by_value() -> None:
    """A program that is piped into the interpreter has a file by name only."""
    code = textwrap.dedent(JOB + LATER)
    ended = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, check=False, timeout=50
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done zero\n[3, 6]\n", "")


def test_functions_without_a_name_cross(pool: LoopPool) -> None:
    """Lambdas, closures and functions inside others run there, and may be results."""
    number = 20

    async def closure(more: int) -> int:
        return number + more

    assert pool.call(closure, 1) == 21
    assert pool.call(lambda: _jobs.double(number)) == 40
    back = pool.call(_jobs.echo, lambda: number)
    assert callable(back)
    assert back() == 20


def test_a_closure_is_sent_as_it_is(pool: LoopPool) -> None:
    """What a closure refers to is sent anew with each call."""
    numbers = [1]

    async def count() -> int:
        return len(numbers)

    assert pool.call(count) == 1
    numbers.append(2)
    assert pool.call(count) == 2


def test_methods_and_partials_cross(pool: LoopPool) -> None:
    """A bound method goes with its object, and a partial with its arguments."""
    assert pool.call(_lifespans.Client("its file").name) == "its file"
    assert pool.call(functools.partial(_jobs.add, 1), other=2) == 3


def test_a_worker_is_where_the_pool_is(pool: LoopPool) -> None:
    """Workers have the folder, the path of modules and the environment of this process."""
    assert pool.call(_looks.surroundings) == (os.getcwd(), sys.path, os.environ["PATH"])  # noqa: PTH109 - see there
