"""Many clusters behind one server: each value of a label is imported as a cluster of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import duckdb

from models.errors import MetricsError, Problem
from simulator.ingest.metric_names import Matcher, load_preset
from simulator.ingest.prometheus import import_prometheus
from simulator.ingest.prometheus_http import Server
from simulator.ingest.prometheus_task import PROBED, Request, range_ms
from simulator.ingest.usage_store import Gap, Imported
from simulator.progress import SILENT, Progress


def import_clusters(
    connection: duckdb.DuckDBPyConnection, server: Server, request: Request, label: str, progress: Progress = SILENT
) -> dict[str, Imported]:
    """One import for each value of `label` within the request's range and selection, in the order of their names.

    Raises `MetricsError` when no series has the label; clusters that were imported before a fault stay imported.
    """
    preset = load_preset(request.preset)
    measure = next((preset.measures[name] for name in PROBED if name in preset.measures), next(iter(preset.measures.values())))
    start_ms, end_ms = range_ms(server, request)
    names = [name for name in server.label_values(label, measure.metric, request.select, start_ms, end_ms) if name]
    if not names:
        found = f"no {measure.metric} with a label {label}"
        raise MetricsError(Problem(server.place, found, "name the label that tells clusters apart, or leave --clusters-by out"))
    imported = {}
    for name in names:
        select = (*request.select, Matcher(label=label, operator="=", value=name))
        imported[name] = import_prometheus(connection, server, replace(request, select=select, cluster=name), progress)
    return imported


def together(clusters: Mapping[str, Imported]) -> Imported:
    """What the imports of several clusters brought in sum; peaks stay with their cluster, since they need not coincide."""
    parts = list(clusters.values())
    tables = {table: sum(one.tables.get(table, 0) for one in parts) for table in parts[0].tables}
    return Imported(
        source=parts[0].source,
        start=min(one.start for one in parts),
        end=max(one.end for one in parts),
        series=sum(one.series for one in parts),
        samples=sum(one.samples for one in parts),
        gaps=tuple(Gap(f"{name}: {gap.measure}", gap.start, gap.end, gap.reason) for name, one in clusters.items() for gap in one.gaps),
        warnings=tuple(f"{name}: {text}" for name, one in clusters.items() for text in one.warnings),
        peaks={f"{measure} of {name}": value for name, one in clusters.items() for measure, value in one.peaks.items()},
        tables=tables,
    )
