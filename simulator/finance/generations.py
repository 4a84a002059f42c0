"""Old servers against new ones (case D4): the same work on a zone's aged servers and on servers bought today, year by year."""

from __future__ import annotations

from models.case import Case, ZoneBuild
from models.costs import annuity
from models.energy import power_w
from models.generations import Generation, Keeping, failures_at
from models.price import PrivatePrices
from models.units import HOURS_PER_YEAR, MONTHS_PER_YEAR
from simulator import catalog

NEW_SERVER = "c64m512"
YEARS_AHEAD = 15


def generations(case: Case) -> tuple[Generation, ...]:
    """One entry for every zone whose servers have an age; the work is that of one year of `existing_nodes`, or of one node."""
    return tuple(_generation(case, zone) for zone in case.zones if zone.part.age_years > 0.0)


def _generation(case: Case, zone: ZoneBuild) -> Generation:
    old_nodes = max(zone.part.existing_nodes, 1)
    fresh = zone.part.model_copy(
        update={"server": NEW_SERVER, "own_server": None, "age_years": 0.0, "server_price_usd": None, "supported": True}
    )
    new = catalog.zone_build(fresh, case.parameters, case.scenario.platform)
    work = old_nodes * zone.node.schedulable_cpu_m * zone.node.speed
    new_nodes = -(-round(work) // round(new.node.schedulable_cpu_m * new.node.speed))
    prices, age = case.prices.private, zone.part.age_years
    bought = _keeping(new, new_nodes, 0.0, prices)
    years = tuple(
        (age + k, _keeping(zone, old_nodes, age + k, prices).usd_per_year, _keeping(new, new_nodes, float(k), prices).usd_per_year)
        for k in range(YEARS_AHEAD + 1)
    )
    return Generation(zone.part.name, zone.part.server, NEW_SERVER, age, _keeping(zone, old_nodes, age, prices), bought, years)


def _keeping(zone: ZoneBuild, nodes: int, age_years: float, prices: PrivatePrices) -> Keeping:
    """Yearly cost of the servers under `nodes` workers at an age; capital only where a server has a price."""
    p, servers = zone.parameters, zone.servers_for(nodes)
    peak_kw = servers * zone.server.watts_peak / 1000.0
    mean_kw = servers * power_w(zone.server.watts_idle, zone.server.watts_peak, busy_share(prices)) / 1000.0
    capex = servers * zone.server_usd
    failures = servers * failures_at(p["server_down_failures_per_year"], age_years, p)
    supported = zone.part.supported
    return Keeping(
        servers=servers,
        capex_usd=capex,
        capital_usd=capex * annuity(prices.discount_rate_share, prices.life_years, 1.0, prices.residual_share),
        space_usd=peak_kw * prices.colocation_usd_per_kw_month * MONTHS_PER_YEAR,
        energy_usd=mean_kw * prices.energy_usd_per_kw_year,
        energy_kwh=mean_kw * HOURS_PER_YEAR * prices.pue,
        support_usd=servers * prices.os_support_usd_per_node_year if supported else 0.0,
        maintenance_usd=capex * prices.hardware_maintenance_share_per_year
        if supported
        else servers * p["third_party_maintenance_usd_per_year"],
        failures_per_year=failures,
        failure_usd=failures * p["failure_repair_usd"],
    )


def busy_share(prices: PrivatePrices) -> float:
    """How busy a worker is on average: what the mean draw of the catalog's present server says; 42 % at 62.5 % of its peak."""
    present = catalog.server(NEW_SERVER)
    return (prices.worker_mean_draw_share * present.watts_peak - present.watts_idle) / (present.watts_peak - present.watts_idle)
