"""Usage files: exposition and OpenMetrics text, koku archives, promtool dumps, saved answers, parquet."""

from __future__ import annotations

import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import MetricsError
from models.usage import UsageHistory
from simulator.ingest.usage_file import import_files, read_usage_file
from simulator.ingest.usage_files import USAGE_FILES, FileOptions, RawSamples, kind_of
from simulator.ingest.usage_store import load_usage, open_usage
from usage_company import HOURS, OUTAGE, SCRAPE_S, START, hour, openmetrics, pods

PER_HOUR = 3600 // SCRAPE_S
AT = datetime(2026, 3, 2, 5, tzinfo=UTC)


def _total(history: UsageHistory, side: str, axis: int) -> float:
    return float(np.nansum(getattr(history, side)[:, :, axis]))


# ---- real exporters -------------------------------------------------------------------------------------------------


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    [
        "cadvisor_k8s_1.35.prom.gz",
        "cadvisor_unit.prom.gz",
        "dcgm_t4_sample.prom",
        "kube_state_metrics_k8s_1.35.prom.gz",
        "node_exporter_e2e.prom.gz",
    ],
)
def test_every_sample_of_a_real_scrape_is_read(shared_data: Path, name: str) -> None:
    path = shared_data / "traces" / "exposition-fixtures" / name
    text = gzip.decompress(path.read_bytes()).decode() if name.endswith(".gz") else path.read_text()
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    read = kind_of(path).read(path, FileOptions())
    assert isinstance(read, RawSamples)
    assert sum(one.values.size for one in (*read.dated, *read.undated)) == len(lines)


@pytest.mark.shared_data
def test_requests_and_use_of_a_real_cluster_are_joined(shared_data: Path) -> None:
    folder = shared_data / "traces" / "exposition-fixtures"
    text = gzip.decompress((folder / "kube_state_metrics_k8s_1.35.prom.gz").read_bytes()).decode()
    ended = set(re.findall(r'kube_pod_status_phase\{.*pod="([^"]+)".*phase="(?:Succeeded|Failed)"\} 1', text))
    requests = re.findall(r'kube_pod_container_resource_requests\{.*pod="([^"]+)".*resource="cpu".*\} (\S+)', text)
    truth_m = sum(float(value) * 1000 for pod, value in requests if pod not in ended)
    with open_usage(None) as connection:
        paths = [folder / "kube_state_metrics_k8s_1.35.prom.gz", folder / "cadvisor_k8s_1.35.prom.gz"]
        imported = import_files(connection, paths, FileOptions())
        history = load_usage(connection)
    assert _total(history, "requests", 0) == pytest.approx(truth_m)
    names = {key.workload for key in history.keys}
    assert {"e2e-deployment", "e2e-statefulset", "e2e-daemonset", "e2e-cronjob", "coredns", "etcd", "kube-proxy"} <= names
    web = [key.workload for key in history.keys].index("e2e-deployment")
    assert history.pods[0, web] == 2
    assert history.usage[0, web, 1] > 0
    assert np.isnan(history.usage[:, :, 0]).all()
    assert "cpu_usage_m: container_cpu_usage_seconds_total is a counter, and one scrape holds no rate: unknown" in imported.warnings


@pytest.mark.shared_data
def test_a_real_gpu_scrape_gives_six_metrics_and_a_warning_for_the_fan(shared_data: Path) -> None:
    with open_usage(None) as connection:
        path = shared_data / "traces" / "exposition-fixtures" / "dcgm_t4_sample.prom"
        imported = import_files(connection, [path], FileOptions(start=AT))
        row = connection.execute(
            "SELECT model, gpu_utilisation_percent, power_w, fan_percent, temperature_c, gpu_clock_mhz, memory_clock_mhz, memory_used_mib"
            " FROM gpu_usage"
        ).fetchall()
    assert row == [("Tesla T4", 0.0, 8.969, None, 25.0, 300.0, 405.0, 0.0)]
    assert [text for text in imported.warnings if text.startswith("fan_percent: no DCGM_FI_DEV_FAN_SPEED")]


