"""AWS Cost and Usage Report, legacy schema: csv (`lineItem/UnblendedCost`) and parquet or Athena (`line_item_unblended_cost`).

Documented at docs.aws.amazon.com/cur/latest/userguide/data-dictionary.html. One column per tag, cost category and product
attribute; which of them exist changes from month to month.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from simulator.ingest import aws_lines
from simulator.ingest.formats import FORMATS, Grouping, Options
from simulator.ingest.tabular import Table, letters, quoted

_TAG = "resourcetagsuser"


class LegacyCur:
    """Line items with one column per tag and product attribute."""

    title = "AWS CUR (legacy)"

    def sniff(self, table: Table) -> float:
        """Sure when the line item and bill columns are there and tags are not a map."""
        known = sum(table.has(name) for name in aws_lines.REQUIRED) / len(aws_lines.REQUIRED)
        is_map = table.has("resource_tags") or table.has("bill_payer_account_name")
        return known * (0.4 if is_map else 0.9)

    def missing(self, table: Table) -> list[str]:
        """Required columns that the table lacks."""
        return [name for name in aws_lines.REQUIRED if not table.has(name)]

    def group(self, connection: duckdb.DuckDBPyConnection, table: Table, options: Options) -> Grouping:
        """Keys and sums with the tag columns of this bill."""
        tags = [name for name in table.columns if name.startswith(_TAG)]
        key = next((key for key in options.tag_keys if _TAG + letters(key) in tags), "")
        every = [quoted(column.name) for name in tags for column in table.columns[name]]
        bare = " AND ".join(f"coalesce(CAST({name} AS VARCHAR), '') = ''" for name in every) or "true"
        return aws_lines.grouping(
            table,
            tag=table.text(_TAG + letters(key)) if key else "''",
            tag_key=key,
            bare=bare,
            mapped_discount=_discount(table),
        )

    def facts(self) -> Mapping[str, str]:
        """The AWS rules."""
        return aws_lines.facts()

    def derive(self) -> Mapping[str, str]:
        """The AWS rules."""
        return aws_lines.derive()

    def doubts(self) -> str | None:
        """None: what cannot be amortised is counted row by row."""
        return None

    def remarks(self) -> str | None:
        """Unknown line types are told by the reconciliation."""
        return None


def _discount(table: Table) -> str:
    parts = ("EdpDiscount", "PrivateRateDiscount", "BundledDiscount")
    apart = " + ".join(f"coalesce({table.money(f'discount/{part}')}, 0)" for part in parts)
    total = f"coalesce({table.money('discount/TotalDiscount')}, {apart})"
    return f"-abs({total})" if any(table.has(f"discount/{part}") for part in (*parts, "TotalDiscount")) else "0"


FORMATS.register("aws_cur_legacy", LegacyCur())
