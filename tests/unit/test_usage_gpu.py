"""GPUs of the store: utilisation, energy, head-room and throttling derived, what is missing said to be unknown (case G5)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.unknown import Unknown
from models.usage import GpuUse
from simulator.cli.usage import command
from simulator.ingest.usage_file import import_files
from simulator.ingest.usage_files import FileOptions
from simulator.ingest.usage_gpu import load_gpus
from simulator.ingest.usage_store import open_usage

START_S = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())


def _scrapes(
    tmp_path: Path, metrics: dict[str, tuple[str, list[float]]], labels: str = 'UUID="GPU-1",Hostname="n1",modelName="A100"'
) -> Path:
    """OpenMetrics with one value every 30 minutes."""
    lines = []
    for name, (kind, values) in metrics.items():
        suffix = "_total" if kind == "counter" and not name.startswith("DCGM") else ""
        lines.append(f"# TYPE {name} {'gauge' if name.startswith('DCGM') else kind}")
        lines += [f"{name}{suffix}{{{labels}}} {value} {START_S + 1800 * k}" for k, value in enumerate(values)]
    (tmp_path / "gpu.om").write_text("\n".join([*lines, "# EOF", ""]))
    return tmp_path / "gpu.om"


def _gpus(path: Path) -> tuple[GpuUse, ...]:
    with open_usage(None) as connection:
        import_files(connection, [path], FileOptions())
        return load_gpus(connection)


def test_energy_utilisation_and_headroom_follow_from_the_samples(tmp_path: Path) -> None:
    (gpu,) = _gpus(
        _scrapes(
            tmp_path,
            {
                "DCGM_FI_DEV_GPU_UTIL": ("gauge", [20, 40, 60, 80]),
                "DCGM_FI_DEV_POWER_USAGE": ("gauge", [100, 200, 300, 300]),
                "DCGM_FI_DEV_FB_FREE": ("gauge", [4000, 4000, 1000, 3000]),
                "DCGM_FI_DEV_FAN_SPEED": ("gauge", [30, 30, 50, 50]),
                "DCGM_FI_DEV_GPU_TEMP": ("gauge", [50, 50, 70, 72]),
            },
        )
    )
    assert (gpu.gpu, gpu.node, gpu.model, gpu.hours) == ("GPU-1", "n1", "A100", 2)
    assert gpu.utilisation_share == pytest.approx(0.5)  # (20 + 40 + 60 + 80) / 4
    assert gpu.peak_utilisation_share == pytest.approx(0.7)  # the second hour
    assert gpu.energy_kwh == pytest.approx(0.15 + 0.3)  # 150 W and 300 W for an hour each
    assert gpu.headroom_mib == pytest.approx(2000)  # mean of 1,000 and 3,000 in the fuller hour
    assert gpu.fan_percent == pytest.approx(40)
    assert gpu.temperature_c == pytest.approx(71)


def test_throttling_and_energy_counters_are_preferred(tmp_path: Path) -> None:
    hour_ns = 3600e9
    (gpu,) = _gpus(
        _scrapes(
            tmp_path,
            {
                "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("counter", [k * 1800 * 250_000.0 for k in range(5)]),  # 250 W in mJ
                "DCGM_FI_DEV_POWER_USAGE": ("gauge", [999.0] * 5),
                "DCGM_FI_DEV_POWER_VIOLATION": ("counter", [k / 2 * hour_ns * 0.1 for k in range(5)]),
                "DCGM_FI_DEV_THERMAL_VIOLATION": ("counter", [k / 2 * hour_ns * 0.02 for k in range(5)]),
            },
        )
    )
    assert gpu.throttled_share == pytest.approx(0.1)
    assert gpu.energy_kwh == pytest.approx(0.25 + 0.25 + 0.999)  # the third hour has one scrape: its counter tells nothing yet
    assert isinstance(gpu.utilisation_share, Unknown)


def test_mig_instances_stand_apart_and_use_the_engine(tmp_path: Path) -> None:
    labels = 'UUID="GPU-1",Hostname="n1",modelName="A100",GPU_I_ID="3",GPU_I_PROFILE="1g.5gb"'
    (gpu,) = _gpus(_scrapes(tmp_path, {"DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("gauge", [0.5, 0.7])}, labels))
    assert (gpu.gpu, gpu.profile) == ("GPU-1/3", "1g.5gb")
    assert gpu.utilisation_share == pytest.approx(0.6)


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    path = _scrapes(tmp_path, {"DCGM_FI_DEV_GPU_UTIL": ("gauge", [20, 40])})
    document = json.loads(CliRunner().invoke(command, ["--file", str(path), "--json"], catch_exceptions=False).stdout)
    assert document["gpus"][0]["fan_percent"] == {"unknown": "no DCGM_FI_DEV_FAN_SPEED was measured"}
    assert document["gpus"][0]["utilisation_share"] == pytest.approx(0.3)
    assert "GPU-1" in CliRunner().invoke(command, ["--file", str(path)], catch_exceptions=False).stdout
