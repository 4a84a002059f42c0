"""CloudWatch through boto3 against moto's server: what was put comes out as hourly use and requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from models.errors import MetricsError
from simulator.cli.usage import command
from simulator.ingest.cloudwatch import import_cloudwatch
from simulator.ingest.usage_store import load_usage, open_usage

START = datetime(2026, 3, 2, tzinfo=UTC)
MIB = 2**20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint: str) -> Iterator[Any]:
    made = boto3.client(
        "cloudwatch", region_name="ap-northeast-2", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 1}),
    )  # fmt: skip
    yield made
    made.close()


def _put(client: Any, namespace: str, metric: str, dimensions: dict[str, str], values: dict[datetime, list[float]]) -> None:
    parts = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    data = [{"MetricName": metric, "Dimensions": parts, "Timestamp": when, "Value": value}
            for when, own in values.items() for value in own]  # fmt: skip
    for at in range(0, len(data), 900):
        client.put_metric_data(Namespace=namespace, MetricData=data[at : at + 900])


@pytest.fixture(scope="module")
def filled(endpoint: str) -> str:
    """Two hours of the workload web, two pods of 300m each minute in the first and one of 500m in the second; two nodes."""
    client = boto3.client(
        "cloudwatch", region_name="ap-northeast-2", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x"
    )
    own = {"ClusterName": "prod", "Namespace": "shop", "PodName": "web"}
    minutes = [START + timedelta(minutes=k) for k in range(60)]
    later = [when + timedelta(hours=2) for when in minutes]
    for metric, first, second in (
        ("pod_cpu_usage_total", 300.0, 500.0),
        ("pod_cpu_request", 1000.0, 1000.0),
        ("pod_memory_working_set", 512.0 * MIB, 256.0 * MIB),
    ):
        _put(client, "ContainerInsights", metric, own, {**{key: [first, first] for key in minutes}, **{key: [second] for key in later}})
    _put(
        client, "ContainerInsights", "pod_cpu_usage_total", {"ClusterName": "prod"}, {key: [9000000000.0] for key in minutes}
    )  # a coarser view
    for node, share in (("i-1", 25.0), ("i-2", 75.0)):
        _put(client, "AWS/EC2", "CPUUtilization", {"InstanceId": node}, {key: [share] for key in minutes[::5]})
    client.close()
    return endpoint


def test_sums_over_pods_and_minutes_become_hourly_means(filled: str, client: Any) -> None:
    with open_usage(None) as connection:
        imported = import_cloudwatch(connection, client, start=START, end=START + timedelta(hours=4))
        history = load_usage(connection)
        nodes = connection.execute("SELECT node, cpu_usage_share FROM node_usage ORDER BY node").fetchall()
    assert [(key.namespace, key.workload) for key in history.keys] == [("shop", "web")]
    assert history.usage[0, 0].tolist() == pytest.approx([600.0, 1024.0, 2.0])  # 2 pods x 300m, 2 x 512 MiB
    assert history.requests[0, 0].tolist() == pytest.approx([2000.0, float("nan"), 2.0], nan_ok=True)
    assert history.usage[2, 0].tolist() == pytest.approx([500.0, 256.0, 1.0])
    assert nodes == [("i-1", 0.25), ("i-2", 0.75)]
    assert [(gap.start.hour, gap.end.hour) for gap in imported.gaps if gap.measure == "usage"] == [(1, 2), (3, 4)]
    assert any(text.startswith("memory_request_mib: unknown in every hour") for text in imported.warnings)


def test_an_empty_range_is_one_message(filled: str, client: Any) -> None:
    with open_usage(None) as connection, pytest.raises(MetricsError, match="no usage at all"):
        import_cloudwatch(connection, client, start=START + timedelta(days=9), end=START + timedelta(days=10))


def test_a_region_without_metrics_is_one_message(endpoint: str) -> None:
    client = boto3.client("cloudwatch", region_name="eu-west-1", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x")
    with open_usage(None) as connection, pytest.raises(MetricsError, match="no metrics of Container Insights or EC2"):
        import_cloudwatch(connection, client)
    client.close()


def test_several_clusters_must_be_told_apart(endpoint: str) -> None:
    client = boto3.client("cloudwatch", region_name="us-west-2", endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x")
    for cluster in ("blue", "green"):
        own = {"ClusterName": cluster, "Namespace": "shop", "PodName": cluster}
        _put(client, "ContainerInsights", "pod_cpu_usage_total", own, {START: [1.0]})
    with open_usage(None) as connection:
        with pytest.raises(MetricsError, match="2 clusters: blue, green; choose one with --cluster"):
            import_cloudwatch(connection, client, start=START, end=START + timedelta(hours=1))
        import_cloudwatch(connection, client, start=START, end=START + timedelta(hours=1), cluster="green")
        assert [key.workload for key in load_usage(connection).keys] == ["green"]
    client.close()


class _Faulty:
    """A client that answers one metric and then fails as AWS does; only faults are faked."""

    def __init__(self, status: str = "", error: Exception | None = None) -> None:
        self.meta = type("Meta", (), {"region_name": "nowhere"})
        self.status, self.error = status, error

    def get_paginator(self, _: str) -> _Faulty:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        return [{"Metrics": [{"Dimensions": [{"Name": "InstanceId", "Value": "i-1"}]}]}]

    def get_metric_data(self, **_: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"MetricDataResults": [{"Id": "q0", "StatusCode": self.status, "Timestamps": [], "Values": []}]}


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (_Faulty("InternalError"), "a partial answer (InternalError)"),
        (_Faulty(error=ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetMetricData")), "AccessDenied"),
    ],
)
def test_a_fault_of_aws_is_one_message(faulty: _Faulty, said: str) -> None:
    with open_usage(None) as connection, pytest.raises(MetricsError) as caught:
        import_cloudwatch(connection, faulty, start=START, end=START + timedelta(hours=1))
    assert said in str(caught.value)


def test_the_command_reads_cloudwatch(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("AWS_ENDPOINT_URL", filled), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")):
        monkeypatch.setenv(name, value)
    arguments = ["--cloudwatch", "ap-northeast-2", "--from", "2026-03-02", "--to", "2026-03-02T03:00Z", "--json"]
    document = json.loads(CliRunner().invoke(command, arguments, catch_exceptions=False).stdout)
    assert (document["source"], document["peaks"]["cpu_usage_m"]) == ("CloudWatch ap-northeast-2", pytest.approx(600.0))
