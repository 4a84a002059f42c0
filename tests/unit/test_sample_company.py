"""The generated company: every figure of its bill follows from the calendar, and the bill reconciles on its own terms."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from simulator.ingest.synthetic.bill import bill_lines, support_usd
from simulator.ingest.synthetic.company import Company, Purchases, active_share, replicas, usage_history, workers
from simulator.ingest.synthetic.files import generations
from simulator.ingest.synthetic.lines import Lines, billing_periods, named_bits
from simulator.ingest.synthetic.split import node_cost_usd, split_lines

YEAR = Company()
MONTH = Company(hours=700)


def year_lines(company: Company = YEAR) -> list[Lines]:
    return [line for period in billing_periods(company.horizon) for line in bill_lines(company, period)]


def total(lines: list[Lines], column: str, *item_types: str) -> float:
    return math.fsum(float(getattr(line, column).sum()) for line in lines if not item_types or line.item_type in item_types)


def given(lines: list[Lines], column: str) -> float:
    return math.fsum(float(np.sum(np.broadcast_to(line.columns.get(column, 0.0), len(line)))) for line in lines)


def test_the_calendar_starts_on_monday_midnight_in_korea() -> None:
    assert YEAR.horizon.start == datetime(2025, 1, 5, 15, tzinfo=UTC)  # 2025-01-06 00:00 +09:00, a Monday
    share = active_share(168)
    assert (share[11], share[4 * 24 + 11], share[5 * 24 + 11]) == (0.80, 0.80, 0.12)


def test_every_team_fraction_is_a_whole_number_of_developers() -> None:
    assert np.allclose(active_share(168) * 200, np.rint(active_share(168) * 200))
    assert replicas(YEAR).max(axis=0).tolist() == [160] * 5  # 0.80 x 200


def test_worker_rows_add_up_to_the_worker_hours_of_the_year() -> None:
    lines = [line for line in year_lines() if "Box" in line.usage_type or "Spot" in line.usage_type]
    used = total(lines, "amount", "Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
    assert used == 978_374 == workers(YEAR).sum()
    assert total(lines, "listed", "Usage", "DiscountedUsage", "SavingsPlanCoveredUsage") == pytest.approx(923_585.056)  # x 0.944


def test_the_half_covered_slot_has_two_rows_that_make_one_hour() -> None:
    lines = bill_lines(MONTH, billing_periods(MONTH.horizon)[0])
    slot = 14 + 16  # after 14 reserved and 16 fully covered slots
    rows = [(line.item_type, float(line.amount[k])) for line in lines for k in np.flatnonzero((line.slot == slot) & (line.hour == 11))]
    assert sorted(rows) == [("SavingsPlanCoveredUsage", 0.5), ("Usage", 0.5)]


def test_year_reconciles_because_its_upfront_fees_buy_exactly_this_year() -> None:
    lines = year_lines()
    assert total(lines, "effective") == pytest.approx(total(lines, "unblended"), abs=1e-6)


@pytest.mark.parametrize("hours", [72, 700, 8760, 9000])
def test_amortised_less_cash_is_upfront_amortised_less_upfront_bought(hours: int) -> None:
    lines = year_lines(Company(hours=hours))
    bought = total(lines, "unblended", "SavingsPlanUpfrontFee") + total([x for x in lines if x.commitment], "unblended", "Fee")
    amortised = given(lines, "savings_plan_amortized_upfront_commitment_for_billing_period")
    amortised += given(lines, "reservation_amortized_upfront_fee_for_billing_period")
    assert total(lines, "effective") - total(lines, "unblended") == pytest.approx(amortised - bought, abs=1e-6)


def test_a_second_year_renews_both_commitments() -> None:
    lines = year_lines(Company(hours=9000))
    fees = [line for line in lines if line.item_type in ("SavingsPlanUpfrontFee", "Fee") and line.commitment]
    assert len(fees) == 4
    assert len({line.commitment for line in fees}) == 4


def test_each_plan_hour_is_used_plus_unused() -> None:
    plan = Purchases()
    fees = [line for line in year_lines() if line.item_type == "SavingsPlanRecurringFee"]
    commitment = plan.savings_plan * plan.savings_plan_usd_per_h  # 16.5 x 0.944 x 0.72 = 11.21472
    assert commitment == pytest.approx(11.21472)
    for fee in fees:
        assert np.allclose(fee.columns["savings_plan_used_commitment"] + fee.effective, commitment)
    used = given(fees, "savings_plan_used_commitment")
    assert used == pytest.approx(total(year_lines(), "effective", "SavingsPlanCoveredUsage"))


def test_each_reservation_fee_is_used_plus_unused() -> None:
    for period in billing_periods(YEAR.horizon):
        lines = bill_lines(YEAR, period)
        fee = total(lines, "unblended", "RIFee") + given(lines, "reservation_amortized_upfront_fee_for_billing_period")
        assert fee == pytest.approx(total(lines, "effective", "DiscountedUsage", "RIFee"), abs=1e-6)


def test_negations_cancel_covered_usage_hour_by_hour() -> None:
    lines = bill_lines(MONTH, billing_periods(MONTH.horizon)[0])
    by_hour = np.zeros(MONTH.hours)
    for line in lines:
        if line.item_type in ("SavingsPlanCoveredUsage", "SavingsPlanNegation"):
            np.add.at(by_hour, line.hour, line.unblended)
    assert np.abs(by_hour).max() < 1e-9


def test_the_last_month_is_open_and_the_first_is_partial() -> None:
    periods = billing_periods(YEAR.horizon)
    assert [period.name for period in periods][::12] == ["2025-01", "2026-01"]
    assert (periods[0].last - periods[0].first, periods[0].open) == (633, False)  # 744 - 4 days - 15 hours
    assert (periods[-1].last - periods[-1].first, periods[-1].open) == (111, True)  # 4 days and 15 hours
    assert sum(period.last - period.first for period in periods) == 8760


def test_support_is_tiered() -> None:
    # 10 % of 10,000 + 7 % of 70,000 + 5 % of 20,000
    assert support_usd(100_000) == pytest.approx(1_000 + 4_900 + 1_000)
    assert support_usd(10) == 100.0


def test_tax_is_ten_percent_of_what_each_product_costs() -> None:
    lines = bill_lines(YEAR, billing_periods(YEAR.horizon)[1])
    taxed = total([line for line in lines if line.service.code == "AmazonEKS" and line.item_type != "Tax"], "unblended")
    tax = total([line for line in lines if line.service.code == "AmazonEKS"], "unblended", "Tax")
    assert tax == round(0.1 * taxed, 2)


def test_every_line_kind_is_there() -> None:
    assert {line.item_type for line in year_lines()} == {
        "Usage", "DiscountedUsage", "RIFee", "Fee", "SavingsPlanCoveredUsage", "SavingsPlanNegation", "SavingsPlanRecurringFee",
        "SavingsPlanUpfrontFee", "Tax", "Credit", "Refund",
    }  # fmt: skip


def test_split_rows_repeat_the_cost_of_each_node_once() -> None:
    company = Company(hours=24, extras=frozenset({"split"}))
    counts = workers(company)
    period = billing_periods(company.horizon)[0]
    cost = np.zeros((24, counts.max()))
    for line in split_lines(company, period, counts, generations(counts)):
        spent = line.columns["split_line_item_split_cost"] + line.columns["split_line_item_unused_cost"]
        np.add.at(cost, (line.hour, line.slot), spent)
    up = counts[:, None] > np.arange(counts.max())
    assert np.allclose(cost, np.where(up, node_cost_usd(company, np.arange(counts.max())), 0.0))


def test_split_weights_are_nine_to_one() -> None:
    # AWS documentation: m5.xlarge, 4 vCPU and 16 GB at 1 USD an hour: 1 / (9 x 4 + 16) = 0.019231 a GB-hour
    company = Company(hours=1)
    period = billing_periods(company.horizon)[0]
    cpu, memory = split_lines(company, period, workers(company), generations(workers(company)))
    per_vcpu = cpu.columns["split_line_item_split_cost"] / 5.0
    per_gb = memory.columns["split_line_item_split_cost"] / 8.0
    assert np.allclose(per_vcpu, 9 * per_gb)


def test_an_instance_keeps_its_id_until_it_stops() -> None:
    assert generations(np.array([2, 1, 2, 2])).tolist() == [[1, 1], [1, 1], [1, 2], [1, 2]]


def test_the_seed_changes_names_and_no_amount() -> None:
    one, other = (bill_lines(Company(seed=seed, hours=48), billing_periods(Company(hours=48).horizon)[0]) for seed in (1, 2))
    assert [float(a.unblended.sum()) for a in one] == [float(b.unblended.sum()) for b in other]
    assert {a.commitment for a in one}.isdisjoint({b.commitment for b in other} - {""})


def test_names_do_not_collide() -> None:
    numbers = np.arange(100_000, dtype=np.uint64)
    assert np.unique(named_bits(40, "instance", numbers)).size == numbers.size


def test_only_one_form_of_the_enterprise_discount() -> None:
    with pytest.raises(ValueError, match="choose one form"):
        Company(extras=frozenset({"edp-net", "edp-map"}))


def test_usage_stays_below_requests() -> None:
    history = usage_history(MONTH)
    assert (history.usage <= history.requests).all()
    assert not np.isnan(history.requests).any()
