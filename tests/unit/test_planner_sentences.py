"""Reasons in words: every template in both languages takes the same values, numbers agree with their nouns."""

from __future__ import annotations

from string import Formatter

import pytest

from models.plan import Verification
from models.reason import Reason
from money_builders import shipped_case
from simulator.pipeline.planning import _checked
from simulator.planner.recommend import recommend
from simulator.sentences import _TEMPLATES, sentence


def told(key, language="en", **values):
    return sentence(Reason(key, values), language, lambda usd: f"USD {usd:,.0f}")


@pytest.mark.parametrize("key", sorted(_TEMPLATES))
def test_both_languages_use_the_same_values(key):
    used = [{field.split("!")[0] for _, field, _, _ in Formatter().parse(text) if field} for text in _TEMPLATES[key]]
    assert used[0] == used[1]


def test_one_is_singular_and_the_rest_plural():
    assert told("asked_marginal", working=1, spare=2, nodes=3).endswith(": 1 working node and 2 spare make 3.")
    assert told("asked_marginal", working=53, spare=2, nodes=55).endswith(": 53 working nodes and 2 spare make 55.")
    assert told("later_orders", orders=1, nodes=1) == "1 later order adds 1 node as demand grows."
    assert told("later_orders", orders=2, nodes=3) == "2 later orders add 3 nodes as demand grows."
    assert told("unverified", count=1).startswith("1 value is unverified (one claim or general knowledge): replace it before")
    assert told("at_measured_packing", nodes=1) == "At the measured packing the same question gives 1 node."
    halves = told("halves_without_users", peak=1, hours=1, share=0.5)
    assert halves.startswith("1 node carries 50% of the peak and 1 serves 50% of the worker hours")


def test_pinned_half_that_agrees_with_the_rule_needs_no_because():
    values = {"down": 2, "holds": 40, "fails": 39, "rule": 40, "assumed": 0.85, "measured": 0.8523}
    assert told("pinned_half_agrees", **values) == (
        "Simulated without burst and with 2 nodes down, the private half holds at 40 and fails at 39, as the rule of 40 says; "
        "pods fill 0.852 of a node."
    )
    assert "규칙의 40대와 같이 40대에서" in told("pinned_half_agrees", "ko", **values)
    assert "the rule says 38 because" in told("pinned_half", **{**values, "rule": 38})


@pytest.mark.parametrize(
    ("share", "holds", "keys"),
    [
        (0.5, 40, ["pinned_half_agrees", "at_measured_packing", "slo_met"]),  # the rule by users says 40
        (0.5, 41, ["pinned_half", "at_measured_packing", "slo_met"]),
        (0.0, 3, ["at_measured_packing", "slo_met"]),  # nobody is homed on private nodes
    ],
)
def test_what_the_simulation_found_is_told_as_it_stands_to_the_rule(share, holds, keys):
    case = shipped_case(demand__build_share=share)
    seen = Verification(
        packing_assumed_share=0.85,
        packing_measured_share=0.87,
        nodes_at_measured_packing=54,
        pinned_holds_at=holds,
        pinned_fails_at=holds - 1,
        pending_p95_s=0.0,
        pending_p99_s=0.0,
        burst_start_p95_s=60.0,
        slo_met=True,
        replications=3,
    )
    assert [reason.key for reason in _checked(case, seen, recommend(case))] == keys


def test_money_is_printed_by_the_readers_function():
    assert told("limit_binds_priced", name="zones.a.max_nodes", price=1234.5) == (
        "The limit zones.a.max_nodes binds: more nodes would save up to USD 1,234 a year each."
    )
