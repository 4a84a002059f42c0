"""Score arithmetic against kube-scheduler's published tables, its 1.36.3 log, its recordings and exact integers."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.units import cpu_m, memory_bytes
from simulator.engine import scores_kernels as scores
from simulator.engine.policies import POLICIES, Policy, scores_change_of_balance

ONES = np.ones(2, dtype=np.int64)


def pair(a: int, b: int) -> np.ndarray:
    return np.array([a, b], dtype=np.int64)


def test_the_examples_in_the_docstrings_hold_compiled_and_interpreted() -> None:
    functions = [getattr(scores, name) for name in dir(scores)]
    for function in [f for f in functions if ">>>" in (getattr(f, "__doc__", "") or "") and hasattr(f, "py_func")]:
        name = function.py_func.__name__
        interpreted = lambda *amounts, plain=function.py_func: int(plain(*amounts))  # noqa: E731
        for names in (vars(scores), {**vars(scores), name: interpreted}):
            test = doctest.DocTestParser().get_doctest(function.__doc__, dict(names), name, None, None)
            assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize(("capacity", "least", "ratio"), [((4000, 10000), 37, 38), ((6000, 10000), 50, 50)])
def test_upstream_s_table_of_two_nodes(capacity: tuple[int, int], least: int, ratio: int) -> None:
    """Requests (3000, 5000): (25 + 50) // 2 = 37 and (50 + 50) // 2; the ratio rounds 37.5 up."""
    assert scores.least_allocated(pair(3000, 5000), pair(*capacity), ONES) == least
    assert scores.requested_to_capacity_ratio(pair(3000, 5000), pair(*capacity), ONES, pair(0, 100), pair(100, 0)) == ratio


def test_the_real_scheduler_s_log_of_two_pods() -> None:
    """kube-scheduler 1.36.3 at --v=10: pods of 1500m and 3 GiB on nodes of 8, 16, 4 cores and 32, 32, 64 GiB."""
    nodes = [pair(8000, 32), pair(16000, 32), pair(4000, 64)]
    pod, empty = pair(1500, 3), pair(0, 0)
    assert [scores.least_allocated(pod, node, ONES) for node in nodes] == [85, 90, 78]
    assert [scores.balanced_136(pod, empty, node) for node in nodes] == [72, 75, 66]
    assert [scores.balanced_classic(pod, node) for node in nodes] == [95, 100, 83]
    assert scores.least_allocated(2 * pod, nodes[1], ONES) == 81
    assert scores.balanced_136(2 * pod, pod, nodes[1]) == 75


def test_every_recorded_score_of_the_real_scheduler(recordings: Path) -> None:
    seen = {"NodeResourcesFit": 0, "NodeResourcesBalancedAllocation": 0}
    for path in sorted((recordings / "kube-scheduler").glob("cluster-*.json")):
        cluster = json.loads(path.read_text())
        room = {n["metadata"]["name"]: n["status"]["allocatable"] for n in cluster["nodes"]}
        used = {name: (np.zeros(2, np.int64), np.zeros(2, np.int64)) for name in room}
        for pod, decision in zip(cluster["pods"], cluster["decisions"], strict=True):
            asked = pod["spec"]["containers"][0].get("resources", {}).get("requests", {})
            plain = pair(cpu_m(asked.get("cpu", "0")), memory_bytes(asked.get("memory", "0")))
            counted = pair(plain[0] or scores.NONZERO_CPU_M, plain[1] or scores.NONZERO_MEMORY_MIB * 2**20)
            for name, found in decision.get("scores", {}).items():
                node = pair(cpu_m(room[name]["cpu"]), memory_bytes(room[name]["memory"]))
                assert scores.least_allocated(used[name][1] + counted, node, ONES) == found["NodeResourcesFit"]
                seen["NodeResourcesFit"] += 1
                if "NodeResourcesBalancedAllocation" in found:
                    balance = scores.balanced_136(used[name][0] + plain, used[name][0], node)
                    assert balance == found["NodeResourcesBalancedAllocation"]
                    seen["NodeResourcesBalancedAllocation"] += 1
            if decision["node"]:
                used[decision["node"]][0][:] += plain
                used[decision["node"]][1][:] += counted
    assert seen == {"NodeResourcesFit": 2955, "NodeResourcesBalancedAllocation": 2811}


@settings(max_examples=300, deadline=None)
@given(capacity=st.integers(1, 2**31 - 1), data=st.data())
def test_the_kernel_s_percentage_without_division_is_the_integer_one(capacity: int, data: st.DataObject) -> None:
    free = data.draw(st.one_of(st.integers(0, capacity), st.sampled_from([k * capacity // 100 for k in range(101)])))
    assert scores.free_percent(free + scores.FREE_LIFT, 100.0 / capacity) == free * 100 // capacity


@settings(max_examples=200, deadline=None)
@given(cpu=st.integers(1, 10**6), memory=st.integers(1, 10**7), data=st.data())
def test_the_kernel_s_balance_of_two_is_the_general_one(cpu: int, memory: int, data: st.DataObject) -> None:
    used = pair(data.draw(st.integers(0, cpu)), data.draw(st.integers(0, memory)))
    assert scores.balance_of_two(float(used[0]), float(cpu), float(used[1]), float(memory)) == scores.balanced_classic(
        used, pair(cpu, memory)
    )


def test_a_resource_that_a_node_lacks_does_not_count() -> None:
    assert scores.least_allocated(pair(1, 50), pair(0, 100), ONES) == 50
    assert scores.most_allocated(pair(1, 50), pair(0, 100), ONES) == 50
    assert scores.balanced_classic(pair(1, 50), pair(0, 100)) == 100


def test_policies_are_found_and_pick_the_formula_of_their_version() -> None:
    assert POLICIES.names() == ["default", "most_allocated", "pack"]
    assert POLICIES["default"].rules("1.35").tolist() == [1, 1, 0, 0, 0]
    assert POLICIES["default"].rules("1.36").tolist() == [1, 1, 0, -1, 1]
    assert [scores_change_of_balance(v) for v in ("1.9", "1.35", "1.36", "1.37", "2.0")] == [False, False, True, True, True]
    with pytest.raises(ValueError, match="weights"):
        Policy("none", fit=0, balance=0)


def test_nodes_examined_by_percentage() -> None:
    expected = {50: 50, 100: 100, 250: 120, 500: 230, 1000: 420, 5000: 500, 6000: 300}
    assert {n: scores.nodes_to_examine(n) for n in expected} == expected
    assert scores.nodes_to_examine(1000, percentage=20) == 200