# ---- koku ------------------------------------------------------------------------------------------------------------


def _core_hours(path: Path) -> tuple[float, float]:
    history = read_usage_file(path)
    return _total(history, "requests", 0) / 1000, _total(history, "usage", 0) / 1000


@pytest.mark.shared_data
def test_a_real_koku_archive_gives_the_documented_core_hours(shared_data: Path) -> None:
    archive = shared_data / "billing" / "ocp-usage-2021-aws-cluster" / "20210720T180121-cost-mgmt.tar.gz"
    requested, used = _core_hours(archive)
    assert requested == pytest.approx(43.848, abs=5e-4)
    assert used == pytest.approx(5.2276, abs=5e-5)
    with open_usage(None) as connection:
        imported = import_files(connection, [archive], FileOptions())
        nodes = connection.execute("SELECT count(DISTINCT node), min(cpu_capacity_m), max(cpu_capacity_m) FROM node_usage").fetchall()
    assert (imported.samples, imported.start, imported.end) == (
        602, datetime(2021, 7, 20, 15, tzinfo=UTC), datetime(2021, 7, 20, 18, tzinfo=UTC),
    )  # fmt: skip
    assert nodes == [(5, 16000.0, 16000.0)]  # five m5.4xlarge


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("month", "requested", "used", "hours"), [("20250101-20250201", 44_640, 21_494.16, 744), ("20250201-20250301", 40_320, 19_414.08, 672)]
)
def test_a_koku_folder_gives_the_documented_core_hours(shared_data: Path, month: str, requested: float, used: float, hours: int) -> None:
    folder = shared_data / "billing" / "synthetic-nise-eks" / "ocp" / month
    assert _core_hours(folder) == (pytest.approx(requested, abs=1e-4), pytest.approx(used, abs=1e-4))
    assert read_usage_file(folder).horizon.hours == hours


HEADER = (
    "report_period_start,report_period_end,interval_start,interval_end,pod,namespace,node,pod_usage_cpu_core_seconds,"
    "pod_request_cpu_core_seconds,pod_limit_cpu_core_seconds,pod_usage_memory_byte_seconds,pod_request_memory_byte_seconds,"
    "pod_limit_memory_byte_seconds,node_capacity_cpu_cores,node_capacity_memory_bytes"
)


def _pod_row(start: str = "2026-03-02 05:00:00 +0000 UTC", end: str = "2026-03-02 05:59:59 +0000 UTC", use: str = "1800") -> str:
    return f"x,x,{start},{end},web-6c7d8f9b5-x2v4k,shop,n1,{use},3600,,{3600 * 2**20},{7200 * 2**20},,16,{64 * 2**30}"


def _koku(path: Path, rows: list[str]) -> Path:
    path.write_text("\r\n".join([HEADER, *rows, ""]))
    return path


def test_one_pod_report_is_enough(tmp_path: Path) -> None:
    history = read_usage_file(_koku(tmp_path / "report.csv", [_pod_row()]))
    assert history.keys[0].workload == "web"
    assert history.usage[0, 0].tolist() == [500.0, 1.0, 1.0]  # 1,800 core-seconds in an hour are half a core
    assert history.requests[0, 0].tolist() == [1000.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (_pod_row(use="a lot"), "no number, negative or out of range"),
        (_pod_row(use="-1"), "no number, negative or out of range"),
        (_pod_row(end="2026-03-02 05:29:59 +0000 UTC"), "an interval that is no whole hour"),
        (_pod_row(start="yesterday"), "a time that does not parse"),
        (_pod_row().replace(",shop,", ",,"), "a row without namespace or pod"),
        ("1,2,3", "a CSV that does not parse"),
    ],
)
def test_a_koku_row_that_cannot_be_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(MetricsError, match=said) as caught:
        read_usage_file(_koku(tmp_path / "report.csv", [row]))
    assert "report.csv" in str(caught.value)


