"""GPUs attributed to workloads and teams by dcgm-exporter's Kubernetes labels: everything adds up, nobody's share is shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from models.units import MS_PER_H
from models.unknown import Unknown
from models.usage import GpuShare
from simulator.cli import group
from simulator.cli.usage import command
from simulator.ingest.gpu_owners import NOBODY, owner_of, owner_rows
from simulator.ingest.metric_names import load_preset
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.ingest.usage_gpu import load_gpu_shares, load_gpus
from simulator.ingest.usage_hours import Grid
from simulator.ingest.usage_store import open_usage
from simulator.ingest.workload_names import Owners

START_S = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
GPU1 = 'UUID="GPU-1",Hostname="n1",modelName="A100"'
GPU2 = 'UUID="GPU-2",Hostname="n1",modelName="A100"'
TRAIN = 'exported_namespace="ml",exported_pod="train-0",namespace="gpu-operator",pod="nvidia-dcgm-exporter-x2v4k"'
SERVE = 'exported_namespace="shop",exported_pod="serve-6c7d8f9b5-x2v4k",namespace="gpu-operator",pod="nvidia-dcgm-exporter-x2v4k"'
IDLE = 'namespace="gpu-operator",pod="nvidia-dcgm-exporter-x2v4k"'


def om(path: Path, series: dict[str, list[float | None]]) -> Path:
    """Series (name and labels) with one value every 30 minutes."""
    lines = []
    for name in dict.fromkeys(one.split("{")[0] for one in series):
        lines.append(f"# TYPE {name} gauge")
        for one, values in series.items():
            if one.split("{")[0] == name:
                lines += [f"{one} {value} {START_S + 1800 * k}" for k, value in enumerate(values) if value is not None]
    path.write_text("\n".join([*lines, "# EOF", ""]))
    return path


def shares(path: Path) -> tuple[dict[str, GpuShare], dict[str, GpuShare]]:
    with open_usage(None) as connection:
        import_files(connection, [path], FileOptions())
        workloads, teams = load_gpu_shares(connection)
    return {f"{one.namespace}/{one.workload}": one for one in workloads}, {one.team: one for one in teams}


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"exported_namespace": "ml", "exported_pod": "train-0", "namespace": "gpu", "pod": "dcgm-exporter-x2v4k"}, ("ml", "train")),
        ({"namespace": "ml", "pod": "train-0", "container": "main"}, ("ml", "train")),
        ({"pod_namespace": "ml", "pod_name": "train-0"}, ("ml", "train")),
        ({"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-x2v4k", "container": "nvidia-dcgm-exporter"}, NOBODY),
        ({"exported_namespace": "", "exported_pod": "", "namespace": "gpu", "pod": "dcgm-exporter-x2v4k"}, NOBODY),
        ({"Hostname": "n1"}, NOBODY),
    ],
)
def test_the_pod_of_a_gpu_is_named_by_any_of_three_label_schemes(labels: dict[str, str], owner: tuple[str, str]) -> None:
    assert owner_of(labels, Owners()) == owner


def test_busy_hours_energy_and_memory_go_to_the_workloads_and_the_rest_to_nobody(tmp_path: Path) -> None:
    found, teams = shares(
        om(
            tmp_path / "gpu.om",
            {
                f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{TRAIN}}}": [80, 80, None, None],
                f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{IDLE}}}": [None, None, 0, 0],
                f"DCGM_FI_DEV_GPU_UTIL{{{GPU2},{SERVE}}}": [10, 30, 20, 20],
                f"DCGM_FI_DEV_POWER_USAGE{{{GPU1},{TRAIN}}}": [300, 300, None, None],
                f"DCGM_FI_DEV_POWER_USAGE{{{GPU1},{IDLE}}}": [None, None, 50, 50],
                f"DCGM_FI_DEV_POWER_USAGE{{{GPU2},{SERVE}}}": [100, 100, 100, 100],
                f"DCGM_FI_DEV_FB_USED{{{GPU2},{SERVE}}}": [1000, 3000, 2000, 2000],
                'kube_namespace_labels{namespace="ml",label_team="research"}': [1, 1, 1, 1],
                'kube_pod_status_phase{namespace="ml",pod="train-0",phase="Running"}': [1, 1, 0, 0],
            },
        )
    )
    assert set(found) == {"ml/train", "shop/serve", "/"}
    train, serve, nobody = found["ml/train"], found["shop/serve"], found["/"]
    assert (train.gpu_hours, serve.gpu_hours, nobody.gpu_hours) == (1.0, 2.0, 1.0)
    assert nobody.share_of_hours == 0.25  # one of four GPU hours
    assert (train.busy_share, serve.busy_share, nobody.busy_share) == (pytest.approx(0.8), pytest.approx(0.2), 0.0)
    assert (train.energy_kwh, serve.energy_kwh, nobody.energy_kwh) == (pytest.approx(0.3), pytest.approx(0.2), pytest.approx(0.05))
    assert serve.memory_mib == pytest.approx(2000)
    assert isinstance(train.memory_mib, Unknown)
    assert (train.team, serve.team) == ("research", "")
    assert teams["research"].gpu_hours == 1.0
    assert teams[""].gpu_hours == 3.0


def test_pods_that_share_a_gpu_share_it_evenly(tmp_path: Path) -> None:
    found, _ = shares(
        om(
            tmp_path / "gpu.om",
            {
                f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{TRAIN}}}": [60, 60],
                f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{SERVE}}}": [60, None],
            },
        )
    )
    assert found["ml/train"].gpu_hours == 0.75  # half of the first half hour, all of the second
    assert found["shop/serve"].gpu_hours == 0.25
    assert found["shop/serve"].busy_share == pytest.approx(0.6)


def test_mig_instances_count_by_their_slices_and_share_the_devices_power(tmp_path: Path) -> None:
    one = f'{GPU1},GPU_I_ID="1",GPU_I_PROFILE="1g.5gb"'
    two = f'{GPU1},GPU_I_ID="2",GPU_I_PROFILE="3g.20gb"'
    found, _ = shares(
        om(
            tmp_path / "gpu.om",
            {
                f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{one},{TRAIN}}}": [0.5, 0.5],
                f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{two},{SERVE}}}": [1.0, 1.0],
                f"DCGM_FI_DEV_POWER_USAGE{{{one},{TRAIN}}}": [200, 200],
                f"DCGM_FI_DEV_POWER_USAGE{{{two},{SERVE}}}": [200, 200],
            },
        )
    )
    assert found["ml/train"].gpu_hours == pytest.approx(1 / 7)
    assert found["shop/serve"].gpu_hours == pytest.approx(3 / 7)
    assert found["ml/train"].busy_share == pytest.approx(0.5)
    assert found["ml/train"].energy_kwh == found["shop/serve"].energy_kwh == pytest.approx(0.1)  # one device of 200 W


POINTS = 8
HOLDERS = [NOBODY, ("ml", "train"), ("ml", "eval"), ("shop", "serve")]


@settings(max_examples=50, deadline=None)
@given(
    cells=st.lists(st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=POINTS, max_size=POINTS), min_size=4, max_size=4),
)
def test_the_parts_of_all_and_nobody_add_up_to_the_gpus_seen(cells: list[list[float | None]]) -> None:
    """Where pods hold the GPU, their parts are the mean of their readings; where none does, nobody's is."""
    measure = load_preset("kube-state-metrics").measures["gpu_utilisation_percent"]
    grid = Grid(0, MS_PER_H // 4, POINTS)
    gpu = ("GPU-1", "n1", "A100", "", "")
    values = np.array([[np.nan if cell is None else cell for cell in row] for row in cells])
    series = [(gpu, owner, np.flatnonzero(~np.isnan(row)), row[~np.isnan(row)]) for owner, row in zip(HOLDERS, values, strict=True)]
    table = owner_rows("gpu_utilisation_percent", measure, grid, series).to_pydict()
    for hour in range(2):
        at = slice(4 * hour, 4 * hour + 4)
        owned, seen = ~np.isnan(values[1:, at]), ~np.isnan(values[:, at]).all(axis=0)
        rows = [k for k, when in enumerate(table["hour"]) if when.hour == hour]
        held = sum(table["mean"][k] for k in rows if table["measure"][k] == "gpus_held")
        assert held == pytest.approx(1.0 if seen.any() else 0.0)
        point = [values[1:, at][owned[:, k], k].mean() if owned[:, k].any() else values[0, 4 * hour + k] for k in range(4) if seen[k]]
        busy = sum(table["mean"][k] for k in rows if table["measure"][k] == "gpus_busy")
        assert busy == pytest.approx(np.mean(point) / 100 if point else 0.0)


def test_the_command_shows_who_held_the_gpus(tmp_path: Path) -> None:
    file = om(tmp_path / "gpu.om", {f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{TRAIN}}}": [80, 80], f"DCGM_FI_DEV_GPU_UTIL{{{GPU2},{IDLE}}}": [0, 0]})
    shown = CliRunner().invoke(command, ["--file", str(file)])
    assert shown.exit_code == 0, shown.output
    assert "ml/train" in shown.stdout
    assert "(nobody's)" in shown.stdout
    document = json.loads(CliRunner().invoke(command, ["--file", str(file), "--json"]).stdout)
    assert {(one["workload"], one["gpu_hours"], one["share_of_hours"]) for one in document["gpu_workloads"]} == {
        ("train", 1.0, 0.5),
        ("", 1.0, 0.5),
    }
    assert [one["team"] for one in document["gpu_teams"]] == [""]


def test_a_second_import_replaces_the_owners_of_its_hours(tmp_path: Path) -> None:
    with open_usage(tmp_path / "store.duckdb") as connection:
        for pod in (TRAIN, SERVE):
            import_files(connection, [om(tmp_path / "gpu.om", {f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{pod}}}": [80, 80]})], FileOptions())
        assert [one.workload for one in load_gpu_shares(connection)[0]] == ["serve"]


def test_a_store_of_an_earlier_version_has_no_owners_but_is_read(tmp_path: Path) -> None:
    with open_usage(tmp_path / "store.duckdb") as connection:
        import_files(connection, [om(tmp_path / "gpu.om", {f"DCGM_FI_DEV_GPU_UTIL{{{GPU1},{TRAIN}}}": [80, 80]})], FileOptions())
        connection.execute("DROP TABLE gpu_owner").fetchall()
        connection.execute("DELETE FROM schema_version WHERE part = 'owners of GPUs'").fetchall()
    with open_usage(tmp_path / "store.duckdb", read_only=True) as connection:
        assert load_gpu_shares(connection) == ((), ())
        assert len(load_gpus(connection)) == 1


def test_requests_for_gpus_reach_the_demand(tmp_path: Path) -> None:
    """kube-state-metrics' nvidia_com_gpu -> two GPUs a pod on the demand's own axis, and none for who asks for none."""
    lines = ["# TYPE kube_pod_container_resource_requests gauge"]
    asked = {"cpu": (4, "core"), "memory": (8 * 2**30, "byte"), "nvidia_com_gpu": (2, "integer")}
    for pod, resources in (("train-0", asked), ("web-0", {name: asked[name] for name in ("cpu", "memory")})):
        for resource, (value, unit) in resources.items():
            labels = f'namespace="ml",pod="{pod}",container="main",resource="{resource}",unit="{unit}"'
            lines += [f"kube_pod_container_resource_requests{{{labels}}} {value} {START_S + 1800 * k}" for k in range(96)]
    lines.append("# TYPE kube_pod_status_phase gauge")
    for pod in ("train-0", "web-0"):
        lines += [f'kube_pod_status_phase{{namespace="ml",pod="{pod}",phase="Running"}} 1 {START_S + 1800 * k}' for k in range(96)]
    (tmp_path / "ksm.om").write_text("\n".join([*lines, "# EOF", ""]))
    store = tmp_path / "store.duckdb"
    assert CliRunner().invoke(command, ["--file", str(tmp_path / "ksm.om"), "--store", str(store)]).exit_code == 0
    scenario = tmp_path / "case.yaml"
    zone = "{name: own, kind: baremetal, server: c64m512}"
    scenario.write_text(f"scenario: gpus\nas_of: 2026-04-01\nzones: [{zone}]\ndata: {{store: {store}}}\n")
    shown = CliRunner().invoke(group, ["demand", str(scenario), "--json"])
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert document["peak"]["nvidia.com/gpu"] == pytest.approx(2.0)
