"""Items from a file: lines of text, JSON Lines or CSV, read as they are asked for.

An input that cannot be read is wrong usage. A line that cannot be understood is not: it becomes an item
that fails, with its line number, and the next line is read.
"""

from __future__ import annotations

import csv
import os
import stat
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ._json import decode, encode, one_line
from ._wrong_usage import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Format", "Item", "Source", "UnreadableItem", "open_source"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Format(StrEnum):
    """What an input consists of."""

    TEXT = "text"
    JSONL = "jsonl"
    CSV = "csv"


SUFFIXES = {".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".csv": Format.CSV}


class UnreadableItem(ValueError):
    """A line of the input does not hold an item."""


class Item:
    """One item of the input.

    Attributes:
        index: How many items came before it.
        value: What the function is given.
        text: The value as JSON, kept from before the function could change it.
        problem: Why there is no value; None if there is one.
    """

    __slots__ = ("index", "problem", "text", "value")

    def __init__(self, value: Any, text: str, problem: UnreadableItem | None = None) -> None:
        self.index = -1
        self.value = value
        self.text = text
        self.problem = problem


class Source:
    """The items of one input, to be iterated once; the counters may be read from any thread meanwhile.

    Attributes:
        name: What to call it in messages.
        size: Its bytes; None where it is no regular file and nobody knows.
        can_block: Whether reading may wait for somebody to write.
        bytes_read: How much of it has been read.
        items_read: How many items that gave.
    """

    def __init__(
        self, name: str, file: BinaryIO, form: Format, *, has_fields: bool, key: str | None = None
    ) -> None:
        status = os.fstat(file.fileno())
        self.can_block = not stat.S_ISREG(status.st_mode)
        self.size = None if self.can_block else max(0, status.st_size - file.tell())
        self.name = name
        self.file = file
        self.bytes_read = 0
        self.items_read = 0
        self._line = 0
        self._form = form
        self._has_fields = has_fields
        self._key = key

    def __iter__(self) -> Iterator[Item]:
        """Read on; raises OSError if that fails, and WrongUsage for a CSV header that cannot be used."""
        readers = {Format.TEXT: self._texts, Format.JSONL: self._values, Format.CSV: self._rows}
        for item in readers[self._form]():
            item.index = self.items_read
            self.items_read += 1
            yield item

    def close(self) -> None:
        """Close it, unless that might wait for a thread that sits in reading: then the process's end does."""
        if not self.can_block:
            self.file.close()

    def _lines(self) -> Iterator[bytes]:
        for line in self.file:
            self.bytes_read += len(line)
            self._line += 1
            if self._line == 1 and line.startswith(BYTE_ORDER_MARK):
                line = line.removeprefix(BYTE_ORDER_MARK)  # noqa: PLW2901 - without it, it is the line
            yield line

    def _texts(self) -> Iterator[Item]:
        for line in self._lines():
            try:
                value = line.rstrip(b"\r\n").decode()
            except UnicodeDecodeError:
                yield self._unreadable(line, "is not UTF-8")
                continue
            if value and not value.isspace():
                yield Item(value, encode(value))

    def _values(self) -> Iterator[Item]:
        for line in self._lines():
            if not line.isspace():
                yield self._value(line)

    def _value(self, line: bytes) -> Item:
        try:
            text = line.decode().strip()
            value = decode(text)
        except UnicodeDecodeError:
            return self._unreadable(line, "is not UTF-8")
        except (ValueError, RecursionError) as error:
            return self._unreadable(line, f"is not JSON: {error}")
        shown = one_line(text)  # as it stood there: to encode it anew would cost more
        if self._has_fields and not isinstance(value, dict):
            problem = UnreadableItem(f"line {self._line} is not an object, so it has no fields to spread")
            return Item(None, shown, problem)
        if self._key is not None and (not isinstance(value, dict) or self._key not in value):
            problem = UnreadableItem(f"line {self._line} has no field {self._key!r}, which --key names")
            return Item(None, shown, problem)
        return Item(value, shown)

    def _rows(self) -> Iterator[Item]:
        # Not csv.DictReader: that passes over rows that are too short or too long.
        rows = csv.reader(map(_decode_row, self._lines()))
        header: list[str] | None = None
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Item(None, "null", UnreadableItem(f"line {self._line} is not CSV: {error}"))
                continue
            if not row:
                continue
            if header is None:
                header = self._header(row)
            else:
                yield self._row(header, row)

    def _header(self, row: list[str]) -> list[str]:
        if len(set(row)) < len(row):
            twice = next(name for name in row if row.count(name) > 1)
            raise WrongUsage(f"the header of {self.name} names the column {twice!r} more than once")
        if self._key is not None and self._key not in row:
            raise WrongUsage(f"the header of {self.name} has no column {self._key!r}, which --key names")
        return row

    def _row(self, header: list[str], row: list[str]) -> Item:
        text = encode(row)
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            return Item(None, text, UnreadableItem(f"the row up to line {self._line} is not UTF-8"))
        if len(row) != len(header):
            problem = f"the row up to line {self._line} has {len(row)} fields, the header has {len(header)}"
            return Item(None, text, UnreadableItem(problem))
        value = dict(zip(header, row, strict=True))
        return Item(value, encode(value))

    def _unreadable(self, line: bytes, why: str) -> Item:
        shown = encode(line.rstrip(b"\r\n").decode(errors="backslashreplace"))
        return Item(None, shown, UnreadableItem(f"line {self._line} {why}"))


def _decode_row(line: bytes) -> str:
    # What is not UTF-8 comes through as lone surrogates, so that the row it is in can be told.
    return line.decode(errors="surrogateescape")


def open_source(name: str, form: Format | None, *, spread: bool, key: str | None = None) -> Source:
    """Open an input, for the caller to close.

    Args:
        name: A path, or ``-`` for standard input.
        form: What it consists of; None tells it by the suffix.
        spread: Whether items have to have fields.
        key: A field that they have to have.

    Raises:
        WrongUsage: It cannot be read, or has no fields.
    """
    if form is None:
        form = _form_of(name)
    if form is Format.TEXT and (spread or key is not None):
        option = "--spread" if spread else "--key"
        raise WrongUsage(f"{option} needs items with fields, and lines of text have none; see --format")
    if name == "-" and sys.stdin is None:
        raise WrongUsage("there are no items: no INPUT was named and standard input is closed")
    title = "standard input" if name == "-" else name
    try:
        file: BinaryIO
        file = open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb")  # noqa: SIM115 - the caller closes it
        source = Source(title, file, form, has_fields=spread, key=key)
    except OSError as error:
        raise WrongUsage(f"cannot read {title}: {error.strerror}") from None
    if source.can_block and file.isatty():
        print("polyloop: reading items from the terminal, one a line; Ctrl-D ends them", file=sys.stderr)
    return source


def _form_of(name: str) -> Format:
    suffix = Path(name).suffix.lower()
    if suffix == ".json":
        raise WrongUsage(
            f"{name} may be one JSON value or one in each line; for the latter add --format jsonl"
        )
    return SUFFIXES.get(suffix, Format.TEXT)
