"""`burstline place` from the shell: JSON keys, tables, exit codes."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from kube_objects import node_document, pod_document
from simulator.cli import main


@dataclass
class Done:
    """What a command printed and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def burstline(*arguments: str) -> Done:
    """Run `burstline place` in this process, as the console script does."""
    out, err = io.StringIO(), io.StringIO()
    argv = mock.patch("sys.argv", ["burstline", "place", *arguments])
    with argv, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main()
    return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def write(path: Path, *documents: dict[str, Any]) -> str:
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(documents)}))
    return str(path)


def answer(*arguments: str) -> dict[str, Any]:
    done = burstline(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> str:
    nodes = [node_document("n0", "8", "32Gi"), node_document("n1", "16", "32Gi"), node_document("n2", "4", "64Gi")]
    return write(tmp_path / "cluster.yaml", *nodes)


def test_two_pods_go_where_the_published_table_says(cluster: str, tmp_path: Path) -> None:
    pods = write(tmp_path / "pods.yaml", *(pod_document(name, "1500m", "3Gi") for name in ("p0", "p1")))
    found = answer(cluster, "--pods", pods)
    assert [(pod["name"], pod["node"], pod["total"]) for pod in found["pods"]] == [("p0", "n1", 465), ("p1", "n0", 457)]
    assert {node: parts["NodeResourcesFit"] for node, parts in found["pods"][1]["scores"].items()} == {"n0": 85, "n1": 81, "n2": 78}
    assert (found["plans"], found["nodes_after"]) == ([], {})


def test_follow_puts_a_pod_where_it_says_and_counts_it_for_the_next(cluster: str, tmp_path: Path) -> None:
    pods = write(tmp_path / "pods.yaml", pod_document("p0", "1500m", "3Gi", nodeName="n0"), pod_document("p1", "1500m", "3Gi"))
    found = answer(cluster, "--pods", pods, "--follow")
    assert [(pod["node"], pod["total"]) for pod in found["pods"]] == [("n0", 457), ("n1", 465)]
    assert found["pods"][0]["best"] == ["n1"]


def test_follow_to_a_node_that_is_not_there_is_an_input_error(cluster: str, tmp_path: Path) -> None:
    pods = write(tmp_path / "pods.yaml", pod_document("p0", nodeName="n9"))
    done = burstline(cluster, "--pods", pods, "--follow")
    assert done.returncode == 2
    assert "Pod default/p0 spec.nodeName: found n9" in done.stderr


def test_grow_adds_what_the_autoscaler_would(tmp_path: Path) -> None:
    """30 pods of 5 cpu on 15 cpu less 100m of template overhead: 2 fit a node, 15 nodes (the recorded case one-shape-exact)."""
    pods = write(tmp_path / "pods.yaml", *(pod_document(f"p{i}", "5", "10Gi") for i in range(30)))
    groups = tmp_path / "groups.yaml"
    groups.write_text(yaml.safe_dump({"groups": {"general": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 300}}}))
    found = answer(pods, "--grow", str(groups))
    assert found["plans"] == [[["general", 0, 15, 300]]]
    assert found["nodes_after"] == {"general": 15}


def test_grow_names_pods_that_no_group_can_ever_take(tmp_path: Path) -> None:
    pods = write(
        tmp_path / "pods.yaml",
        *(pod_document(f"big-{i}", "100") for i in range(7)),
        pod_document("fits", "5"),
        pod_document("over", "15500m"),
    )
    groups = tmp_path / "groups.yaml"
    groups.write_text(yaml.safe_dump({"groups": {"general": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 9}}}))
    found = answer(pods, "--grow", str(groups))
    assert found["nodes_after"] == {"general": 1}
    assert len(found["still_pending"]) == 8
    never = "stays pending: no group fits even when empty: it asks for cpu"
    assert [text for text in found["warnings"] if "stays pending" in text] == [
        f"pod default/big-0 and 6 more like it {never} 100, an empty node has at most 14900m (general)",
        f"pod default/over {never} 15500m, an empty node has at most 14900m (general)",
    ]
    done = burstline(pods, "--grow", str(groups))
    assert "no growth helps 8 of the pods: default/big-0, default/big-1," in done.stdout
    assert "note: pod default/big-0 and 6 more like it stays pending" in done.stderr


