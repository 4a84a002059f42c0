"""Laws of one Karpenter round over random pods and pools: nothing is lost, everything fits, rules hold, same draws same answer."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import Problem
from simulator.engine.autoscalers.binpacking import Kinds
from simulator.engine.autoscalers.karpenter import Provisioning, Settings, Waiting, provision
from simulator.engine.autoscalers.karpenter_catalog import CAPACITY_TYPE
from simulator.engine.autoscalers.karpenter_input import KarpenterFile, read_karpenter
from simulator.engine.autoscalers.replay_shapes import read_shape
from simulator.engine.kube.objects import HOSTNAME, ZONE, Pod

TYPES = {
    f"{family}.{size}": {"cpu": cpu, "memory_gib": cpu * ratio, "usd_per_h": round(cpu * (0.03 + 0.002 * ratio), 4)}
    for family, ratio in (("c5", 2), ("m5", 4), ("r5", 8))
    for size, cpu in (("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16))
}
ZONES = ("a", "b", "c")


@st.composite
def shapes(draw: st.DrawFn, name: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "cpu": f"{draw(st.integers(1, 70)) * 100}m",
        "memory": f"{draw(st.integers(1, 48)) * 256}Mi",
        "count": draw(st.integers(1, 8)),
    }
    mine = {"matchLabels": {"app": name}}
    rule = draw(st.sampled_from(["", "", "zones", "apart", "select", "prefer"]))
    if rule == "zones":
        skew = draw(st.integers(1, 2))
        body["topologySpreadConstraints"] = [
            {"maxSkew": skew, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": mine}
        ]
    elif rule == "apart":
        term = {"topologyKey": HOSTNAME, "labelSelector": mine}
        body["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    elif rule == "select":
        body["nodeSelector"] = {ZONE: draw(st.sampled_from(ZONES))}
    elif rule == "prefer":
        wish = {"matchExpressions": [{"key": "karpenter.kwok.sh/instance-family", "operator": "In", "values": ["r5", "x9"]}]}
        body["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": wish}]}}
    return body


@st.composite
def rounds(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    pods = {f"s{at}": draw(shapes(f"s{at}")) for at in range(draw(st.integers(1, 4)))}
    pools = []
    for at in range(draw(st.integers(1, 2))):
        body: dict[str, Any] = {"name": f"p{at}", "weight": draw(st.integers(0, 2)), "template": {"spec": {}}}
        kinds = draw(st.sampled_from([["on-demand"], ["spot"], ["spot", "on-demand"]]))
        body["template"]["spec"]["requirements"] = [{"key": CAPACITY_TYPE, "operator": "In", "values": kinds}]
        if draw(st.booleans()):
            body["limits"] = {"cpu": str(draw(st.integers(2, 60)))}
        pools.append(body)
    return pods, pools


def run(pods: dict[str, Any], pools: list[dict[str, Any]], seed: int) -> tuple[KarpenterFile, Kinds, list[Waiting], Provisioning]:
    problems: list[Problem] = []
    made = [read_shape(name, body, name, problems) or Pod(name) for name, body in pods.items()]
    assert not problems
    kinds = Kinds.of(made)
    document = {"pools": pools, "instance_types": TYPES, "zones": list(ZONES), "overhead": {"cpu": "100m", "memory": "10Mi"}}
    file = read_karpenter(document, kinds, "file")
    chance = np.random.default_rng(seed)

    def pick(count: int) -> int:
        return int(chance.integers(count)) if count > 1 else 0

    queue = [Waiting(kind, (float(at),)) for kind, body in enumerate(pods.values()) for at in range(body["count"])]
    return file, kinds, queue, provision(queue, Settings(kinds, file.catalog, file.pools), [], [], pick)


@settings(max_examples=40, deadline=None)
@given(rounds(), st.integers(0, 3))
def test_every_pod_is_on_one_claim_or_left_and_every_claim_can_be_launched(given_: tuple[Any, Any], seed: int) -> None:
    pods, pools = given_
    file, kinds, queue, found = run(pods, pools, seed)
    placed = sum((claim.counts for claim in found.claims), np.zeros(len(kinds.pods), dtype=np.int64))
    left = np.bincount([queue[at].kind for at in found.left], minlength=len(kinds.pods))
    assert (placed + left).tolist() == [body["count"] for body in pods.values()]
    for claim in found.claims:
        assert claim.requests.tolist() == (claim.counts @ kinds.requests).tolist()
        held = file.catalog.allocatable[claim.types]
        assert held.size
        assert (held >= claim.requests).all()
        at, offering = file.catalog.launched(claim.types, claim.requirements, lambda n: 0)
        cheapest = min(file.catalog.types[int(row)].cheapest(claim.requirements) for row in np.flatnonzero(claim.types))
        assert offering.usd_per_h == cheapest == file.catalog.types[at].cheapest(claim.requirements)


@settings(max_examples=40, deadline=None)
@given(rounds())
def test_rules_and_limits_hold_on_what_is_launched(given_: tuple[Any, Any]) -> None:
    pods, pools = given_
    file, kinds, _, found = run(pods, pools, 0)
    for kind, body in enumerate(pods.values()):
        on = [claim for claim in found.claims if claim.counts[kind]]
        if "podAntiAffinity" in body.get("affinity", {}):
            assert all(claim.counts[kind] == 1 for claim in on)
        for rule in body.get("topologySpreadConstraints", ()):
            by_zone = dict.fromkeys(ZONES, 0)
            for claim in on:
                (zone,) = claim.requirements[ZONE].values
                by_zone[zone] += int(claim.counts[kind])
            assert max(by_zone.values()) - min(by_zone.values()) <= rule["maxSkew"]
        if "nodeSelector" in body:
            assert all(claim.requirements[ZONE].values == {body["nodeSelector"][ZONE]} for claim in on)
    for pool in file.pools:
        mine = [claim for claim in found.claims if claim.pool is pool]
        least = sum(min(file.catalog.types[int(at)].capacity["cpu"] for at in np.flatnonzero(claim.types)) for claim in mine)
        assert least <= pool.limits.get("cpu", least)
    assert len(kinds.pods) == len(pods)


@settings(max_examples=15, deadline=None)
@given(rounds())
def test_the_same_draws_give_the_same_answer(given_: tuple[Any, Any]) -> None:
    pods, pools = given_
    one, other = (run(pods, pools, 5)[3] for _ in range(2))
    assert [claim.counts.tolist() for claim in one.claims] == [claim.counts.tolist() for claim in other.claims]
    assert [dict(claim.requirements) for claim in one.claims] == [dict(claim.requirements) for claim in other.claims]
    assert one.left == other.left
