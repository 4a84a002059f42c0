"""A table file of any dress (parquet, csv, gzip, zip; told by content) as a duckdb relation with known columns.

Columns are found by their letters alone, so that `lineItem/UnblendedCost`, `line_item_unblended_cost` and
`LineItemUnblendedCost` are one name. Every text column is read as text: types are decided by the bill format, never guessed.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from models.errors import BillingFormatError, Problem
from simulator.ingest.text_header import HIVE_DELIMITER, container, read_header

NULL_TEXTS = ("", "NULL", "\\N", "None", "null")
_MONEY = "DECIMAL(38,16)"
_FIRST_TIME, _LAST_TIME = "TIMESTAMP '2000-01-01'", "TIMESTAMP '2199-12-31'"
_THOUSANDS = "[-+]?[0-9]{1,3}(,[0-9]{3})+(\\.[0-9]*)?"


def letters(name: str) -> str:
    """The name without case and punctuation: the form in which columns and tag keys are compared."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def quoted(name: str) -> str:
    """A duckdb identifier."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """A duckdb string literal."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Column:
    """One outside column: its name in the relation, its duckdb type and its name as written."""

    name: str
    type: str
    label: str


@dataclass(frozen=True)
class TextPart:
    """One text file: the names of its columns in the relation, in its own order, and how it is dressed."""

    file: Path
    names: tuple[str, ...]
    delimiter: str
    is_packed: bool
    has_header: bool

    def relation(self, block: Path | None = None, *, is_first: bool = True, absent: Sequence[str] = ()) -> str:
        """SQL of a FROM clause: the file, or a plain `block` of its records (the first of them or not), with `absent` columns as NULL."""
        columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(self.names)))
        select = ", ".join(
            [*(f"c{n} AS {quoted(name)}" for n, name in enumerate(self.names)), *(f"NULL::VARCHAR AS {quoted(n)}" for n in absent)]
        )
        nulls = ", ".join(map(text_literal, NULL_TEXTS))
        packing = "gzip" if self.is_packed and block is None else "none"
        quote = "" if self.delimiter == HIVE_DELIMITER else '"'
        header = str(self.has_header and is_first).lower()
        shape = f"auto_detect=false, header={header}, columns={{{columns}}}, quote='{quote}', escape='{quote}'"
        limits = f"delim={text_literal(self.delimiter)}, nullstr=[{nulls}], compression='{packing}', hive_partitioning=false"
        return f"(SELECT {select} FROM read_csv({text_literal(str(block or self.file))}, {shape}, {limits}))"


