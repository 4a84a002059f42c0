"""Every row of the shipped case's table, on the shipped company; the arithmetic stands beside each number."""

from __future__ import annotations

import numpy as np
import pytest

from models.bill import Charges, WorkerSeries
from models.demand import Demand
from models.dispatch import linear_nodes, nodes_for, nodes_for_served_share, served_share
from models.node import NodeShape
from simulator import catalog
from simulator.demand.profile import demand_from_usage, load_factor
from simulator.demand.readings import implied_premium, readings, share_served
from simulator.demand.worker_hours import demand_from_charges, worker_hours, worker_hours_left
from simulator.ingest.synthetic.company import Company, replicas, usage_history, workers, workloads

PACKING = 0.85
PRICE = 0.944


@pytest.fixture(scope="module")
def company() -> Company:
    return Company()


@pytest.fixture(scope="module")
def demand(company: Company) -> Demand:
    return demand_from_usage(usage_history(company))


@pytest.fixture(scope="module")
def bill_demand(company: Company, worker: NodeShape) -> Demand:
    hours = workers(company).astype(float)[:, None]
    charges = Charges((), "USD", company.horizon, (WorkerSeries("m5.4xlarge", "on_demand"),), hours, hours * PRICE)
    return demand_from_charges(charges, {"m5.4xlarge": worker}, PACKING)


@pytest.fixture(scope="module")
def worker() -> NodeShape:
    return catalog.instance("m5.4xlarge", daemonset_cpu_m=350, daemonset_memory_mib=512)


@pytest.fixture(scope="module")
def server() -> NodeShape:
    return catalog.server("c64m512")


def test_node_sizes_are_those_of_the_case(worker: NodeShape, server: NodeShape) -> None:
    assert worker.schedulable_cpu_m == 15_540  # 16,000 - 110 - 350
    assert server.schedulable_cpu_m == 62_820  # 64,000 - 230 - 500 - 450


def test_peak_is_4000_vcpu_and_the_load_factor_0367(demand: Demand) -> None:
    assert demand.total("cpu_m").max() == 4_000_000  # 1,000 x 0.80 x 5,000 m
    assert load_factor(demand, "cpu_m") == pytest.approx(0.367, abs=5e-4)


def test_cpu_binds_on_the_private_server(demand: Demand, server: NodeShape) -> None:
    assert demand.binding_axis(server) == "cpu_m"


def test_worker_hours_of_the_on_demand_list_view(demand: Demand, worker: NodeShape, company: Company) -> None:
    hours = worker_hours(demand, "cpu_m", worker, PACKING, PRICE)
    assert hours.peak == 303  # ceil(4,000 / 13.209)
    assert hours.mean == pytest.approx(111.7, abs=0.05)
    assert hours.total == 978_374
    assert round(hours.usd) == 923_585  # 978,374 x 0.944
    assert np.array_equal(hours.counts, workers(company))


def test_worker_hours_per_active_user_hour(demand: Demand, worker: NodeShape, company: Company) -> None:
    active_user_hours = int(replicas(company).sum())
    assert active_user_hours == 2_573_800
    assert worker_hours(demand, "cpu_m", worker, PACKING, PRICE).total / active_user_hours == pytest.approx(0.380, abs=5e-4)


def test_three_readings_of_half(demand: Demand, server: NodeShape) -> None:
    half = readings(demand, server, packing_share=PACKING, build_share=0.5, spare_nodes=2)
    assert half.by_users_nodes == 40  # ceil(2,000 / 53.397) + 2 = 38 + 2
    assert half.by_peak_nodes == 40
    assert half.by_worker_hours_nodes == 26  # 24 + 2


def test_all_users_need_78_servers_with_three_spare(demand: Demand, server: NodeShape) -> None:
    whole = readings(demand, server, packing_share=PACKING, build_share=1.0, spare_nodes=3)
    assert whole.by_users_nodes == 78  # ceil(4,000 / 53.397) = 75, + 3


def test_24_nodes_are_the_fewest_that_serve_half_of_the_hours(demand: Demand, server: NodeShape) -> None:
    node_m = server.schedulable_cpu_m * PACKING
    total = demand.total("cpu_m")
    assert nodes_for_served_share(total, node_m, 0.5) == 24
    assert served_share(total, 24 * node_m) >= 0.5 > served_share(total, 23 * node_m)


def test_forty_nodes_filled_first_serve_68_percent(demand: Demand, server: NodeShape) -> None:
    assert share_served(demand, server, 38, PACKING) == pytest.approx(0.683, abs=5e-4)


def test_aws_left_when_users_are_pinned(demand: Demand, worker: NodeShape, server: NodeShape) -> None:
    left = worker_hours_left(
        demand, "cpu_m", worker, server, 38, packing_share=PACKING, dispatch="pinned", pinned_share=0.5, on_demand_usd_per_h=PRICE
    )  # fmt: skip
    assert (left.total, left.peak, round(left.usd)) == (491_639, 152, 464_107)


def test_aws_left_private_first(demand: Demand, worker: NodeShape, server: NodeShape) -> None:
    left = worker_hours_left(
        demand, "cpu_m", worker, server, 38, packing_share=PACKING, dispatch="private_first", pinned_share=0.5, on_demand_usd_per_h=PRICE
    )  # fmt: skip
    assert (left.total, left.peak, left.hours_running, round(left.usd)) == (310_068, 150, 2_610, 292_704)


def test_bill_only_view_differs_by_at_most_half_a_percent(bill_demand: Demand, worker: NodeShape, server: NodeShape) -> None:
    left = worker_hours_left(
        bill_demand, "cpu_m", worker, server, 38,
        packing_share=PACKING, dispatch="private_first", pinned_share=0.5, on_demand_usd_per_h=PRICE,
    )  # fmt: skip
    assert (left.total, round(left.usd)) == (311_373, 293_936)
    assert left.total / 310_068 - 1 < 0.005
    half = readings(bill_demand, server, packing_share=PACKING, build_share=0.5, spare_nodes=2)
    assert (half.by_users_nodes, half.by_peak_nodes, half.by_worker_hours_nodes) == (None, 40, 26)


def test_linear_reading_without_overheads_is_40() -> None:
    assert linear_nodes(320, 16, 64, 0.5) == 40.0  # 320 x 16 / 64 = 80; half of it


def test_half_of_peak_implies_its_own_premium(demand: Demand) -> None:
    total = demand.total("cpu_m")
    premium = implied_premium(total, 0.5 * float(total.max()))
    # hours above 2,000 vCPU: weekday hours 9-18 with an active share over 0.5, ten of them, on 261 weekdays of the year
    assert premium == pytest.approx(8760 / 2610)


def test_workloads_rebuilt_from_metrics_are_the_companys_own(demand: Demand, company: Company) -> None:
    for rebuilt, own in zip(demand.workloads, workloads(company), strict=True):
        assert (rebuilt.full_name, rebuilt.cpu_m, rebuilt.memory_mib, rebuilt.team, rebuilt.users) == (
            own.full_name, own.cpu_m, own.memory_mib, own.team, 200,
        )  # fmt: skip
        assert np.array_equal(rebuilt.replicas, own.replicas)


def test_nodes_for_needs_a_positive_node() -> None:
    with pytest.raises(ValueError, match="node_m must be positive"):
        nodes_for(1.0, 0.0)
