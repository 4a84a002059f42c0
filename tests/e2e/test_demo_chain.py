"""The whole chain on the shipped case: one run, then every claim about what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from models.plan import BuildPlan

BURSTLINE = str(Path(sys.executable).parent / "burstline")


def _demo(out: Path) -> dict:
    done = subprocess.run([BURSTLINE, "demo", "--out", str(out), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    out = tmp_path_factory.mktemp("demo")
    return _demo(out), out


@pytest.mark.xdist_group("demo")
class TestDemo:
    def test_it_recommends_by_marginal_cost_and_keeps_the_readings_apart(self, demo) -> None:
        plan = demo[0]["plan"]
        assert plan["recommendation"]["private_nodes"] == 55
        assert plan["readings"] == {"by_users_nodes": 40, "by_peak_nodes": 40, "by_worker_hours_nodes": 26}
        assert plan["alternatives"]["average_no_staff_best_commitment"] == 40
        assert plan["alternatives"]["marginal_on_demand"] == 72

    def test_the_simulated_half_holds_at_36_and_fails_at_35(self, demo) -> None:
        checked = demo[0]["plan"]["verification"]
        assert (checked["pinned_holds_at"], checked["pinned_fails_at"]) == (36, 35)
        assert checked["packing_measured_share"] == pytest.approx(60 / 62.82, abs=1e-6)  # 12 pods of 5 vCPU in 62.82
        assert any("0.955" in reason and "0.85" in reason for reason in demo[0]["plan"]["reasons"])

    def test_the_simulation_loses_nothing(self, demo) -> None:
        simulated = demo[0]["simulate"]
        assert simulated["conservation_error"] <= 1e-6
        assert simulated["pods"] > 200_000
        assert simulated["unplaced"] == 0

    def test_every_promised_file_is_there_and_named(self, demo) -> None:
        document, out = demo
        for name in ("plan.json", "report.html", "workbook.xlsx", "record.json"):
            assert (out / name).stat().st_size > 0
        assert {str(out / name) for name in ("plan.json", "report.html", "workbook.xlsx", "record.json")} <= set(document["files"])
        assert all(Path(path).is_file() for path in document["files"])

    def test_plan_json_is_sealed_and_reads_back(self, demo) -> None:
        plan = BuildPlan.model_validate_json((demo[1] / "plan.json").read_text(encoding="utf-8"))
        assert plan.model_copy(update={"digest": ""}).sealed().digest == plan.digest

    def test_private_zones_are_fixed_and_burst_is_karpenters(self, demo) -> None:
        documents = [
            d for path in (demo[1] / "manifests").rglob("*.yaml") for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d
        ]
        kinds = {d["kind"] for d in documents}
        assert {"MachineDeployment", "NodePool", "EC2NodeClass", "PriorityClass"} <= kinds
        (metal,) = [d for d in documents if d["kind"] == "MachineDeployment"]
        assert metal["spec"]["replicas"] == 55
        assert not any("node-group" in key for key in metal["metadata"].get("annotations", {}))

    def test_the_record_holds_the_hash_of_every_file(self, demo) -> None:
        record = json.loads((demo[1] / "record.json").read_text(encoding="utf-8"))
        assert set(record["files"]) == {str(Path(path).relative_to(demo[1])) for path in demo[0]["files"]} - {"record.json"}
        assert record["seed"] == 40

    def test_a_second_run_writes_the_same_bytes_but_for_the_record(self, demo, tmp_path: Path) -> None:
        _demo(tmp_path)
        before, after = (json.loads((out / "record.json").read_text(encoding="utf-8"))["files"] for out in (demo[1], tmp_path))
        assert before == after

    def test_the_report_fetches_nothing_and_shows_no_blank(self, demo) -> None:
        page = (demo[1] / "report.html").read_text(encoding="utf-8")
        assert 'src="http' not in page
        assert page.count('id="figure-') == 4
        assert "NaN" not in page.split("</script>", 1)[1].split("<section>", 1)[0]
