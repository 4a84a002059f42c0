"""`burstline replay` from the shell: what is refused, and what the tables and notes say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from models.errors import InputError
from simulator.cli.replay import command
from simulator.engine.autoscalers.replay import replay

CURVE: dict[str, Any] = {
    "groups": {"own": {"allocatable": {"cpu": "15", "memory": "60Gi", "pods": "110"}, "max": 5}},
    "shapes": {"web": {"cpu": "4", "memory": "8Gi"}},
    "replicas_by_second": {"web": [6] * 20},
}


def run(path: Path, text: str, *arguments: str) -> Result:
    path.write_text(text)
    return CliRunner().invoke(command, [str(path), *arguments])


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (yaml.safe_dump(CURVE) + "groups: {}\n", "key 'groups' stands already in line 1"),
        (json.dumps(CURVE)[:-1] + ', "groups": {}}', "key 'groups' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path: Path, text: str, finding: str) -> None:
    result = run(tmp_path / "curve", text)
    assert isinstance(result.exception, InputError)
    assert finding in str(result.exception)
    assert result.stdout == ""


def asking(base: dict[str, Any], *, replicas: int = 3, **shape: str) -> dict[str, Any]:
    """`base` with one more shape, `odd`."""
    return {
        **base,
        "shapes": {**base["shapes"], "odd": shape},
        "replicas_by_second": {**base["replicas_by_second"], "odd": [replicas] * 20},
    }


POOL: dict[str, Any] = {
    "instance_types": {
        "m5.xlarge": {"cpu": 4, "memory_gib": 16, "usd_per_h": 0.2},
        "m5.24xlarge": {"cpu": 96, "memory_gib": 384, "usd_per_h": 5.0},
    },
    "pools": [{"name": "burst", "template": {"spec": {}}, "limits": {"cpu": "64"}}],
    "shapes": {"web": {"cpu": "3", "memory": "2Gi"}},
    "replicas_by_second": {"web": [2] * 20},
}


@pytest.mark.parametrize(
    ("base", "shape", "reason"),
    [
        (CURVE, {"cpu": "100"}, "fits no group even when empty: it asks for cpu 100, an empty node has at most 15 (own)"),
        (CURVE, {"cpu": "1", "gpuu": "1"}, "fits no group even when empty: it asks for gpuu, which no node offers"),
        (CURVE, {"cpu": "1", "memry": "1Gi"}, "it asks for memry, which no node offers (did you mean memory?)"),
        (POOL, {"cpu": "200"}, "even when empty: it asks for cpu 200, an empty node has at most 4 (burst/m5.xlarge)"),  # 96 > limit of 64
        (POOL, {"cpu": "1", "nvidia.com/gpu": "1"}, "it asks for nvidia.com/gpu, which no node offers"),
    ],
)
def test_a_shape_that_can_never_start_is_named_with_the_reason(base: dict[str, Any], shape: dict[str, str], reason: str) -> None:
    run = replay(asking(base, **shape))
    assert [text for text in run.warnings if reason in text and "shapes.odd" in text] == list(run.warnings)[-1:]
    assert run.pending()[-1] == 3
    assert run.nodes_at_end() == replay(base).nodes_at_end()


def test_a_shape_between_the_node_and_the_template_starts_only_on_nodes_made_for_others() -> None:
    """15 cpu fill a node of 15; the autoscaler believes 14.9 to be free and never adds one for it."""
    shape = asking(CURVE, cpu="15")
    finding = "no group grows for shapes.odd, less template_overhead: it asks for cpu 15, an empty node has at most 14900m (own)"
    assert replay(shape).warnings == (f"input: {finding}",)
    alone = {**shape, "replicas_by_second": {"web": [0] * 20, "odd": [3] * 20}}
    assert replay(alone).nodes_at_end() == {"own": 0}
    assert replay(alone).pending()[-1] == 3


def test_a_tainted_group_and_two_halves_are_told_apart() -> None:
    """One group has the cpu, the other the memory; then one has both and a taint."""
    wide = {"allocatable": {"cpu": "64", "memory": "8Gi", "pods": "110"}, "max": 2}
    deep = {"allocatable": {"cpu": "4", "memory": "512Gi", "pods": "110"}, "max": 2}
    shape = {"cpu": "32", "memory": "256Gi"}
    halves = asking({**CURVE, "groups": {"wide": wide, "deep": deep}}, **shape)
    assert "no single node has room for all of cpu 32, memory 256Gi, pods 1" in replay(halves).warnings[-1]
    both = {"allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110"}, "max": 2, "taints": [{"key": "gpu", "effect": "NoSchedule"}]}
    tainted = asking({**CURVE, "groups": {"wide": wide, "both": both}}, **shape)
    assert "every node with room refuses it: both has the taint gpu:NoSchedule" in replay(tainted).warnings[-1]


def test_shapes_that_start_or_are_never_wanted_give_no_warning() -> None:
    assert replay(CURVE).warnings == ()
    assert replay(POOL).warnings == ()
    assert replay(asking(CURVE, replicas=0, cpu="100")).warnings == ()


def test_the_text_says_how_many_pods_wait_and_why(tmp_path: Path) -> None:
    """Six pods of 4 cpu on nodes of 15: three fit each, so two nodes; three of 100 cpu wait to the end."""
    result = run(tmp_path / "curve.yaml", yaml.safe_dump(asking(CURVE, cpu="100")))
    assert result.exit_code == 0, result.output
    assert "pods pending: most 9," in result.stdout
    assert "at the end 3" in result.stdout
    assert "shapes.odd can never start" in result.stderr
    assert "shapes.odd" not in result.stdout