@dataclass(frozen=True)
class Table:
    """Files read together. `relation` is the text of a FROM clause; `columns` by their letters (case variants share them).

    places: (how a person finds it, the readable file) of each file, zips unpacked; `parts`: what is known of each when they are text.
    """

    files: tuple[Path, ...]
    relation: str
    columns: dict[str, tuple[Column, ...]]
    places: tuple[tuple[str, Path], ...]
    parts: tuple[TextPart, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the files are text, in which the reader tells every spelling of nothing already."""
        return bool(self.parts)

    def numbered(self) -> tuple[tuple[str, str], ...]:
        """(place, FROM clause) of each file, with the columns of all and `file_row`: its rows counted from 1 in its own order.

        The order holds while the connection preserves it (`preserve_insertion_order`).
        """
        if not self.is_text:
            numbers = self.relation.replace("union_by_name=true", "union_by_name=true, filename=true, file_row_number=true")
            rows = f"SELECT * EXCLUDE (file_row_number), file_row_number + 1 AS file_row FROM {numbers}"
            return tuple((place, f"({rows} WHERE filename = {text_literal(str(file))})") for place, file in self.places)
        names = dict.fromkeys(name for part in self.parts for name in part.names)
        relations = (part.relation(absent=[name for name in names if name not in part.names]) for part in self.parts)
        counted = (f"(SELECT *, row_number() OVER () AS file_row FROM {relation})" for relation in relations)
        return tuple((place, relation) for (place, _), relation in zip(self.places, counted, strict=True))

    def has(self, name: str) -> bool:
        """Whether a column with these letters exists."""
        return letters(name) in self.columns

    def first(self, *names: str) -> str | None:
        """The first of `names` that exists, as its letters."""
        return next((letters(name) for name in names if self.has(name)), None)

    def text(self, *names: str) -> str:
        """SQL: the first non-empty of these columns as text, '' when there is none.

        Spelt-out nulls of a parquet column are left to `without_nulls`, which is cheap where it looks at groups, not rows.
        """
        found = [column for name in names if self.has(name) for column in self.columns[letters(name)]]
        if not found:
            return "''"
        parts = [quoted(column.name) if column.type == "VARCHAR" else _plain_text(column, self.is_text) for column in found]
        if len(parts) > 1 and not self.is_text:
            parts = [f"nullif({part}, '')" for part in parts]
        return f"coalesce({', '.join([*parts, chr(39) * 2])})"

    def money(self, name: str, *, symbols: bool = False) -> str:
        """SQL: the column as DECIMAL, NULL where it is absent, empty or no number; `symbols` allows '$10,100.00 '."""
        if not self.has(name):
            return f"CAST(NULL AS {_MONEY})"
        value = self._number(name, symbols=symbols)
        return f"TRY_CAST({value} AS {_MONEY})"

    def given(self, name: str) -> str:
        """SQL: the column has a value in this row, whatever it is."""
        if not self.has(name):
            return "false"
        column = self.columns[letters(name)][0]
        return f"({quoted(column.name) if column.type != 'VARCHAR' else _plain_text(column, self.is_text)} IS NOT NULL)"

    def time(self, name: str) -> str:
        """SQL: the column as a UTC TIMESTAMP, NULL where it is absent, empty or no time."""
        if not self.has(name):
            return "CAST(NULL AS TIMESTAMP)"
        column = self.columns[letters(name)][0]
        if column.type == "VARCHAR":
            text = _plain_text(column, self.is_text)
            slashed = f"try_strptime({text}, ['%m/%d/%y', '%m/%d/%Y', '%m/%d/%y %H:%M', '%m/%d/%Y %H:%M', '%m/%d/%Y %H:%M:%S'])"
            plain, iso = f"TRY_CAST({text} AS TIMESTAMP)", f"TRY_CAST(replace({text}, ' +0000 UTC', 'Z') AS TIMESTAMPTZ)"
            usual = f"strlen({text}) = 19 AND NOT contains({text}, '/') AND NOT contains({text}, '+')"
            value = f"""CASE WHEN {usual} OR ends_with({text}, 'Z') THEN {plain} WHEN contains({text}, '/') THEN {slashed}
                ELSE TRY_CAST({iso} AS TIMESTAMP) END"""
        else:
            value = quoted(column.name) if column.type == "TIMESTAMP" else f"TRY_CAST({quoted(column.name)} AS TIMESTAMP)"
        return value

    def _number(self, name: str, *, symbols: bool) -> str:
        column = self.columns[letters(name)][0]
        if column.type != "VARCHAR":
            return quoted(column.name)
        text = _plain_text(column, self.is_text)
        written = f"CASE WHEN NOT contains({text}, '_') THEN {text} END"  # duckdb reads 1_000 as a thousand
        if not symbols:
            return written
        bare = f"replace(trim({written}), '$', '')"
        comma_decides = any(part.delimiter == ";" for part in self.parts)  # where a comma may be the decimal sign
        number = (
            bare if comma_decides else f"CASE WHEN regexp_full_match({bare}, '{_THOUSANDS}') THEN replace({bare}, ',', '') ELSE {bare} END"
        )
        return f"CASE WHEN contains({text}, ',') OR contains({text}, '$') THEN {number} ELSE {written} END"


def in_time(began: str, ended: str) -> str:
    """SQL over reads: both are times a bill can carry, in this order."""
    return f"{ended} >= {began} AND {began} >= {_FIRST_TIME} AND {ended} <= {_LAST_TIME}"


def no_time(name: str) -> str:
    """SQL over reads: `name` holds something that is no time a bill can carry (30 o'clock, the year 5)."""
    return f"(given_{name} AND coalesce({name} NOT BETWEEN {_FIRST_TIME} AND {_LAST_TIME}, true))"


def no_number(name: str) -> str:
    """SQL over reads: `name` holds something that is no number (text, NaN, infinity)."""
    return f"(given_{name} AND {name} IS NULL)"


def without_nulls(text: str) -> str:
    """SQL: the text, '' for the spellings of nothing."""
    return f"CASE WHEN {text} IN ({', '.join(map(text_literal, NULL_TEXTS))}) THEN '' ELSE {text} END"


def open_table(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], scratch: Path) -> Table:
    """Read `files` together; zips are unpacked into `scratch`. Refuses what is damaged, empty or has no header."""
    readable = {part: place for file in files for place, part in _unzipped(file, scratch)}
    kinds = {container(file) for file in readable}
    if kinds == {"parquet"}:
        return _parquet(connection, files, readable)
    if "parquet" in kinds:
        raise BillingFormatError(Problem(str(files[0].parent), "parquet and text parts in one delivery", "import them one by one"))
    return _text(files, readable)


def _plain_text(column: Column, nulls_done: bool) -> str:
    name = quoted(column.name)
    if column.type != "VARCHAR":
        return f"CAST({name} AS VARCHAR)"
    if nulls_done:
        return name
    return f"CASE WHEN {name} NOT IN ({', '.join(map(text_literal, NULL_TEXTS))}) THEN {name} END"


def _parquet(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], readable: Mapping[Path, str]) -> Table:
    names = ", ".join(text_literal(str(file)) for file in readable)
    relation = f"read_parquet([{names}], union_by_name=true, hive_partitioning=false)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise BillingFormatError(damaged(list(readable), error)) from None
    columns = _by_letters([Column(row[0], row[1], row[0]) for row in described])
    return Table(tuple(files), relation, columns, tuple((place, file) for file, place in readable.items()))


