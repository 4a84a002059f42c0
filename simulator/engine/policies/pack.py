"""Bin packing alone: MostAllocated with BalancedAllocation switched off, the profile that empties nodes fastest."""

from simulator.engine.policies import POLICIES, Policy

POLICIES.register("pack", Policy("Fill nodes only: MostAllocated", balance=0, most_allocated=True))