def test_a_delivery_without_a_listed_file_is_refused(tmp_path: Path) -> None:
    manifest = {"files": ["a.csv", "b.csv"], "start": "2026-03-02T05:00:00Z", "end": "2026-03-02T05:59:59Z"}
    with tarfile.open(tmp_path / "delivery.tar.gz", "w:gz") as archive:
        for name, data in (("manifest.json", json.dumps(manifest).encode()), ("a.csv", f"{HEADER}\n{_pod_row()}\n".encode())):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(MetricsError, match=r"b\.csv: found no such file, though the manifest lists it"):
        read_usage_file(tmp_path / "delivery.tar.gz")


# ---- many scrapes in a file ------------------------------------------------------------------------------------------


def check_company(history: UsageHistory) -> None:
    """Requests and use by hour equal the company's truth, without the look-back that a server adds."""
    column = {key.workload: k for k, key in enumerate(history.keys)}
    assert history.horizon.start == START
    seen = np.ones(HOURS * PER_HOUR, dtype=bool)
    seen[OUTAGE] = False
    for workload in ("web", "db", "report", "toolbox"):
        own = [pod for pod in pods() if pod.workload == workload]
        alive = np.array([[pod.first <= k < pod.last for k in range(seen.size)] for pod in own])
        request = (alive * np.array([[pod.request_m] for pod in own])).sum(axis=0)
        for h in (0, 1, 2, 3, 4, 6, 7):
            points = slice(h * PER_HOUR, (h + 1) * PER_HOUR)
            assert history.requests[h, column[workload], 0] == pytest.approx(request[points].mean())
            if h != 4:  # at 04:59 the outage has taken the scrape that would close the minute
                cores = np.sum([pod.cores() for pod in own], axis=0)[points].mean()
                assert history.usage[h, column[workload], 0] == pytest.approx(cores * 1000, abs=1e-6)
    assert np.isnan(history.requests[5]).all()


def test_backfill_text_gives_the_companys_hours(tmp_path: Path) -> None:
    (tmp_path / "company.om").write_text(openmetrics(pods()))
    history = read_usage_file(tmp_path / "company.om")
    check_company(history)
    assert any(gap.startswith("cpu_request_m: 2026-03-02T05:00Z to 2026-03-02T06:00Z") for gap in history.gaps)


@pytest.mark.prometheus
@pytest.mark.skipif(not shutil.which("promtool"), reason="needs the Debian package prometheus")
def test_a_dump_of_a_real_database_gives_the_companys_hours(tmp_path: Path) -> None:
    (tmp_path / "company.om").write_text(openmetrics(pods()))
    tool = str(shutil.which("promtool"))
    subprocess.run([tool, "tsdb", "create-blocks-from", "openmetrics", "-q", tmp_path / "company.om", tmp_path / "data"], check=True)
    (tmp_path / "data" / "wal").mkdir()  # promtool 2.42 wants one, even an empty one
    dump = subprocess.run([tool, "tsdb", "dump", tmp_path / "data"], check=True, capture_output=True).stdout
    (tmp_path / "dump.txt").write_bytes(dump)
    check_company(read_usage_file(tmp_path / "dump.txt"))


def test_labels_of_a_dump_are_quoted_as_go_does(tmp_path: Path) -> None:
    line = r'{__name__="kube_pod_status_phase", namespace="a\"b\\c\n\u00e9", phase="Running", pod="web-0"} 1 1772427600000'
    (tmp_path / "dump.txt").write_text(line + "\n")
    assert read_usage_file(tmp_path / "dump.txt").keys[0].namespace == 'a"b\\c\né'


def test_a_dump_line_that_does_not_parse_is_named(tmp_path: Path) -> None:
    (tmp_path / "dump.txt").write_text('{__name__="up"} 1 1772427600000\n{__name__="up"} one 1772427600000\n')
    with pytest.raises(MetricsError, match=r"dump\.txt: line 2"):
        read_usage_file(tmp_path / "dump.txt")


