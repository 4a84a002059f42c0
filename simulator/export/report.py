"""report.html: one self-contained page for a decision; figures are live plotly, nothing is fetched from outside.

The page is deterministic: figure ids are their position, and no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

_STYLE = """
:root { --ink: #1f2937; --soft: #6b7280; --line: #e5e7eb; --own: #009e73; --paper: #ffffff; }
* { box-sizing: border-box; }
body { font: 15px/1.55 Inter, "Noto Sans KR", "Noto Sans CJK KR", system-ui, sans-serif; }
body { color: var(--ink); background: #f9fafb; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 10px; }
p.claim { color: var(--soft); margin: 0 0 24px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 18px 22px; margin-top: 18px; }
section h2 { margin-top: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.tile b { display: block; font-size: 24px; } .tile span { color: var(--soft); font-size: 13px; }
.tile.first { border-left: 5px solid var(--own); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; }
li { margin: 4px 0; }
footer { color: var(--soft); font-size: 12px; margin-top: 28px; word-break: break-all; }
"""


@dataclass(frozen=True)
class Tile:
    """One headline number."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text; columns named in `numbers` are right-aligned."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A titled part of the page: sentences, then a table, then a figure; each may be absent."""

    title: str
    sentences: Sequence[str] = ()
    table: Table | None = None
    figure: go.Figure | None = None


def render(title: str, claim: str, tiles: Sequence[Tile], sections: Sequence[Section], footer: Mapping[str, str], language: str) -> str:
    """The whole page as text."""
    first, *others = [_tile(tile) for tile in tiles]
    body = "".join(_section(index, section) for index, section in enumerate(sections))
    foot = " · ".join(f"{escape(key)} {escape(value)}" for key, value in footer.items())
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body><main><h1>{escape(title)}</h1>"
        f'<p class="claim">{escape(claim)}</p><div class="tiles">{first.replace("tile", "tile first", 1)}{"".join(others)}</div>'
        f"{body}<footer>{foot}</footer></main></body></html>\n"
    )


def _tile(tile: Tile) -> str:
    note = f"<span>{escape(tile.note)}</span>" if tile.note else ""
    return f'<div class="tile"><span>{escape(tile.label)}</span><b>{escape(tile.value)}</b>{note}</div>'


def _section(index: int, section: Section) -> str:
    parts = [f"<section><h2>{escape(section.title)}</h2>"]
    if section.sentences:
        parts.append("<ul>" + "".join(f"<li>{escape(text)}</li>" for text in section.sentences) + "</ul>")
    if section.table is not None:
        parts.append(_table(section.table))
    if section.figure is not None:
        parts.append(
            section.figure.to_html(
                full_html=False, include_plotlyjs=False, div_id=f"figure-{index}", config={"displaylogo": False, "responsive": True}
            )
        )
    return "".join(parts) + "</section>"


def _table(table: Table) -> str:
    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="number"' if column in table.numbers else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    header = "".join(cell("th", i, text) for i, text in enumerate(table.header))
    rows = "".join("<tr>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>" for row in table.rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
