"""Newer reports of the koku metrics operator: GPUs, virtual machines, volumes; columns as its 2026 version writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.errors import MetricsError
from models.usage import UsageHistory
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.ingest.usage_gpu import load_gpu_shares, load_gpus
from simulator.ingest.usage_store import Imported, load_usage, open_usage

PERIOD = "2026-03-01 00:00:00 +0000 UTC,2026-04-01 00:00:00 +0000 UTC"
POD_HEADER = (
    "report_period_start,report_period_end,interval_start,interval_end,node,namespace,pod,pod_usage_cpu_core_seconds,"
    "pod_request_cpu_core_seconds,pod_limit_cpu_core_seconds,pod_usage_memory_byte_seconds,pod_request_memory_byte_seconds,"
    "pod_limit_memory_byte_seconds,node_capacity_cpu_cores,node_capacity_cpu_core_seconds,node_capacity_memory_bytes,"
    "node_capacity_memory_byte_seconds,node_role,resource_id,pod_labels"
)
GPU_HEADER = (
    "report_period_start,report_period_end,interval_start,interval_end,node,namespace,pod,gpu_uuid,gpu_model_name,gpu_vendor_name,"
    "gpu_memory_capacity_mib,gpu_pod_uptime,gpu_pod_utilization,gpu_max_slices,mig_instance_id,mig_profile,mig_strategy"
)
VM_HEADER = (
    "report_period_start,report_period_end,interval_start,interval_end,node,resource_id,namespace,vm_name,vm_instance_type,vm_os,"
    "vm_guest_os_arch,vm_guest_os_name,vm_guest_os_version,vm_uptime_total_seconds,vm_cpu_limit_cores,vm_cpu_limit_core_seconds,"
    "vm_cpu_request_cores,vm_cpu_request_core_seconds,vm_cpu_request_sockets,vm_cpu_request_socket_seconds,vm_cpu_request_threads,"
    "vm_cpu_request_thread_seconds,vm_cpu_usage_total_seconds,vm_memory_limit_bytes,vm_memory_limit_byte_seconds,"
    "vm_memory_request_bytes,vm_memory_request_byte_seconds,vm_memory_usage_byte_seconds,vm_device,vm_volume_mode,"
    "vm_persistentvolumeclaim_name,vm_disk_allocated_size_byte_seconds,vm_labels"
)
VOLUME_HEADER = (
    "report_period_start,report_period_end,interval_start,interval_end,namespace,pod,persistentvolumeclaim,persistentvolume,"
    "storageclass,persistentvolumeclaim_capacity_bytes,persistentvolumeclaim_capacity_byte_seconds,volume_request_storage_byte_seconds,"
    "persistentvolumeclaim_usage_byte_seconds,persistentvolume_labels,persistentvolumeclaim_labels"
)
GIB = 2**30


def when(hour: int = 5) -> str:
    return f"{PERIOD},2026-03-02 {hour:02}:00:00 +0000 UTC,2026-03-02 {hour:02}:59:59 +0000 UTC"


def pod(name: str, namespace: str = "ml", cores: float = 1.0, gib: float = 2.0, hour: int = 5) -> str:
    cpu, memory = cores * 3600, gib * GIB * 3600
    return f"{when(hour)},n1,{namespace},{name},{cpu / 2},{cpu},,{memory / 2},{memory},,16,57600,{64 * GIB},{64 * GIB * 3600},worker,i-1,"


def gpu(name: str, uuid: str, up: object = 3600, used: object = 30, mig: str = ",,", slices: str = "", hour: int = 5) -> str:
    return f"{when(hour)},n1,ml,{name},{uuid},NVIDIA A100,nvidia0,81920,{up},{used},{slices},{mig}"


def machine(name: str, cores: int = 2, sockets: int = 2, gib: int = 8, up: int = 3600, disk: str = "rootdisk") -> str:
    seconds = f"{cores},{cores * up},{sockets},{sockets * up},1,{up},{0.5 * up}"
    memory = f"{gib * GIB},{gib * GIB * up},{gib * GIB},{gib * GIB * up},{GIB * up}"
    return f"{when()},n1,i-1,vms,{name},u1.medium,linux,x86_64,RHEL,9.5,{up},,,{seconds},{memory},{disk},Block,{name}-volume,1,"


def deliver(path: Path, **reports: tuple[str, list[str]]) -> Path:
    path.mkdir()
    names = []
    for name, (header, rows) in reports.items():
        (path / f"{name}.csv").write_text("\n".join([header, *rows, ""]))
        names.append(f"{name}.csv")
    (path / "manifest.json").write_text(json.dumps({"files": names, "start": "2026-03-02T05:00:00Z", "end": "2026-03-02T05:59:59Z"}))
    return path


def read(path: Path) -> tuple[UsageHistory, Imported]:
    with open_usage(None) as connection:
        imported = import_files(connection, [path], FileOptions())
        return load_usage(connection), imported


def by_name(history: UsageHistory, axis: str) -> dict[str, float]:
    return {key.workload: float(history.requests[0, k, history.axes.index(axis)]) for k, key in enumerate(history.keys)}


def test_a_pods_gpus_are_the_time_for_which_it_held_them(tmp_path: Path) -> None:
    history, imported = read(
        deliver(
            tmp_path / "d",
            pods=(POD_HEADER, [pod("train-0"), pod("web-6c7d8f9b5-x2v4k")]),
            gpus=(GPU_HEADER, [gpu("train-0", "GPU-1"), gpu("train-0", "GPU-2", up=1800, used=15)]),
        )
    )
    assert by_name(history, "nvidia.com/gpu") == {"train": 1.5, "web": 0.0}
    assert by_name(history, "cpu_m") == {"train": 1000.0, "web": 1000.0}
    busy = {key.workload: float(history.usage[0, k, history.axes.index("nvidia.com/gpu")]) for k, key in enumerate(history.keys)}
    assert busy["train"] == pytest.approx((30 + 15) / 60)  # samples at full load of both GPUs, of 60 in the hour
    assert np.isnan(busy["web"])
    assert not any("not read" in text for text in imported.warnings)


def test_gpus_and_their_holders_are_kept(tmp_path: Path) -> None:
    path = deliver(
        tmp_path / "d",
        pods=(POD_HEADER, [pod("train-0"), pod("eval-0")]),
        gpus=(GPU_HEADER, [gpu("train-0", "GPU-1", used=30), gpu("eval-0", "GPU-2", up=1800, used=15)]),
    )
    with open_usage(None) as connection:
        import_files(connection, [path], FileOptions())
        gpus, (workloads, _) = load_gpus(connection), load_gpu_shares(connection)
    assert {(one.gpu, one.model, one.utilisation_share) for one in gpus} == {("GPU-1", "NVIDIA A100", 0.5), ("GPU-2", "NVIDIA A100", 0.25)}
    held = {one.workload: (one.gpu_hours, one.busy_share) for one in workloads}
    assert held == {"train": (1.0, 0.5), "eval": (0.5, 0.5)}  # 30 of 60 samples at full load; 15 of the 30 it ran


def test_mig_instances_count_by_their_slices_and_say_so(tmp_path: Path) -> None:
    history, imported = read(
        deliver(
            tmp_path / "d",
            pods=(POD_HEADER, [pod("a-0"), pod("b-0")]),
            gpus=(GPU_HEADER, [gpu("a-0", "GPU-1", mig="1,2g.10gb,mixed"), gpu("b-0", "GPU-9", mig="1,1g.6gb,mixed", slices="4")]),
        )
    )
    found = by_name(history, "nvidia.com/gpu")
    assert found == {"a": pytest.approx(2 / 7), "b": pytest.approx(1 / 4)}
    assert any("2 pod hours on MIG instances" in text for text in imported.warnings)


def test_the_oldest_gpu_report_without_utilisation_is_read(tmp_path: Path) -> None:
    header = "report_period_start,report_period_end,interval_start,interval_end,node,namespace,pod,gpu_uuid,gpu_model_name,gpu_vendor_name"
    header += ",gpu_memory_capacity_mib,gpu_pod_uptime,mig_instance_id,mig_profile,mig_strategy"
    row = f"{when()},n1,ml,train-0,GPU-1,Tesla T4,nvidia_com_gpu,15360,1800.0,,,"
    history, _ = read(deliver(tmp_path / "d", pods=(POD_HEADER, [pod("train-0")]), gpus=(header, [row])))
    assert by_name(history, "nvidia.com/gpu") == {"train": 0.5}


def test_a_pod_that_only_the_gpu_report_knows_is_kept_with_a_gap(tmp_path: Path) -> None:
    path = deliver(tmp_path / "d", pods=(POD_HEADER, [pod("web-0")]), gpus=(GPU_HEADER, [gpu("train-0", "GPU-1")]))
    history, imported = read(path)
    assert by_name(history, "nvidia.com/gpu")["train"] == 1.0
    assert any(gap.measure == "cpu_request_m" and "ml/train" in gap.reason for gap in imported.gaps)


def test_machines_ask_for_their_vcpus_and_take_the_place_of_their_launcher_pods(tmp_path: Path) -> None:
    history, _ = read(
        deliver(
            tmp_path / "d",
            pods=(POD_HEADER, [pod("virt-launcher-db-x2v4k", "vms", cores=0.4, gib=9), pod("web-0", "shop")]),
            vms=(VM_HEADER, [machine("db"), machine("db", disk="data"), machine("lone", cores=1, sockets=1, gib=4, up=1800)]),
        )
    )
    assert by_name(history, "cpu_m") == {"db": 4000.0, "lone": 500.0, "web": 1000.0}  # 2 cores x 2 sockets; half an hour of 1
    assert by_name(history, "memory_mib") == {"db": 9 * 1024, "lone": 2 * 1024, "web": 2 * 1024}  # the launcher asks for its own too
    assert by_name(history, "pods") == {"db": 1.0, "lone": 1.0, "web": 1.0}
    used = {key.workload: float(history.usage[0, k, 0]) for k, key in enumerate(history.keys)}
    assert used == {"db": 200.0, "lone": 250.0, "web": 500.0}


def test_volumes_are_named_with_their_size_and_the_reason(tmp_path: Path) -> None:
    rows = [f"{when()},shop,db-{k},claim-{k},pv-{k},gp2,1,3600,{100 * GIB * 3600},{GIB * 3600},," for k in range(3)]
    _, imported = read(deliver(tmp_path / "d", pods=(POD_HEADER, [pod("web-0")]), volumes=(VOLUME_HEADER, rows)))
    assert (
        "volumes.csv: 3 volumes, at most 300.0 GiB asked for at once, not kept: storage is sized by the scenario's zones, not by usage"
        in (imported.warnings)
    )


def test_reports_of_other_kinds_are_named(tmp_path: Path) -> None:
    ros = "report_period_start,report_period_end,interval_start,interval_end,container_name,owner_name,cpu_usage_container_avg"
    strange = "report_period_start,report_period_end,interval_start,interval_end,colour,taste"
    _, imported = read(
        deliver(
            tmp_path / "d",
            pods=(POD_HEADER, [pod("web-0")]),
            ros=(ros, [f"{when()},main,web,0.1"]),
            strange=(strange, [f"{when()},red,sweet"] * 2),
            vms=(VM_HEADER, []),
        )
    )
    assert "ros.csv: 1 rows about containers (resource optimisation) were not read" in imported.warnings
    assert "strange.csv: 2 rows about colour, taste were not read" in imported.warnings
    assert not any("vms.csv" in text for text in imported.warnings)


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ("gpus", gpu("train-0", "GPU-1", up="long"), "ml/train-0 at 2026-03-02 05:00:00.*a GPU row without names, or with an amount"),
        ("gpus", gpu("train-0", "GPU-1", up=-1), "a GPU row without names, or with an amount that is no number or negative"),
        ("gpus", gpu("", "GPU-1"), "a GPU row without names"),
        ("gpus", gpu("train-0", "GPU-1").replace("05:59:59", "05:29:59"), "a GPU row whose interval is no whole hour"),
        ("vms", machine("db").replace(",3600,", ",a lot,", 1), "vms/db at 2026-03-02 05:00:00.*a machine row without names, or with"),
        ("vms", machine(""), "a machine row without names"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path: Path, kind: str, row: str, said: str) -> None:
    header = GPU_HEADER if kind == "gpus" else VM_HEADER
    path = deliver(tmp_path / "d", pods=(POD_HEADER, [pod("web-0")]), **{kind: (header, [row])})
    with pytest.raises(MetricsError, match=said):
        read(path)


def test_uptime_beyond_the_hour_is_a_double_report(tmp_path: Path) -> None:
    history, imported = read(
        deliver(tmp_path / "d", pods=(POD_HEADER, [pod("train-0")]), gpus=(GPU_HEADER, [gpu("train-0", "GPU-1", up=7200)]))
    )
    assert by_name(history, "nvidia.com/gpu") == {"train": 1.0}
    assert any("more than an hour's uptime" in text for text in imported.warnings)


@pytest.mark.shared_data
def test_the_real_archive_names_its_volumes_and_labels(shared_data: Path) -> None:
    archive = shared_data / "billing" / "ocp-usage-2021-aws-cluster" / "20210720T180121-cost-mgmt.tar.gz"
    history, imported = read(archive)
    assert float(np.nansum(history.requests[:, :, 0])) / 1000 == pytest.approx(43.848, abs=5e-4)
    assert "nvidia.com/gpu" not in history.axes.names
    (volumes,) = (text for text in imported.warnings if "volumes" in text)
    assert "usage_report.3.csv: " in volumes
    assert "GiB asked for at once, not kept" in volumes
    assert any("node labels were not read" in text for text in imported.warnings)
