"""Usage from Amazon CloudWatch through boto3: Container Insights for workloads, EC2 for the busy share of nodes.

Metric names: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-EKS.html. The agent
sends one value for each pod and minute under the workload's name (dimension PodName), so a sum over an hour divided by 60
is the hourly mean of all pods together, and the number of values divided by 60 the mean number of pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

from models.errors import MetricsError, Problem
from simulator.ingest.store import transaction
from simulator.ingest.usage_finish import finish
from simulator.ingest.usage_store import Gap, Imported
from simulator.progress import SILENT, Progress

HOUR_S = 3600
VALUES_PER_HOUR = 60
QUERIES_PER_CALL = 500  # limits of GetMetricData
POINTS_PER_CALL = 100_800
DEFAULT_DAYS = 14  # ListMetrics names what had data in the last two weeks
INSIGHTS, EC2 = "ContainerInsights", "AWS/EC2"
POD_DIMENSIONS = frozenset({"ClusterName", "Namespace", "PodName"})
MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Source:
    """A metric, its statistic, and the factor from it to the measure."""

    measure: str
    metric: str
    statistic: str
    factor: float


POD_SOURCES = (
    _Source("cpu_usage_m", "pod_cpu_usage_total", "Sum", 1 / VALUES_PER_HOUR),
    _Source("cpu_request_m", "pod_cpu_request", "Sum", 1 / VALUES_PER_HOUR),
    _Source("cpu_limit_m", "pod_cpu_limit", "Sum", 1 / VALUES_PER_HOUR),
    _Source("memory_usage_mib", "pod_memory_working_set", "Sum", 1 / VALUES_PER_HOUR / MIB),
    _Source("memory_request_mib", "pod_memory_request", "Sum", 1 / VALUES_PER_HOUR / MIB),
    _Source("memory_limit_mib", "pod_memory_limit", "Sum", 1 / VALUES_PER_HOUR / MIB),
    _Source("pods", "pod_cpu_usage_total", "SampleCount", 1 / VALUES_PER_HOUR),
)
NODE_SOURCES = (_Source("cpu_usage_share", "CPUUtilization", "Average", 0.01),)


@dataclass(frozen=True, slots=True)
class _Series:
    source: _Source
    namespace: str
    dimensions: tuple[tuple[str, str], ...]

    def dimension(self, name: str) -> str:
        return dict(self.dimensions)[name]


def import_cloudwatch(
    connection: duckdb.DuckDBPyConnection,
    client: Any,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    cluster: str = "",
    progress: Progress = SILENT,
) -> Imported:
    """Hourly use and requests from CloudWatch; `client` is boto3's, `cluster` the EKS cluster when there are several.

    Raises `MetricsError` when AWS refuses, gives a part only, or has nothing in the range.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    place = f"CloudWatch {client.meta.region_name}"
    try:
        first, last = _range(client, start, end)
        series = _listed(client, place, cluster)
        progress.stage("usage", len(series))
        found = dict(_data(client, place, series, first, last, progress))
    except (BotoCoreError, ClientError) as error:
        raise MetricsError(Problem(place, str(error), "check region, credentials and the rights ListMetrics and GetMetricData")) from None
    tables = [(name, rows) for name, rows in (("usage", _usage(found)), ("node_usage", _nodes(found))) if rows.num_rows]
    kind = INSIGHTS if any(one.namespace == INSIGHTS and points for one, points in found.items()) else EC2
    hours = sorted({hour for one, points in found.items() if one.namespace == kind for hour in points})
    before = [first, *(hour + timedelta(hours=1) for hour in hours)]
    imported = Imported(
        source=place,
        start=first,
        end=last,
        series=len(series),
        samples=sum(map(len, found.values())),
        gaps=tuple(Gap("usage", a, b, "no data points") for a, b in zip(before, [*hours, last], strict=True) if a < b),
    )
    job = hashlib.sha256(f"{place} {cluster}".encode()).hexdigest()[:16]
    with transaction(connection):
        return finish(
            connection, job=job, cluster=cluster, imported=imported, rows=[(name, rows) for name, rows in tables if rows.num_rows]
        )


def _range(client: Any, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Whole hours; the default is the last two weeks by the server's clock."""
    if end is None:
        answer = client.list_metrics(Namespace=INSIGHTS)
        end = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).replace(minute=0, second=0, microsecond=0)
    start = start or end - timedelta(days=DEFAULT_DAYS)
    first = start.replace(minute=0, second=0, microsecond=0)
    last = (end + timedelta(hours=1) - timedelta(microseconds=1)).replace(minute=0, second=0, microsecond=0)
    if first >= last:
        raise MetricsError(Problem("--from and --to", f"{start} to {end}", "give a start before the end"))
    return first, last


