"""How a plan is told on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.export.report import Table as ReportTable
    from simulator.pipeline.planning import Planned
    from simulator.wording import Language


def show_plan(planned: Planned, language: Language) -> None:
    """Headline numbers, reasons, every other answer, money, orders."""
    from rich.console import Console
    from rich.panel import Panel

    from simulator.pipeline import documents
    from simulator.wording import words

    console, w = Console(), words(language)
    head, *others = documents.tiles(planned, language)
    lines = [f"{head.label}: [bold]{head.value}[/bold] ({head.note})"]
    lines += [f"{tile.label}: {tile.value}" + (f" ({tile.note})" if tile.note else "") for tile in others]
    console.print(Panel("\n".join(lines), title=planned.scenario.title.get(language) or planned.scenario.scenario, expand=False))
    for reason in planned.plan.reasons:
        console.print(f"- {reason}", highlight=False, soft_wrap=True)
    for note in documents.notes(planned, language):
        console.print(f"[yellow]![/yellow] {note}", highlight=False, soft_wrap=True)
    _table(console, w["alternatives"], documents.answers(planned, language))
    _table(console, w["money"], documents.money_table(planned, language))
    _table(console, w["steps"], documents.steps_table(planned, language))
    console.print(f"{w['digest']}: {planned.plan.digest}", highlight=False)


def _table(console: object, title: str, table: ReportTable) -> None:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for column, header in enumerate(table.header):
        drawn.add_column(header, justify="right" if column in table.numbers else "left")
    for row in table.rows:
        drawn.add_row(*row)
    if isinstance(console, Console):
        console.print(drawn)
