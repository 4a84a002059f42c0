"""Failure rates of single pools: old servers fail more often, and every GPU adds its own failures."""

from __future__ import annotations

from dataclasses import replace

from models.fleet import Fleet, NodePool
from models.generations import failures_at
from models.parameter import Parameters
from models.scenario import Scenario
from simulator.engine.config import FailureModel

GPU = "nvidia.com/gpu"


def pool_failures(scenario: Scenario, fleet: Fleet, young: FailureModel, parameters: Parameters) -> dict[str, FailureModel]:
    """The pools whose servers fail at another rate than young ones without GPUs; what is yet to be bought is young.

    A server with eight GPUs: 0.04 + 8 x 0.106 = 0.888 failures a year.
    """
    ages = {zone.name: zone.age_years for zone in scenario.zones}
    rates = {pool.name: _rate(pool, ages.get(pool.zone, 0.0), young, parameters) for pool in fleet.pools if pool.private}
    return {name: replace(young, per_year=rate) for name, rate in rates.items() if rate != young.per_year}


def _rate(pool: NodePool, age_years: float, young: FailureModel, parameters: Parameters) -> float:
    by_age = failures_at(young.per_year, 0.0 if pool.from_hour > 0 else age_years, parameters)
    return by_age + pool.shape.extended.get(GPU, 0) * parameters["gpu_failures_per_year"]
