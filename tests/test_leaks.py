"""The checks that every test runs under, put to the test: each kind of leak is reported.

The leaking tests are files of their own, run by a pytest of their own under the project's settings.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    RunTest = Callable[..., pytest.RunResult]

PREAMBLE = """
import asyncio, logging, os, subprocess, sys, threading
from tests import _leaks
kept = []
"""


@pytest.fixture
def run_test(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> RunTest:
    """Runs the code of one test file under our settings and fixtures."""
    pytester.makeconftest("from tests._leaks import *")

    def run(code: str, *options: str) -> pytest.RunResult:
        path = pytester.makepyfile(test_it=PREAMBLE + textwrap.dedent(code))
        config = pytestconfig.rootpath / "pyproject.toml"
        return pytester.runpytest_subprocess("-c", config, "--rootdir", pytester.path, path, *options)

    return run


LEAKS = {
    "thread": ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "*thread <Thread*"),
    "descriptor": ("kept.append(os.pipe())", "*file descriptor * (pipe:*"),
    "replaced_descriptor": (
        "ends = os.pipe(); os.dup2(ends[0], kept[0]); os.close(ends[0]); os.close(ends[1])",
        "*file descriptor * (pipe:*",
    ),
    "child": ("kept.append(subprocess.Popen(['cat'], stdin=subprocess.PIPE))", "*child process * (cat)*"),
    "zombie": (
        "kept.append(subprocess.Popen(['true'])); os.waitid(os.P_PID, kept[-1].pid, os.WEXITED | os.WNOWAIT)",
        "*child process * (it ended, and was not waited for)*",
    ),
    "pending_task": (
        "loop = asyncio.new_event_loop(); loop.create_task(asyncio.sleep(0)); loop.close()",
        "*ERROR asyncio: Task was destroyed but it is pending*",
    ),
    "coroutine": ("asyncio.sleep(0)", "*coroutine 'sleep' was never awaited*"),
    "open_file": ("open(os.devnull)", "*ResourceWarning: unclosed file*"),
    "thread_exception": (
        "thread = threading.Thread(target=int, args=('x',)); thread.start(); thread.join()",
        "*Exception in thread*",
    ),
    "warning": ("logging.getLogger('polyloop.pool').warning('a worker is late')", "*a worker is late*"),
}


def test_leaks_are_reported(run_test: RunTest) -> None:
    """A test that leaves something behind, or warns, fails, and the report says what it was."""
    # All in one run, because most of the time goes into starting one.
    setup = "_leaks.PATIENCE = 0.2\nkept.append(os.open(os.devnull, os.O_RDONLY))\n"
    tests = [f"def test_{kind}():\n    {leak}\n" for kind, (leak, _) in LEAKS.items()]

    result = run_test(setup + "".join(tests))

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    for kind, (_, report) in LEAKS.items():
        result.stdout.fnmatch_lines(["*___ *test_" + kind + " ___*", report])
        result.stdout.re_match_lines([rf"(ERROR|FAILED) .*::test_{kind}\b"])


def test_garbage_that_logs_late_fails_the_run(run_test: RunTest) -> None:
    """A pending task that only the garbage collector finds is reported when the run ends."""
    result = run_test("""
        import gc

        def test_makes_a_cycle():
            gc.disable()
            loop = asyncio.new_event_loop()
            # The task waits for a future that nobody else holds: the two hold only each other.
            task = loop.create_task(asyncio.wait_for(loop.create_future(), None))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
    """)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*some test*", "*ERROR asyncio: Task was destroyed but it is pending*"])


def test_what_is_just_ending_is_waited_for(run_test: RunTest) -> None:
    """A thread that ends soon after the test, and a loop's own threads that were shut down, are no leak."""
    result = run_test("""
        def test_ends_soon():
            threading.Timer(0.05, int).start()

        def test_uses_a_loop():
            asyncio.run(asyncio.to_thread(int))

        def test_waits_for_its_child():
            subprocess.run(["true"], check=True)
    """)

    result.assert_outcomes(passed=3)


def test_expected_logs_may_happen(run_test: RunTest) -> None:
    """A test that asks for `expected_logs` may cause warnings, and finds them there."""
    result = run_test("""
        def test_warns(expected_logs):
            logging.getLogger("polyloop").warning("as planned")

            assert [record.getMessage() for record in expected_logs] == ["as planned"]
    """)

    result.assert_outcomes(passed=1)


def test_property_tests_may_run_under_the_checks(run_test: RunTest) -> None:
    """Hypothesis accepts the fixtures that every test gets: it refuses others of function scope."""
    result = run_test("""
        from hypothesis import given, strategies as st

        @given(st.integers())
        def test_property(number):
            assert number == int(str(number))
    """)

    result.assert_outcomes(passed=1)


def test_a_hanging_test_shows_where_it_hangs(run_test: RunTest) -> None:
    """When a test's time is up the run ends, and the stacks of all threads have been printed."""
    result = run_test(
        """
        def sit_in_a_thread():
            threading.Event().wait()

        def test_hangs():
            thread = threading.Thread(target=sit_in_a_thread)
            thread.start()
            thread.join()
        """,
        "--timeout=1",
    )

    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*Timeout*"])
    result.stdout.fnmatch_lines_random(["*in sit_in_a_thread*", "*in test_hangs*"])
