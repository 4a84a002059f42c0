"""How a table file begins: its container, told by content, and of text the names of its columns."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import BillingFormatError, Problem
from simulator.ingest.table_definition import definitions_beside

Container = Literal["parquet", "gzip", "zip", "text"]

HIVE_DELIMITER = "\x01"
"""What Hive puts between values; it never quotes them."""
_HEADER_BYTES = 4 * 1024 * 1024
_DELIMITERS = (",", "\t", ";", "|", HIVE_DELIMITER)


class NoBill(BillingFormatError):
    """A table that is no bill at all."""


@dataclass(frozen=True)
class Header:
    """Columns of a text file as written. `is_written`: by the file itself, not by a table definition beside it."""

    names: tuple[str, ...]
    delimiter: str
    is_written: bool = True


def container(file: Path) -> Container:
    """What the first bytes say the file is."""
    try:
        with file.open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise BillingFormatError(Problem(str(file), f"a file that cannot be read ({error.strerror})", "check the path")) from None
    if head == b"PAR1":
        return "parquet"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    return "zip" if head == b"PK\x03\x04" else "text"


def read_header(file: Path) -> Header:
    """The columns of a text file, from its first record. A Hive export's `table.` prefix is taken off.

    A first record that is data takes its names from the manifest or create-table.sql beside the file, where one fits.
    """
    try:
        text = _head(file).decode("utf-8-sig", errors="strict" if file.stat().st_size < _HEADER_BYTES else "ignore")
    except (OSError, EOFError, zlib.error):
        raise BillingFormatError(Problem(str(file), "a gzip file that is cut short or damaged", "fetch it again")) from None
    except UnicodeDecodeError as error:
        raise BillingFormatError(Problem(f"{file}: byte {error.start}", "text that is not UTF-8", "export it as UTF-8")) from None
    first = text.split("\n", 1)[0]
    if not first.strip():
        raise BillingFormatError(Problem(str(file), "an empty file" if not text.strip() else "no header line", "fetch it again"))
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == HIVE_DELIMITER else csv.QUOTE_MINIMAL
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting))
    except csv.Error as error:
        raise BillingFormatError(Problem(f"{file}: line 1", f"a header that is not csv ({error})", "give a bill")) from None
    prefixes = {name.split(".", 1)[0] for name in names}
    if len(prefixes) == 1 and all("." in name for name in names):
        names = [name.split(".", 1)[1] for name in names]
    nameless = sum(not re.match(r"\s*[^\W\d]", name) for name in names)  # empty or a number
    defined = next((found for found in definitions_beside(file) if len(found) == len(names)), None) if nameless else None
    if defined and not set(defined) & set(names):
        return Header(defined, delimiter, is_written=False)
    if nameless > len(names) / 3:
        mend = "put the report's manifest or create-table.sql, which name its columns, beside it"
        raise NoBill(Problem(f"{file}: line 1", f"{len(names)} values where column names should be", mend))
    return Header(tuple(names), delimiter)


def _head(file: Path) -> bytes:
    if container(file) != "gzip":
        with file.open("rb") as plain:
            return plain.read(_HEADER_BYTES)
    with gzip.open(file, "rb") as packed:
        line = packed.readline(_HEADER_BYTES)
        return line if b'"' not in line else line + packed.read(65536)