def test_grow_tells_a_group_that_is_full_from_one_that_never_fits(tmp_path: Path) -> None:
    """Two nodes of 15 cpu take three pods of 5 cpu each: 6 of 8."""
    pods = write(tmp_path / "pods.yaml", *(pod_document(f"p{i}", "5") for i in range(8)))
    groups = tmp_path / "groups.yaml"
    groups.write_text(yaml.safe_dump({"groups": {"general": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 2}}}))
    found = answer(pods, "--grow", str(groups))
    assert found["nodes_after"] == {"general": 2}
    assert len(found["still_pending"]) == 2
    assert [text.partition("stays pending: ")[2] for text in found["warnings"] if "stays pending" in text] == [
        "the groups it fits are at their limits, or other pods keep it away"
    ]


def test_a_table_for_people_and_notes_on_stderr(cluster: str, tmp_path: Path) -> None:
    claim = [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}]
    pods = write(tmp_path / "pods.yaml", pod_document("small"), pod_document("huge", "99"), pod_document("disk", volumes=claim))
    done = burstline(cluster, "--pods", pods)
    assert "default/small" in done.stdout
    assert "Insufficient" in done.stdout
    assert "volume data (persistentVolumeClaim)" in done.stderr
    detail = burstline(cluster, "--pods", pods, "--explain", "small").stdout
    assert "│ n0   │ 463" in detail  # free (87 + 96) // 2 = 91; balance 50 + (50 + 95 - 100) // 2 = 72; taints 300
    assert "TaintTole" in detail


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("kind: [", "text that is not YAML"),
        ("kind: Pod\nmetadata: {name: p}\n", "no Node"),
        ("kind: Node\nmetadata: {name: n}\nstatus: {allocatable: {cpu: many}}\n", "found 'many'"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(tmp_path: Path, text: str, finding: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    done = burstline(str(path), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert finding in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_where_nothing_waits_says_so(cluster: str, tmp_path: Path) -> None:
    pods = write(tmp_path / "pods.yaml", pod_document("p0", nodeName="n0"))
    assert burstline(cluster, "--pods", pods).stdout == "no pod is pending; 1 run on 3 nodes\n"


def test_help_shows_an_example() -> None:
    assert "burstline place cluster.yaml --pods new-pods.yaml" in burstline("--help").stdout


@pytest.mark.parametrize("version", ["1.20", "1.27", "1.38", "1.x", "2.36", "1.36banana", "36", ""])
def test_a_version_whose_formulas_are_not_modelled_is_refused(cluster: str, version: str) -> None:
    done = burstline(cluster, "--kubernetes", version)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{version!r} is not among the versions modelled, 1.28 to 1.37" in " ".join(done.stderr.split())


@pytest.mark.parametrize("version", ["1.28", "1.37", "v1.35.2", "v1.34.1-eks-113cf36"])
def test_a_version_may_be_spelled_as_the_server_prints_it(cluster: str, version: str) -> None:
    assert burstline(cluster, "--kubernetes", version).returncode == 0


def test_files_put_together_without_a_document_mark_are_refused_with_both_lines(tmp_path: Path) -> None:
    both = tmp_path / "both.yaml"
    text = yaml.safe_dump({"items": [node_document("n")], "kind": "List"})
    both.write_text(text + yaml.safe_dump({"items": [pod_document("p")], "kind": "List"}))
    done = burstline(str(both))
    assert (done.returncode, done.stdout) == (2, "")
    second = text.count("\n") + 1
    assert f"line {second}: found key 'items' stands already in line 1" in done.stderr


def test_names_are_not_cut_when_standard_output_is_no_terminal(cluster: str, tmp_path: Path) -> None:
    names = [f"{'long-' * 30}{end}" for end in ("a", "b")]
    pods = write(tmp_path / "pods.yaml", *(pod_document(name) for name in names))
    found = burstline(cluster, "--pods", pods).stdout
    assert [found.count(f"default/{name} ") for name in names] == [1, 1]
