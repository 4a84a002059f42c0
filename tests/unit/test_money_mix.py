"""Nodes of another shape are counted by the resource that fills them first."""

from __future__ import annotations

import numpy as np
import pytest

from models.demand import Demand
from models.horizon import Horizon
from models.resources import ResourceAxes
from money_builders import company_demand_m, demand_of
from simulator import catalog
from simulator.planner.screening import screen


def case_of(memory_per_m: float, **changes):
    requests_m = company_demand_m()
    table = np.zeros((requests_m.size, 1, 3))
    table[:, 0, 0] = requests_m
    table[:, 0, 1] = requests_m * memory_per_m
    table[:, 0, 2] = requests_m / 5000
    start: Horizon = demand_of(requests_m).horizon
    scenario = catalog.load_scenario("half-private-40").varied({key.replace("__", "."): value for key, value in changes.items()})
    return catalog.case(scenario, Demand(start, ResourceAxes(), ("all",), table, (), "requests"), users_peak=2e6)


def test_memory_that_does_not_bind_changes_nothing():
    case = case_of(8192 / 5000)  # pods of 5 vCPU and 8 GiB
    assert case.axis == "cpu_m"
    assert case.worker_room == pytest.approx(15_540 * 0.85)
    assert screen(case).aws_worker_hours[0] == 978_374


def test_a_small_memory_worker_is_filled_by_memory_while_the_server_is_filled_by_cpu():
    case = case_of(4.0, aws__worker="c5.4xlarge")  # 4 MiB a millicore: 62,820 m bring 245 GiB to a server of 512
    worker = catalog.instance("c5.4xlarge", daemonset_cpu_m=350, daemonset_memory_mib=512)
    assert case.axis == "cpu_m"
    assert case.room(case.zones[0]) == pytest.approx(62_820 * 0.85)
    assert case.worker_room == pytest.approx(worker.schedulable_memory_mib / 4.0 * 0.85)
    assert case.worker_room < 15_540 * 0.85 / 2


def test_pod_slots_fill_a_node_of_tiny_pods():
    case = case_of(1.0)
    tiny = catalog.case(
        case.scenario, Demand(Horizon(demand_of(np.ones(24)).horizon.start, 24), ResourceAxes(), ("all",), _tiny(), (), "requests")
    )
    assert tiny.axis == "pods"
    assert tiny.room(tiny.zones[0]) == pytest.approx(110 * 0.85)


def _tiny():
    """1,000 pods of 50 m and 64 MiB in every hour."""
    return np.tile(np.array([50_000.0, 64_000.0, 1000.0]), (24, 1, 1))
