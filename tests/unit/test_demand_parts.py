"""Gaps, pod shapes, right-sizing, bills with unknown types, supply against requests: one claim a test."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bill import Charges, WorkerSeries
from models.errors import BillingFormatError, MetricsError
from models.horizon import Horizon
from models.node import NodeShape
from models.resources import ResourceAxes
from models.unknown import Unknown
from models.usage import UsageHistory, WorkloadKey
from simulator.demand.classes import workload_class
from simulator.demand.instance_names import size_from_name
from simulator.demand.profile import demand_from_usage
from simulator.demand.readings import implied_premium, readings, users_peak_demand
from simulator.demand.rightsizing import right_size
from simulator.demand.worker_hours import demand_from_charges, supply_of, worker_hours, worker_hours_left

START = datetime(2025, 3, 3, tzinfo=UTC)
SHAPE = NodeShape("small", 4000, 16384)
HALF = {"cpu_quantile": 0.95, "batch_cpu_quantile": 0.5, "memory_headroom": 1.15}


def history(
    pods: np.ndarray, cpu_m: float = 500.0, memory_mib: float = 1024.0, use: np.ndarray | float = 0.5, labels: dict[str, str] | None = None
) -> UsageHistory:  # fmt: skip
    """One workload with `pods` by hour; `use` is the share of requests in use by hour."""
    requests = pods[:, None] * np.array([cpu_m, memory_mib, 1.0])
    share = np.broadcast_to(np.asarray(use, dtype=float), pods.shape)[:, None]
    key = WorkloadKey("shop", "web", labels or {})
    asked, used = requests[:, None, :], (requests * share)[:, None, :]
    return UsageHistory(Horizon(START, len(pods)), ResourceAxes(), (key,), pods[:, None], asked, used, source="test")


def several(*peaks: tuple[np.ndarray, int]) -> UsageHistory:
    """Workloads named a, b, ... with CPU by hour in millicores, one pod each, and their users."""
    cpu = np.stack([values for values, _ in peaks], axis=1)
    requests = np.stack([cpu, np.zeros_like(cpu), np.ones_like(cpu)], axis=2)
    keys = tuple(WorkloadKey("team", chr(97 + index), {"users": str(users)}) for index, (_, users) in enumerate(peaks))
    return UsageHistory(Horizon(START, len(cpu)), ResourceAxes(), keys, np.ones_like(cpu), requests, requests)


def test_a_missing_hour_takes_the_same_hour_of_the_nearest_week() -> None:
    pods = np.tile(np.arange(168.0) + 1, 3)
    broken = pods.copy()
    broken[168 + 5] = np.nan
    demand = demand_from_usage(history(broken))
    assert demand.total("cpu_m")[168 + 5] == 6 * 500.0  # hour 5 of the week has 6 pods
    assert demand.notes == ("shop/web: 1 missing hours taken from the same hour of the nearest week",)


def test_known_hours_stay_as_they_were() -> None:
    pods = np.arange(1.0, 401.0)
    broken = pods.copy()
    broken[[3, 200]] = np.nan
    total = demand_from_usage(history(broken)).total("cpu_m")
    kept = ~np.isnan(broken)
    assert np.array_equal(total[kept], pods[kept] * 500.0)


def test_more_than_five_percent_missing_is_refused_by_name() -> None:
    pods = np.ones(100)
    pods[:6] = np.nan
    with pytest.raises(MetricsError, match=r"shop/web: found 6.0% of the hours missing"):
        demand_from_usage(history(pods))


def test_no_workload_is_refused() -> None:
    empty = np.zeros((24, 0))
    nothing = UsageHistory(
        Horizon(START, 24), ResourceAxes(), (), empty, np.zeros((24, 0, 3)), np.zeros((24, 0, 3)), source="usage.parquet"
    )
    with pytest.raises(MetricsError, match=r"usage.parquet: found no workload"):
        demand_from_usage(nothing)


def test_pod_shape_is_requests_per_pod_rounded_up() -> None:
    (workload,) = demand_from_usage(history(np.array([0.0, 3.0, 7.0]), cpu_m=333.3, memory_mib=100.2)).workloads
    assert (workload.cpu_m, workload.memory_mib) == (334, 101)
    assert workload.replicas.tolist() == [0, 3, 7]


def test_a_users_label_that_is_no_number_counts_as_unknown() -> None:
    demand = demand_from_usage(history(np.ones(48), labels={"users": "many"}))
    assert demand.workloads[0].users == 0
    half = readings(demand, SHAPE, packing_share=1.0, build_share=0.5, spare_nodes=0)
    assert half.by_users_nodes is None


@pytest.mark.parametrize(
    ("labels", "expected"), [({"workload-class": "batch"}, "batch"), ({"workload_class": "ml"}, "ml"), ({}, "service")]
)
def test_class_comes_from_the_label(labels: dict[str, str], expected: str) -> None:
    assert workload_class(WorkloadKey("n", "w", labels), ResourceAxes(), np.ones((2, 3))) == expected


def test_a_gpu_request_makes_a_workload_ml() -> None:
    axes = ResourceAxes(("cpu_m", "memory_mib", "pods", "nvidia.com/gpu"))
    assert workload_class(WorkloadKey("n", "w"), axes, np.ones((2, 4))) == "ml"


def test_right_size_is_the_p95_of_use_and_the_largest_memory_with_headroom() -> None:
    use = np.arange(1, 101) / 100.0
    (size,) = right_size(history(np.ones(100), cpu_m=1000, memory_mib=1000, use=use), **HALF)
    assert size.advised_cpu_m == 950  # 95 of 100 hours use at most 0.95 x 1000 m
    assert size.advised_memory_mib == 1150  # 1000 x 1.15


def test_batch_uses_its_own_quantile() -> None:
    use = np.arange(1, 101) / 100.0
    (size,) = right_size(history(np.ones(100), cpu_m=1000, use=use, labels={"workload-class": "batch"}), **HALF)
    assert size.advised_cpu_m == 500


def test_hours_without_pods_do_not_lower_the_advice() -> None:
    pods = np.concatenate([np.zeros(90), np.full(10, 4.0)])
    (size,) = right_size(history(pods, cpu_m=1000, use=0.6), **HALF)
    assert size.advised_cpu_m == 600


def test_a_workload_without_measured_use_gets_no_advice() -> None:
    (size,) = right_size(history(np.ones(10), use=np.full(10, np.nan)), **HALF)
    assert size.advised_cpu_m == Unknown("no measured use")


def test_by_users_and_by_peak_differ_when_profiles_differ() -> None:
    night, day = np.array([8000.0, 0.0]), np.array([0.0, 8000.0])
    demand = demand_from_usage(several((night, 100), (day, 100)))
    half = readings(demand, SHAPE, packing_share=1.0, build_share=0.5, spare_nodes=0)
    assert half.by_users_nodes == 2  # the first team alone: 8,000 m on nodes of 4,000 m
    assert half.by_peak_nodes == 1  # half of a peak of 8,000 m


def test_the_team_at_the_border_is_split() -> None:
    demand = demand_from_usage(several((np.array([6000.0]), 100), (np.array([9000.0]), 300)))
    assert users_peak_demand(demand, "cpu_m", 0.5) == pytest.approx(6000 + 9000 / 3)  # 200 users: 100 of a, 100 of 300 of b


def test_demand_that_never_exceeds_a_capacity_has_no_premium() -> None:
    assert implied_premium(np.ones(3), 1.0) == Unknown("demand never exceeds this capacity")


def charges(*columns: tuple[str, float], hours: int = 4, start: datetime = START) -> Charges:
    series = tuple(WorkerSeries(name, "on_demand") for name, _ in columns)
    counts = np.tile(np.array([count for _, count in columns]), (hours, 1))
    return Charges((), "USD", Horizon(start, hours), series, counts, counts)


def test_purchase_options_of_one_type_are_one_class() -> None:
    demand = demand_from_charges(charges(("small", 2.0), ("small", 1.5)), {"small": SHAPE}, 0.5)
    assert demand.classes == ("small",)
    assert demand.total("cpu_m").tolist() == [3.5 * 4000 * 0.5] * 4


def test_a_small_unknown_type_is_left_out_and_said_so() -> None:
    demand = demand_from_charges(charges(("small", 99.0), ("x9.odd", 1.0)), {"small": SHAPE}, 1.0)
    assert "x9.odd: instance hours left out, no shape is known" in demand.notes


def test_more_than_five_percent_of_unknown_types_is_refused() -> None:
    with pytest.raises(BillingFormatError, match=r"10.0% of instance hours of unknown shape: x9.odd"):
        demand_from_charges(charges(("small", 9.0), ("x9.odd", 1.0)), {"small": SHAPE}, 1.0)


def test_a_bill_without_workers_is_refused() -> None:
    with pytest.raises(BillingFormatError, match="no EC2 instance hours"):
        demand_from_charges(charges(("small", 0.0)), {"small": SHAPE}, 1.0)


def test_supply_is_compared_where_bill_and_usage_overlap() -> None:
    demand = demand_from_usage(history(np.full(6, 4.0), cpu_m=1000))  # 4 vCPU an hour, six hours
    bill = charges(("small", 3.0), hours=10, start=datetime(2025, 3, 3, 2, tzinfo=UTC))
    supply = supply_of(bill, {"small": SHAPE}, demand, 1.0)
    assert supply.hours == 4
    assert (supply.supplied_cpu_h, supply.requested_cpu_h) == (4 * 12.0, 4 * 4.0)
    assert supply.unexplained_cpu_h == 4 * (12 - 4 - 4)  # one worker of 4 vCPU an hour is taken as explained
    assert supply.requested_share == pytest.approx(1 / 3)


def test_less_supply_than_requests_is_counted() -> None:
    demand = demand_from_usage(history(np.full(4, 9.0), cpu_m=1000))
    assert supply_of(charges(("small", 2.0)), {"small": SHAPE}, demand, 1.0).short_hours == 4


def test_no_overlap_compares_nothing() -> None:
    demand = demand_from_usage(history(np.ones(4)))
    late = charges(("small", 1.0), start=datetime(2026, 1, 1, tzinfo=UTC))
    assert supply_of(late, {"small": SHAPE}, demand, 1.0).hours == 0


def test_daily_usage_is_refused_before_anything_is_sized() -> None:
    with pytest.raises(MetricsError, match="test: found daily values; give hourly data"):
        demand_from_usage(history(np.repeat(np.arange(1.0, 31.0), 24)))


def test_a_bill_with_daily_rows_is_refused() -> None:
    daily = charges(("small", 1.0), hours=240)
    spread = np.repeat(np.arange(1.0, 11.0), 24)[:, None]
    with pytest.raises(MetricsError, match="bill: found daily values"):
        demand_from_charges(Charges((), "USD", daily.horizon, daily.series, spread, spread), {"small": SHAPE}, 1.0)


def test_a_type_outside_the_catalog_is_sized_by_its_name() -> None:
    demand = demand_from_charges(charges(("small", 1.0), ("m4.xlarge", 2.0)), {"small": SHAPE}, 1.0)
    # m4.xlarge: 4 vCPU less 60 + 10 + 5 + 5 millicores reserved, as EKS does
    assert demand.requests[0, demand.classes.index("m4.xlarge"), 0] == 2 * 3920
    assert "sized by name, not in the catalog: m4.xlarge" in demand.notes


@pytest.mark.parametrize("name", ["p4d.24xlarge", "c5n.9xlarge", "m5.metal", "m3.large", "db.m5.large", "", "t1.micro"])
def test_a_name_outside_the_rule_tells_nothing(name: str) -> None:
    assert size_from_name(name) is None


@pytest.mark.shared_data
def test_the_name_rule_holds_for_every_public_type_it_covers(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "prices" / "aws-ec2" / "instance_specs.csv.gz")
    told = {name: size for name in table["instance_type"] if (size := size_from_name(name)) is not None}
    assert len(told) > 850
    specified = {row.instance_type: (int(row.vcpu), float(row.memory_gib)) for row in table.itertuples() if row.instance_type in told}
    assert told == specified


def test_workers_are_counted_in_the_resource_that_binds() -> None:
    demand = demand_from_usage(history(np.array([0.0, 10.0, 100.0]), cpu_m=1.0, memory_mib=1.0))
    crowded = NodeShape("crowded", 4000, 16384, max_pods=10)
    assert worker_hours(demand, "pods", crowded, 0.5, 1.0).counts.tolist() == [0, 2, 20]  # five pods a worker
    left = worker_hours_left(
        demand, "pods", crowded, crowded, 4, packing_share=0.5, dispatch="private_first", pinned_share=0.5, on_demand_usd_per_h=1.0
    )  # fmt: skip
    assert left.counts.tolist() == [0, 0, 16]  # four private nodes hold 20 of the 100 pods
