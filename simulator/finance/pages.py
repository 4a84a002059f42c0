"""Spreadsheet pages: a thin layer over xlsxwriter that writes every formula together with its value.

Readers that do not calculate see the values; those that do recalculate from the assumptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_rowcol_to_cell

from models.unknown import Unknown

Value = str | float | int | date | Unknown | None
_STYLES: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 14},
    "head": {"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"},
    "text": {},
    "note": {"italic": True, "font_color": "#555555"},
    "number": {"num_format": "#,##0.00"},
    "whole": {"num_format": "#,##0"},
    "share": {"num_format": "0.0%"},
    "factor": {"num_format": "0.000000"},
    "date": {"num_format": "yyyy-mm-dd"},
    "input": {"num_format": "#,##0.######", "font_color": "#0000FF"},
    "total": {"num_format": "#,##0.00", "bold": True, "top": 1},
}


@dataclass
class Book:
    """An open workbook: its styles and the names of its cells."""

    path: Path
    created: date
    file: Any = field(init=False)
    styles: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.file = xlsxwriter.Workbook(str(self.path), {"in_memory": True, "default_date_format": "yyyy-mm-dd"})
        stamp = datetime(self.created.year, self.created.month, self.created.day)  # noqa: DTZ001 - the file format has no zone
        self.file.set_properties({"title": "Burstline finance", "created": stamp})
        self.file.set_calc_mode("auto")
        self.styles = {name: self.file.add_format(style) for name, style in _STYLES.items()}

    def page(self, name: str, widths: Sequence[float]) -> Page:
        """A new sheet with column widths."""
        sheet = self.file.add_worksheet(name)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        return Page(self, name, sheet)

    def close(self) -> None:
        """Write the file."""
        self.file.close()


@dataclass
class Page:
    """One sheet, filled row by row."""

    book: Book
    name: str
    sheet: Any
    row: int = 0

    def line(self, *cells: Value, style: str = "text") -> int:
        """Write values from the first column on; returns the row's number."""
        for column, value in enumerate(cells):
            self.put(self.row, column, value, style)
        self.row += 1
        return self.row - 1

    def put(self, row: int, column: int, value: Value, style: str = "text") -> None:
        """One value; an Unknown is written as its reason."""
        chosen = self.book.styles["date" if isinstance(value, date) else style]
        match value:
            case None:
                return
            case Unknown():
                self.sheet.write_string(row, column, str(value), chosen)
            case date():
                self.sheet.write_datetime(row, column, value, chosen)
            case str():
                self.sheet.write_string(row, column, value, chosen)
            case _:
                self.sheet.write_number(row, column, float(value), chosen)

    def calc(self, row: int, column: int, formula: str, value: float | str | Unknown, style: str = "number") -> None:
        """One formula and what it gives."""
        shown = str(value) if isinstance(value, Unknown) else value
        self.sheet.write_formula(row, column, f"={formula}", self.book.styles[style], shown)

    def named(self, name: str, row: int, column: int) -> None:
        """Give a cell a name that formulas of every sheet can use."""
        self.book.file.define_name(name, f"='{self.name}'!{cell(row, column)}")

    def skip(self) -> None:
        """Leave a row empty."""
        self.row += 1


def cell(row: int, column: int) -> str:
    """Absolute address of a cell.

    >>> cell(0, 1)
    '$B$1'
    """
    return str(xl_rowcol_to_cell(row, column, row_abs=True, col_abs=True))


def span(page: str, first: int, last: int, column: int) -> str:
    """Absolute address of rows first..last of one column on a page.

    >>> span("Cash flow", 1, 3, 0)
    "'Cash flow'!$A$2:$A$4"
    """
    return f"'{page}'!{cell(first, column)}:{cell(last, column)}"
