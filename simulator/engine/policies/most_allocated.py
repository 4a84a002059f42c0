"""Bin packing: NodeResourcesFit with scoringStrategy MostAllocated beside BalancedAllocation."""

from simulator.engine.policies import POLICIES, Policy

POLICIES.register("most_allocated", Policy("Fill nodes: MostAllocated + BalancedAllocation", most_allocated=True))