def _text(files: Sequence[Path], readable: Mapping[Path, str]) -> Table:
    columns: dict[str, tuple[Column, ...]] = {}
    parts = []
    for file in readable:
        header = read_header(file)
        names = _told_apart(file, header.names)
        found = [Column(name, "VARCHAR", label) for name, label in zip(names, header.names, strict=True)]
        columns = {**_by_letters(found), **columns}
        parts.append(TextPart(file, tuple(names), header.delimiter, container(file) == "gzip", header.is_written))
    places = tuple((place, file) for file, place in readable.items())
    relation = " UNION ALL BY NAME ".join(f"SELECT * FROM {part.relation()}" for part in parts)
    return Table(tuple(files), f"({relation})", columns, places, tuple(parts))


def _told_apart(file: Path, names: Sequence[str]) -> list[str]:
    """A name for every column, unique without case. Only tags may come in case variants; any other column comes once."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        key = letters(name) or "unnamed"
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1 and letters(name) and not key.startswith(("resourcetags", "costcategory", "product")):
            raise BillingFormatError(Problem(f"{file}: header", f"column {name!r} twice", "give every column once"))
        result.append(key if seen[key] == 1 else f"{key}~{seen[key]}")
    return result


def _by_letters(columns: Sequence[Column]) -> dict[str, tuple[Column, ...]]:
    found: dict[str, tuple[Column, ...]] = {}
    for column in columns:
        key = letters(column.label)
        if key.startswith("resourcetags"):
            key = letters(re.sub(r"_1$", "", column.label))
        found[key] = (*found.get(key, ()), column)
    return found


def _unzipped(file: Path, scratch: Path) -> list[tuple[str, Path]]:
    if container(file) != "zip":
        return [(str(file), file)]
    try:
        with zipfile.ZipFile(file) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            folder = scratch / f"unzipped-{len(list(scratch.iterdir()))}"
            places = {name: str(file) if len(members) == 1 else f"{file}: {name}" for name in sorted(members)}
            return [(place, Path(archive.extract(name, folder))) for name, place in places.items()]
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, RuntimeError, ValueError) as error:
        raise BillingFormatError(Problem(str(file), f"a zip file that is damaged ({error})", "fetch it again")) from None


def damaged(files: Sequence[Path], error: duckdb.Error) -> Problem:
    """What duckdb could not read, in one line: the file and, for csv, the line."""
    message = str(error)
    named = [str(file) for file in files if str(file) in message or file.name in message]
    line = re.search(r"CSV Error on Line: (\d+)", message)
    place = (named[0] if named else str(files[0])) + (f": line {line[1]}" if line else "")
    for sign, found in _SIGNS:
        if sign in message:
            return Problem(place, found, _MENDS.get(sign, "fetch the file again"))
    first = next((text for text in message.splitlines()[1 if line else 0 :] if text.strip()), message)
    return Problem(place, f"damaged content ({first.strip()[:160]})", "fetch the file again")


_TOO_LONG = "Maximum line size"
_SIGNS = (
    (_TOO_LONG, "a record that is longer than 2 MB"),
    ("GZIP", "a gzip file that is cut short or damaged"),
    ("gzip", "a gzip file that is cut short or damaged"),
    ("Expected Number of Columns", "a row with another number of columns than the header"),
    ("unterminated quote", "a quote that is never closed"),
    ("not utf-8", "text that is not UTF-8"),
    ("No magic bytes", "a parquet file that is cut short or damaged"),
    ("too small to be a Parquet", "a parquet file that is cut short or damaged"),
)
_MENDS = {_TOO_LONG: "close the quote that is left open there, or shorten the text; a record of a bill has some thousand bytes"}