def _listed(client: Any, place: str, cluster: str) -> list[_Series]:
    """Series to ask for, in a fixed order; several clusters must be told apart."""
    found: list[_Series] = []
    for namespace, sources in ((INSIGHTS, POD_SOURCES), (EC2, NODE_SOURCES)):
        for metric in sorted({source.metric for source in sources}):
            for dimensions in sorted(_dimensions(client, namespace, metric)):
                if namespace == EC2 or not cluster or dict(dimensions)["ClusterName"] == cluster:
                    found += [_Series(source, namespace, dimensions) for source in sources if source.metric == metric]
    clusters = sorted({one.dimension("ClusterName") for one in found if one.namespace == INSIGHTS})
    if len(clusters) > 1:
        raise MetricsError(Problem(place, f"{len(clusters)} clusters: {', '.join(clusters)}", "choose one with --cluster"))
    if not found:
        raise MetricsError(Problem(place, "no metrics of Container Insights or EC2", "check the region, or enable Container Insights"))
    return found


def _dimensions(client: Any, namespace: str, metric: str) -> Iterator[tuple[tuple[str, str], ...]]:
    wanted = POD_DIMENSIONS if namespace == INSIGHTS else frozenset({"InstanceId"})
    for page in client.get_paginator("list_metrics").paginate(Namespace=namespace, MetricName=metric):
        for one in page["Metrics"]:
            dimensions = tuple(sorted((part["Name"], part["Value"]) for part in one["Dimensions"]))
            if {name for name, _ in dimensions} == wanted:
                yield dimensions


def _data(
    client: Any, place: str, series: Sequence[_Series], start: datetime, end: datetime, progress: Progress
) -> Iterator[tuple[_Series, dict[datetime, float]]]:
    """Hourly points of every series, calls of at most 500 series and 100,800 points."""
    hours = int((end - start) / timedelta(hours=1))
    size = max(1, min(QUERIES_PER_CALL, POINTS_PER_CALL // max(hours, 1)))
    rest = iter(series)
    while batch := list(islice(rest, size)):
        points: list[dict[datetime, float]] = [{} for _ in batch]
        status = ["Complete"] * len(batch)
        for page in _pages(client, batch, start, end):
            for message in page.get("Messages", ()):
                raise MetricsError(Problem(place, f"{message.get('Code')}: {message.get('Value')}", "try a shorter range"))
            for result in page["MetricDataResults"]:
                number = int(result["Id"][1:])
                status[number] = result.get("StatusCode", "Complete")
                points[number] |= {when.astimezone(UTC): value for when, value in zip(result["Timestamps"], result["Values"], strict=True)}
        for one, own, said in zip(batch, points, status, strict=True):
            if said != "Complete":
                raise MetricsError(Problem(f"{place}: {one.source.metric}", f"a partial answer ({said})", "try again"))
            yield one, {when: value * one.source.factor for when, value in own.items()}
        progress.advance(len(batch))


def _pages(client: Any, batch: Sequence[_Series], start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    queries = [
        {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": one.namespace,
                    "MetricName": one.source.metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in one.dimensions],
                },
                "Period": HOUR_S,
                "Stat": one.source.statistic,
            },
        }
        for number, one in enumerate(batch)
    ]
    more: dict[str, str] = {}
    while True:
        page = client.get_metric_data(MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending", **more)
        yield page
        if not page.get("NextToken"):
            return
        more = {"NextToken": page["NextToken"]}


def _usage(found: dict[_Series, dict[datetime, float]]) -> pa.Table:
    names = [source.measure for source in POD_SOURCES]
    rows: dict[tuple[datetime, str, str], dict[str, float]] = {}
    for one, points in found.items():
        if one.namespace == INSIGHTS:
            for hour, value in points.items():
                rows.setdefault((hour, one.dimension("Namespace"), one.dimension("PodName")), {})[one.source.measure] = value
    keys = sorted(rows)
    return pa.table(
        {
            "hour": pa.array([hour.replace(tzinfo=None) for hour, _, _ in keys], pa.timestamp("us")),
            "namespace": pa.array([namespace for _, namespace, _ in keys], pa.string()),
            "workload": pa.array([workload for _, _, workload in keys], pa.string()),
            "labels": pa.array([[] for _ in keys], pa.map_(pa.string(), pa.string())),
            **{name: pa.array([rows[key].get(name) for key in keys], pa.float64()) for name in names},
        }
    )


def _nodes(found: dict[_Series, dict[datetime, float]]) -> pa.Table:
    rows = sorted(
        (hour, one.dimension("InstanceId"), value)
        for one, points in found.items()
        if one.namespace == EC2
        for hour, value in points.items()
    )
    return pa.table(
        {
            "hour": pa.array([hour.replace(tzinfo=None) for hour, _, _ in rows], pa.timestamp("us")),
            "node": pa.array([node for _, node, _ in rows], pa.string()),
            "cpu_usage_share": pa.array([share for _, _, share in rows], pa.float64()),
        }
    )