def test_a_saved_answer_reproduces_its_peak(tmp_path: Path) -> None:
    start = int(AT.timestamp())
    values = [0.25, 3.5, 1.0]
    labels = {"__name__": "kube_pod_container_resource_requests", "namespace": "a", "pod": "web-0", "container": "c", "resource": "cpu"}
    result = [{"metric": labels, "values": [[start + 60 * k, str(value)] for k, value in enumerate(values)]}]
    (tmp_path / "range.json").write_text(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    with open_usage(None) as connection:
        imported = import_files(connection, [tmp_path / "range.json"], FileOptions())
    assert imported.peaks["cpu_request_m"] == 3500.0


def test_a_saved_answer_without_metric_names_is_refused(tmp_path: Path) -> None:
    result = [{"metric": {"namespace": "a"}, "values": [[1772427600, "1"]]}]
    (tmp_path / "range.json").write_text(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))
    with pytest.raises(MetricsError, match="1 series without a metric name"):
        read_usage_file(tmp_path / "range.json")


# ---- parquet ---------------------------------------------------------------------------------------------------------


def _parquet(path: Path, hours: list[datetime], **columns: list[object]) -> Path:
    size = len(hours)
    data: dict[str, object] = {
        "hour": pa.array(hours, pa.timestamp("us", tz="UTC")),
        "namespace": ["shop"] * size,
        "workload": ["web"] * size,
        "labels": pa.array([[("team", "sales")]] * size, pa.map_(pa.string(), pa.string())),
        "pods": [2.0] * size,
        "cpu_request_m": [1000.0] * size,
        "cpu_usage_m": [400.0] * size,
        **columns,
    }
    pq.write_table(pa.table({name: value for name, value in data.items() if value is not None}), path)
    return path


def test_parquet_rows_come_back_as_they_are(tmp_path: Path) -> None:
    history = read_usage_file(_parquet(tmp_path / "u.parquet", [hour(0), hour(2)], cpu_usage_m=[400.0, None]))
    assert (history.horizon.start, history.horizon.hours) == (START, 3)
    assert dict(history.keys[0].labels) == {"team": "sales"}
    assert history.requests[0, 0, 0] == 1000
    assert history.usage[0, 0, 0] == 400
    assert np.isnan(history.requests[1]).all()  # no row at all: a gap
    assert np.isnan(history.usage[2, 0, 0])
    assert any("usage: 2026-03-02T01:00Z to 2026-03-02T02:00Z" in gap for gap in history.gaps)
    assert any("shop/web unknown in 1 hours" in gap for gap in history.gaps)


def test_a_workload_without_a_row_ran_no_pods_in_that_hour(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "u.parquet", [hour(0), hour(0), hour(1)], workload=["web", "db", "web"])
    history = read_usage_file(path)
    database = [key.workload for key in history.keys].index("db")
    assert history.requests[:, database, 0].tolist() == [1000.0, 0.0]
    assert history.gaps == ()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"workload": None}, "no column workload among"),
        ({"pods": None, "cpu_request_m": None, "cpu_usage_m": None}, "no measure among"),
        ({"cpu_request_m": ["much", "more"]}, "column cpu_request_m: found type VARCHAR"),
        ({"labels": ["team", "team"]}, "column labels: found type VARCHAR; write it as a map"),
        ({"hour": ["2026", "2027"]}, "column hour: found type VARCHAR"),
        ({"cpu_usage_m": [1.0, -1.0]}, "cpu_usage_m that is negative, NaN or infinite"),
        ({"cpu_usage_m": [1.0, float("nan")]}, "cpu_usage_m that is negative, NaN or infinite"),
        ({"namespace": ["shop", None]}, "a row without hour, namespace or workload"),
        ({"hour": pa.array([START, START.replace(minute=30)], pa.timestamp("us", tz="UTC"))}, "a time within an hour"),
        ({"hour": pa.array([START, START], pa.timestamp("us", tz="UTC"))}, "2 rows for one workload and hour"),
    ],
)
def test_parquet_that_cannot_be_usage_is_refused(tmp_path: Path, columns: dict[str, list[object]], said: str) -> None:
    with pytest.raises(MetricsError, match=said) as caught:
        read_usage_file(_parquet(tmp_path / "u.parquet", [hour(0), hour(1)], **columns))
    assert "u.parquet" in str(caught.value)


