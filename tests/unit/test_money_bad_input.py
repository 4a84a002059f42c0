"""Scenarios that cannot be priced are refused with place, finding and mend; every zone kind and every extreme gives finite money."""

from __future__ import annotations

import math

import pytest

from models.errors import InputError, ScenarioError
from money_builders import company_demand_m, demand_of, shipped_case, with_zone
from simulator import catalog
from simulator.finance.comparison import compare_opponents
from simulator.finance.report import finance_report
from simulator.planner.recommend import nodes_at_arrival, recommend


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("krw_per_usd", 0.0, "above 0"),
        ("server_usd", -1.0, "at least 0"),
        ("pue", math.nan, "give a number"),
        ("server_life_years", math.inf, "give a number"),
        ("residual_share", 1.5, "shares lie in 0..1"),
        ("migration_usd_per_node", -5.0, "at least 0"),
    ],
)
def test_an_override_that_no_price_can_have_is_refused(name, value, mend):
    with pytest.raises(ScenarioError) as refused:
        catalog.parameters({name: value})
    assert f"parameters.{name}" in str(refused.value)
    assert mend in str(refused.value)
    assert "range is" in str(refused.value)


def test_all_bad_overrides_are_reported_at_once():
    with pytest.raises(ScenarioError) as refused:
        catalog.parameters({"pue": -1.0, "server_price": 3.0, "krw_per_usd": 0.0})
    assert len(refused.value.problems) == 3
    assert "server_usd" in str(refused.value) or "did you mean" in str(refused.value)


def test_falling_prices_may_be_negative():
    assert catalog.parameters({"aws_price_change_share_per_year": -0.03})["aws_price_change_share_per_year"] == -0.03


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "aws"}, "zones are owned"),
        ({"kind": "bare-metal"}, "baremetal"),
        ({"kind": "openstack_vm"}, "no `vm`"),
        ({"server": "c64m513"}, "c64m512"),
        ({"kind": "openstack_vm", "vm": "k8s.9c"}, "k8s.8c32g"),
    ],
)
def test_zones_that_cannot_be_built_are_refused(changes, message):
    case = shipped_case()
    with pytest.raises(InputError, match=message):
        recommend(with_zone(case, **changes))


def test_a_worker_that_daemonsets_fill_is_refused():
    scenario = catalog.load_scenario("half-private-40").varied({"aws.daemonset_cpu_m": 16_000})
    with pytest.raises(ScenarioError, match=r"aws\.worker m5\.4xlarge: found .*leaves"):
        recommend(catalog.case(scenario, demand_of(company_demand_m())))


@pytest.mark.parametrize(
    "changes", [{}, {"kind": "ironic"}, {"kind": "openstack_vm", "vm": "k8s.16c64g"}, {"server": "c192m768"}, {"spare_nodes": 0}]
)
@pytest.mark.parametrize("growth", [-0.3, 0.0, 0.5])
def test_every_zone_kind_is_planned_and_priced(changes, growth):
    case = with_zone(shipped_case(demand__growth_share_per_year=growth, planner__staff_fte=0), **changes)
    advice = recommend(case)
    found = compare_opponents(case, advice.recommendation.by_zone, advice.steps)
    assert advice.recommendation.private_nodes > 0
    assert all(math.isfinite(flow.total_usd) for flow in found.flows)
    assert found.statement("hybrid").usd_per_year <= found.statement("aws_best").usd_per_year


def test_free_servers_leave_no_burst_and_free_aws_leaves_no_servers():
    names = ("server_usd", "hardware_maintenance_share_per_year", "os_support_usd_per_node_year", "colocation_usd_per_kw_month")
    free = recommend(shipped_case(planner__staff_fte=0, parameters=dict.fromkeys((*names, "energy_krw_per_kwh"), 0.0)))
    assert free.working == 75  # the whole peak
    assert free.screening.aws_worker_hours[free.working] == 0
    assert recommend(shipped_case(aws__commitment_discount_share=0.999)).recommendation.private_nodes == 0


@pytest.mark.parametrize("years", [1, 3, 10])
def test_other_horizons_and_a_short_history_are_priced(years):
    case = shipped_case(company_demand_m()[: 24 * 28], money__years=years)
    advice = recommend(case)
    report = finance_report(case, advice.recommendation.by_zone, advice.steps, advice.screening.curve(672), nodes_at_arrival)
    assert report.comparison.saving_usd.size == 12 * years + 1
    assert advice.recommendation.confidence.startswith("low")
