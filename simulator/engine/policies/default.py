"""The default profile of kube-scheduler: free room and balance, one each (pkg/scheduler/apis/config/v1/default_plugins.go)."""

from simulator.engine.policies import POLICIES, Policy

POLICIES.register("default", Policy("kube-scheduler's default profile: LeastAllocated + BalancedAllocation"))