def test_a_truncated_parquet_is_refused_and_the_store_stays_as_it_was(tmp_path: Path) -> None:
    good = _parquet(tmp_path / "good.parquet", [hour(0)])
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(good.read_bytes()[:-20])
    store = tmp_path / "store.duckdb"
    with open_usage(store) as connection:
        import_files(connection, [good], FileOptions())
        with pytest.raises(MetricsError, match=r"bad\.parquet: found a parquet file that cannot be read"):
            import_files(connection, [bad, good], FileOptions())
    assert load_usage(store).requests[0, 0, 0] == 1000


@pytest.mark.parametrize("options", [FileOptions(), FileOptions(start=hour(100), end=hour(200))])
def test_an_empty_month_is_refused(tmp_path: Path, options: FileOptions) -> None:
    path = _parquet(tmp_path / "u.parquet", [] if options.start is None else [hour(0)])
    with pytest.raises(MetricsError, match="no rows"):
        read_usage_file(path, options)


# ---- any file --------------------------------------------------------------------------------------------------------


def test_another_import_of_gpus_leaves_workloads_alone(tmp_path: Path) -> None:
    (tmp_path / "gpu.prom").write_text('# TYPE DCGM_FI_DEV_GPU_UTIL gauge\nDCGM_FI_DEV_GPU_UTIL{UUID="g"} 7\n')
    store = tmp_path / "store.duckdb"
    with open_usage(store) as connection:
        import_files(connection, [_parquet(tmp_path / "u.parquet", [hour(0)])], FileOptions())
        import_files(connection, [tmp_path / "gpu.prom"], FileOptions(start=START))
        assert connection.execute("SELECT gpu_utilisation_percent FROM gpu_usage").fetchall() == [(7.0,)]
    assert load_usage(store).pods[0, 0] == 2


def test_clusters_stand_side_by_side(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "u.parquet", [hour(0)])
    with open_usage(None) as connection:
        for name in ("seoul", "busan"):
            import_files(connection, [path], FileOptions(cluster=name))
        history = load_usage(connection)
    assert [key.labels["cluster"] for key in history.keys] == ["busan", "seoul"]


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x1f\x8b\x08broken", b"PAR1", b"\x00" * 300, b"# a comment\n", b"{}"])
def test_a_file_of_no_kind_is_refused_with_the_known_kinds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(MetricsError):
        read_usage_file(tmp_path / "f")


def test_missing_files_are_all_told_at_once(tmp_path: Path) -> None:
    with open_usage(None) as connection, pytest.raises(MetricsError) as caught:
        import_files(connection, [tmp_path / "a", tmp_path / "b"], FileOptions())
    assert [problem.found for problem in caught.value.problems] == ["no such file", "no such file"]


def test_every_kind_says_what_it_reads() -> None:
    assert USAGE_FILES.names() == ["exposition", "koku", "parquet", "range-answer", "tsdb-dump"]
    assert all(kind.describes for _, kind in USAGE_FILES.items())


def test_a_store_without_usage_says_what_to_do(tmp_path: Path) -> None:
    open_usage(tmp_path / "empty.duckdb").close()
    with pytest.raises(MetricsError, match="burstline usage --store"):
        load_usage(tmp_path / "empty.duckdb")


def test_the_store_is_plain_sql(tmp_path: Path) -> None:
    store = tmp_path / "store.duckdb"
    with open_usage(store) as connection:
        import_files(connection, [_parquet(tmp_path / "u.parquet", [hour(0)])], FileOptions())
    with duckdb.connect(str(store)) as connection:
        assert connection.execute("SELECT labels['team'], cpu_request_m FROM usage").fetchall() == [("sales", 1000.0)]
