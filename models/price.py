"""PriceBook: what a server-year and a worker-hour cost. Field names are parameter names, so what a result used can be listed."""

from __future__ import annotations

from dataclasses import dataclass

from models.units import HOURS_PER_MONTH, HOURS_PER_YEAR, MONTHS_PER_YEAR


@dataclass(frozen=True, slots=True)
class PrivatePrices:
    """Rates of the private side, as the catalog's parameters name them; USD before tax."""

    colocation_usd_per_kw_month: float
    pue: float
    energy_krw_per_kwh: float
    krw_per_usd: float
    os_support_usd_per_node_year: float
    hardware_maintenance_share_per_year: float
    staff_krw_per_month: float
    discount_rate_share: float
    server_life_years: float
    residual_share: float
    spare_share: float
    worker_mean_draw_share: float
    infrastructure_mean_draw_share: float
    migration_usd_per_node: float

    @property
    def energy_usd_per_kw_year(self) -> float:
        """A kilowatt drawn all year, cooling included: PUE x 8,760 h x tariff."""
        return self.pue * HOURS_PER_YEAR * self.energy_krw_per_kwh / self.krw_per_usd

    @property
    def staff_usd_per_fte_year(self) -> float:
        """One full-time person: twelve months."""
        return self.staff_krw_per_month * MONTHS_PER_YEAR / self.krw_per_usd

    @property
    def life_years(self) -> int:
        """Whole years that a server serves."""
        return max(1, round(self.server_life_years))


@dataclass(frozen=True, slots=True)
class LinkPrices:
    """What a hybrid pays to join both sides; all zero ports and gigabytes unless the scenario says otherwise."""

    direct_connect_ports: float
    direct_connect_port_usd_per_h: float
    direct_connect_usd_per_gb: float
    egress_gb_per_burst_node_h: float

    @property
    def ports_usd_per_year(self) -> float:
        """Ports by the hour, all year."""
        return self.direct_connect_ports * self.direct_connect_port_usd_per_h * HOURS_PER_YEAR

    @property
    def usd_per_burst_node_h(self) -> float:
        """Data that leaves AWS with every burst node-hour."""
        return self.egress_gb_per_burst_node_h * self.direct_connect_usd_per_gb


@dataclass(frozen=True, slots=True)
class CommitmentPrices:
    """What was already promised to AWS and is paid used or not, until it ends."""

    aws_committed_usd_per_h: float
    aws_commitment_months_left: float

    def usd_in_month(self, month: int) -> float:
        """Promised spend of month 1, 2, ...

        >>> CommitmentPrices(10.0, 12.0).usd_in_month(12), CommitmentPrices(10.0, 12.0).usd_in_month(13)
        (7300.0, 0.0)
        """
        return self.aws_committed_usd_per_h * HOURS_PER_MONTH if 1 <= month <= self.aws_commitment_months_left else 0.0


@dataclass(frozen=True, slots=True)
class AwsPrices:
    """One worker-hour on AWS.

    >>> round(AwsPrices(0.944, 0.28).best_usd_per_h, 5)
    0.67968
    """

    on_demand_usd_per_h: float
    commitment_discount_share: float
    price_change_share_per_year: float = 0.0

    @property
    def best_usd_per_h(self) -> float:
        """List price less the discount of the best commitment."""
        return self.on_demand_usd_per_h * (1.0 - self.commitment_discount_share)

    def opponent_usd_per_h(self, opponent: str) -> float:
        """The price that a server must beat: `on_demand` or `best_commitment`."""
        return self.on_demand_usd_per_h if opponent == "on_demand" else self.best_usd_per_h


@dataclass(frozen=True, slots=True)
class PriceBook:
    """All prices of one scenario; `server_usd` by zone name."""

    private: PrivatePrices
    link: LinkPrices
    commitment: CommitmentPrices
    aws: AwsPrices
    server_usd: dict[str, float]
