"""What `polyloop map` reads: text, JSON Lines, CSV, and lines that are none of it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from polyloop.cli._inputs import open_source

from ._command import COMMAND, polyloop, records

if TYPE_CHECKING:
    from pathlib import Path

GOOD: list[tuple[str, bytes, list[Any]]] = [
    ("in.txt", b"a\nb b \n", ["a", "b b "]),
    ("in.txt", b"a\r\n\n  \nb", ["a", "b"]),
    ("in.txt", b"\xef\xbb\xbfa\n", ["a"]),
    ("in.txt", '"ä\u2028"\n'.encode(), ['"ä\u2028"']),
    ("in", b"a\n", ["a"]),
    ("in.txt", b"", []),
    ("in.jsonl", b'{"a": 1}\n\n"b"\n[1.5, null]\n', [{"a": 1}, "b", [1.5, None]]),
    ("in.ndjson", b'\xef\xbb\xbf{"a": "\\ud800"}\r\n', [{"a": "\ud800"}]),
    ("in.jsonl", b'{"a":\r1}\n', [{"a": 1}]),
    ("in.csv", b"a,b\n1,2\n\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
    ("in.CSV", b'a,b\r\n"1\r\n1",2\r\n', [{"a": "1\r\n1", "b": "2"}]),
    ("in.csv", b"\xef\xbb\xbfa\n1\n", [{"a": "1"}]),
    ("in.csv", b"", []),
    ("in.csv", b"a,b\n", []),
]


@pytest.mark.parametrize(("name", "content", "expected"), GOOD)
def test_items(tmp_path: Path, name: str, content: bytes, expected: list[Any]) -> None:
    """The suffix tells the format; empty lines, line ends and byte order marks are no items."""
    path = tmp_path / name
    path.write_bytes(content)
    with closing(open_source(str(path), None, spread=False)) as source:
        items = list(source)

    assert [(item.index, item.value) for item in items] == list(enumerate(expected))
    assert [json.loads(item.text) for item in items] == expected
    assert all(len(item.text.splitlines()) == 1 for item in items)
    assert source.bytes_read == source.size


BAD = [
    ("in.txt", b"a\n\xff\nb\n", "line 2 is not UTF-8", "\\xff"),
    ("in.jsonl", b'1\n{"a": \n3\n', "line 2 is not JSON: Expecting value", '{"a": '),
    ("in.jsonl", b"1\nNaN\n3\n", "line 2 is not JSON: NaN is not JSON", "NaN"),
    ("in.jsonl", b'1\n"\xff"\n3\n', "line 2 is not UTF-8", '"\\xff"'),
    ("in.jsonl", b"1\n" + b"[" * 100_000 + b"\n3\n", "line 2 is not JSON", "[" * 100_000),
    ("in.jsonl", b"1\n" + b"1" * 5000 + b"\n3\n", "line 2 is not JSON: Exceeds the limit", "1" * 5000),
    ("in.csv", b"a,b\n1,2\n3\n4,5\n", "the row up to line 3 has 1 fields, the header has 2", ["3"]),
    ("in.csv", b"a,b\n1,2\n\xff,3\n4,5\n", "the row up to line 3 is not UTF-8", ["\udcff", "3"]),
    ("in.csv", b"a\n1\n" + b"x" * 140_000 + b"\n2\n", "line 3 is not CSV: field larger", None),
]


@pytest.mark.parametrize(("name", "content", "message", "shown"), BAD)
def test_unreadable_item(tmp_path: Path, name: str, content: bytes, message: str, shown: object) -> None:
    """A line that holds no item is an item with a problem, which names the line; those around it are well."""
    path = tmp_path / name
    path.write_bytes(content)
    with closing(open_source(str(path), None, spread=False)) as source:
        first, second, third = source

    assert first.problem is None
    assert third.problem is None
    assert message in str(second.problem)
    assert [second.index, json.loads(second.text)] == [1, shown]


COMMANDS = [("in.txt", "a\n", "a"), ("in.jsonl", '{"a": 1}\n', {"a": 1}), ("in.csv", "a\n1\n", {"a": "1"})]


@pytest.mark.parametrize(("name", "content", "expected"), COMMANDS)
def test_formats(folder: Path, name: str, content: str, expected: object) -> None:
    """The function is given a line's text, a JSON value or a row as an object."""
    (folder / name).write_text(content)
    done = polyloop("map", "jobs:same", name, folder=folder)

    assert records(done.stdout) == [{"index": 0, "item": expected, "result": expected}]
    assert done.returncode == 0


def test_unreadable_line(folder: Path) -> None:
    """A line that cannot be read fails alone: the others go on, and the status is 1."""
    done = polyloop("map", "jobs:same", "--format=jsonl", folder=folder, stdin=b"1\n{\n3\n")

    first, second, third = records(done.stdout)
    assert (first["result"], third["result"]) == (1, 3)
    assert second["error"]["type"] == "UnreadableItem"
    assert second["error"]["message"].startswith("line 2 is not JSON")
    assert done.returncode == 1


def test_format_option(folder: Path) -> None:
    """--format says what the suffix does not."""
    done = polyloop("map", "jobs:same", "--format", "csv", folder=folder, stdin=b"a\n1\n")

    assert records(done.stdout)[0]["item"] == {"a": "1"}


def test_spread(folder: Path) -> None:
    """--spread gives an object's fields as keyword arguments, and what does not fit fails."""
    lines = b'{"name": "tea", "price": 3}\n{"name": "tea"}\n[1]\n'
    done = polyloop("map", "jobs:keywords", "--spread", "--format=jsonl", folder=folder, stdin=lines)

    good, missing, list_ = records(done.stdout)
    assert good["result"] == "tea: 3 EUR"
    assert "'price'" in missing["error"]["message"]
    assert list_["error"]["message"] == "line 3 is not an object, so it has no fields to spread"


KINDS = [
    ("jobs:client.fetch", '"x"', "fetched x"),
    ("jobs:bound", '{"name": "tea", "price": 3}', "tea: 3 USD"),
]


@pytest.mark.parametrize(("target", "line", "expected"), KINDS)
def test_kinds_of_functions(folder: Path, target: str, line: str, expected: str) -> None:
    """A bound method and a partial of a coroutine function are coroutine functions too."""
    spread = ["--spread"] if line.startswith("{") else []
    done = polyloop("map", target, "--format=jsonl", *spread, folder=folder, stdin=line.encode())

    assert records(done.stdout)[0].get("result") == expected


def test_regular_file_as_standard_input(folder: Path) -> None:
    """Standard input may be a file as well as a pipe, and is read from where it stands."""
    (folder / "in.txt").write_text("header\na\nb\n")
    command = ["sh", "-c", '{ read -r first; exec "$0" "$@"; } <in.txt', COMMAND]
    done = polyloop("map", "jobs:same", folder=folder, command=command)

    assert [record["item"] for record in records(done.stdout)] == ["a", "b"]
