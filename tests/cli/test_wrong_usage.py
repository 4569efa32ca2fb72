"""Wrong usage: one clear sentence on standard error, status 2, no traceback."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from ._command import COMMAND, polyloop
from .conftest import JOBS

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = [
    ("jobs", "MODULE:FUNCTION"),
    ("jobs:", "MODULE:FUNCTION"),
    ("jobs.py:same", "there is no module jobs.py"),
    ("./jobs:same", "MODULE:FUNCTION"),
    ("jobs:same()", "MODULE:FUNCTION"),
    ("jobs:same\n", "MODULE:FUNCTION"),
    ("jobs:__import__('os').system('id')", "MODULE:FUNCTION"),
    ("nowhere:same", "there is no module nowhere"),
    ("jobs:nothing", "has no nothing"),
    ("jobs:same.nothing", "has no same.nothing"),
    ("jobs:plain", "a plain function"),
    ("jobs:generator", "an async generator function"),
    ("jobs:Client", "a class"),
    ("jobs:number", "of type int"),
    ("os:system", "a plain function"),
    ("broken:same", "broken.py, line 2"),
    ("garbled:same", "SyntaxError: invalid syntax (garbled.py, line 1)\n"),
    ("lacking:same", "No module named 'nowhere'"),
    ("leaving:same", "SystemExit"),
]

ON_RAY = ["map", "jobs:same", "in.txt", "--backend", "ray"]

ARGUMENTS = [
    (["map"], "MODULE:FUNCTION"),
    (["map", "jobs:same", "missing.txt"], "cannot read missing.txt: No such file or directory"),
    (["map", "jobs:same", "."], "cannot read .: Is a directory"),
    (["map", "jobs:same", "in.json"], "--format jsonl"),
    (["map", "jobs:same", "in.txt", "--spread"], "--spread needs items with fields"),
    (["map", "jobs:same", "in.txt", "--key", "user"], "--key needs items with fields"),
    (["map", "jobs:same", "in.jsonl", "--per-key", "1"], "--per-key needs --key"),
    (["map", "jobs:same", "in.jsonl", "--key", "user", "--per-key", "0"], "--per-key"),
    (["map", "jobs:same", "one.csv", "--key", "user"], "the header of one.csv has no column 'user'"),
    (["map", "jobs:same", "in.txt", "--format", "xml"], "xml"),
    (["map", "jobs:same", "in.txt", "--loops", "0"], "--loops"),
    (["map", "jobs:same", "in.txt", "--loops", "-1"], "--loops"),
    (["map", "jobs:same", "in.txt", "--loops", "many"], "--loops"),
    (["map", "jobs:same", "in.txt", "--loops", "100000"], "too large"),
    (["map", "jobs:same", "in.txt", "--limit", "0"], "--limit"),
    (["map", "jobs:same", "in.txt", "--grace", "-1"], "--grace"),
    (["map", "jobs:same", "in.txt", "--grace", "nan"], "--grace"),
    (["map", "jobs:same", "in.txt", "--timeout", "0"], "--timeout 0 is not a number of seconds above 0"),
    (["map", "jobs:same", "in.txt", "--timeout", "inf"], "--timeout inf"),
    (["map", "jobs:same", "in.txt", "--timeout", "soon"], "--timeout"),
    (["map", "jobs:same", "in.txt", "--app-dir", "missing"], "--app-dir 'missing' is not a directory"),
    (["map", "jobs:same", "in.txt", "-o", "missing/out"], "cannot write to missing/out"),
    (["map", "jobs:same", "in.txt", "-o", "in.txt"], "is the input too"),
    (["map", "jobs:same", "in.txt", "-o", "./in.txt"], "is the input too"),
    (["map", "jobs:same", "in.txt", "--address", "auto"], "--address needs --backend ray"),
    ([*ON_RAY, "--address", "nowhere"], "--address='nowhere' is not auto, local or the HOST:PORT"),
    ([*ON_RAY, "--address", "ray://127.0.0.1:10001"], "Ray's client is not supported"),
    ([*ON_RAY, "-o", "kept.jsonl"], "pip install polyloop[ray]"),
    (["map", "jobs:same", "in.txt", "--resubmits", "-1"], "--resubmits"),
    (["map", "jobs:same", "twice.csv"], "names the column 'a' more than once"),
    (["map", "jobs:same", "in.txt", "--unorderd"], "--unorderd"),
    (["mop"], "mop"),
    (["demo", "--pages", "0"], "--pages"),
    (["demo", "--folder", "in.txt"], "cannot write to in.txt"),
    (["demo", "--backend", "ray"], "pip install polyloop[ray]"),
]


ROWS = [(["map", target, "in.txt", "-o", "kept.jsonl"], hint) for target, hint in TARGETS] + ARGUMENTS

FILES = {
    "in.txt": "a\n",
    "in.json": "[]",
    "in.jsonl": "{}",
    "one.csv": "a\n1\n",
    "kept.jsonl": "kept",
    "twice.csv": "a,b,a\n1,2,3\n",
    "broken.py": "\n1 / 0\n",
    "garbled.py": "def\n",
    "lacking.py": "import nowhere\n",
    "leaving.py": "import sys; sys.exit(0)\n",
}

# One process for all of them: to start one takes far longer than to refuse.
PROGRAM = """
import contextlib, io, json, sys
import polyloop.cli

sys.modules["ray"] = None  # as if it were not installed, which it may be
for arguments in json.loads(sys.argv[1]):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = polyloop.cli.main(arguments)
    print(json.dumps([status, output.getvalue(), errors.getvalue()]))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str]]:
    """What came of each row: status, output and errors."""
    folder = tmp_path_factory.mktemp("refusals")
    for name, content in {"jobs.py": JOBS, **FILES}.items():
        (folder / name).write_text(content)
    rows = json.dumps([arguments for arguments, _ in ROWS])
    done = polyloop(rows, folder=folder, command=[sys.executable, "-P", "-c", PROGRAM])

    assert not done.stderr
    for name in ("in.txt", "kept.jsonl"):
        assert (folder / name).read_text() == FILES[name]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("row", "arguments", "hint"), [(n, *row) for n, row in enumerate(ROWS)])
def test_refusal(refusals: list[tuple[int, str, str]], row: int, arguments: list[str], hint: str) -> None:
    """What cannot be done is told in one sentence; nothing is begun and no file is harmed."""
    status, output, errors = refusals[row]

    check_refusal(status, output, errors, hint)


@pytest.mark.parametrize("target", ["jobs:plain", "nowhere:same", "jobs"])
def test_refusal_by_the_command(folder: Path, target: str) -> None:
    """The command says it on standard error and exits with status 2."""
    done = polyloop("map", target, folder=folder, stdin=b"a\n")

    check_refusal(done.returncode, done.stdout, done.stderr, "polyloop: ")
    assert len(done.stderr.splitlines()) == 1


def check_refusal(status: int, output: str, errors: str, hint: str) -> None:
    """Status 2, no output, and a last line with the reason."""
    assert status == 2, errors
    assert not output
    sentence = errors.splitlines()[-1]
    assert sentence.startswith("polyloop: ")
    assert hint in sentence + "\n"
    assert "Traceback" not in errors


CLOSED = [("<&-", "standard input is closed"), (">&-", "standard output is closed")]


@pytest.mark.parametrize(("closing", "hint"), CLOSED)
def test_closed_stream(folder: Path, closing: str, hint: str) -> None:
    """A command whose standard input or output is closed says so, and harms no other file."""
    (folder / "in.txt").write_text("a\n")
    arguments = [] if closing == "<&-" else ["in.txt"]
    command = ["sh", "-c", f'exec "$0" "$@" {closing}', COMMAND]
    done = polyloop("map", "jobs:same", *arguments, folder=folder, command=command)

    check_refusal(done.returncode, done.stdout, done.stderr, hint)


def test_closed_standard_error(folder: Path) -> None:
    """Without a standard error nothing is told, and nothing of it gets among the results."""
    command = ["sh", "-c", 'exec "$0" "$@" 2>&-', COMMAND]
    done = polyloop("map", "jobs:same", "-o", "out", folder=folder, stdin=b"a\n", command=command)

    assert (done.returncode, done.stdout) == (0, "")
    assert (folder / "out").read_text() == '{"index": 0, "item": "a", "result": "a"}\n'


def test_no_arguments(folder: Path) -> None:
    """Without a command the help is shown, and the status says that there was nothing to do."""
    done = polyloop(folder=folder)

    assert "map" in done.stdout
    assert "doctor" in done.stdout
    assert done.returncode == 2


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_missing_extra(folder: Path, missing: str) -> None:
    """Without the libraries of the extra, one sentence says what to install."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None; import polyloop.cli; sys.exit(polyloop.cli.main())"
    )
    done = polyloop("doctor", folder=folder, command=[sys.executable, "-c", program])

    check_refusal(done.returncode, done.stdout, done.stderr, "pip install 'polyloop[cli]'")
    assert missing in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_version(folder: Path) -> None:
    """--version prints the version that is installed."""
    from polyloop import __version__  # noqa: PLC0415 - after the tests above, which need no import

    done = polyloop("--version", folder=folder)

    assert done.stdout == f"polyloop {__version__}\n"
    assert done.returncode == 0
