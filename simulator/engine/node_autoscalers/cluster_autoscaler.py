"""Cluster Autoscaler in a run: a loop on the scan interval that grows groups for waiting pods or looks for nodes to remove.

Growth and its expanders, unneeded nodes and deletions are decided by the functions of `autoscalers.cluster_autoscaler*`,
with the flags as the real program takes them. Every pool of the run that may grow is a node group. Loops stand on the
grid of `--scan-interval`; a drain takes no time. Source: kubernetes/autoscaler cluster-autoscaler/core at 1.36.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from models.units import MS_PER_S
from simulator.engine.autoscalers.binpacking import Kinds, fill
from simulator.engine.autoscalers.cluster_autoscaler import NodeGroup, Scene, next_scale_up
from simulator.engine.autoscalers.cluster_autoscaler_flags import GroupsFile, read_groups
from simulator.engine.config import EngineConfig
from simulator.engine.environment import HybridEnvironment, Story
from simulator.engine.kernels import WAITING_HELPABLE
from simulator.engine.kube.objects import CPU, MEMORY, PODS, NodeTerm, Pod, Requirement
from simulator.engine.looks import Looks, next_pod_event
from simulator.engine.node_autoscalers import NODE_AUTOSCALERS
from simulator.engine.node_autoscalers.scale_down import ScaleDown
from simulator.engine.node_autoscalers.view import ClusterView, Vector
from simulator.engine.provisioning import Supply
from simulator.engine.wait_budget import NEVER, WaitBudget
from simulator.streams import Streams

logger = logging.getLogger(__name__)

POOL = "pool"
MIB = 2**20
OWNED_FIRST = 1000


class ClusterAutoscaler:
    """The loop and what it remembers: back-off of groups, and in `ScaleDown` when nodes were found unneeded."""

    def __init__(self, env: HybridEnvironment, supply: Supply, config: EngineConfig, wait: WaitBudget, streams: Streams) -> None:
        self.env, self.supply, self._wait = env, supply, wait
        self.view = ClusterView(env.state, supply)
        self.looks = 0
        self._pool_of = {env.state.layout.pools[q].name: q for q in self.view.elastic}
        if not self._pool_of:
            return
        self.file = groups_file(self.view, config)
        self.kinds = kinds_of(self.view)
        self._groups = {group.name: group for group in self.file.groups}
        self._chance = streams("cluster-autoscaler-ties")
        self._backoff: dict[str, tuple[int, int]] = {}
        self._down = ScaleDown(env, self.view, self.file.down)
        interval = round(self.file.down.scan_interval_s * MS_PER_S)
        self._grid = Looks(env, interval, 0, event_driven=config.autoscaling.event_driven)
        supply.give_up_ms = round(self.file.down.provision_s * MS_PER_S)
        supply.remembers_refusals = False
        supply.on_failure = self._failed
        supply.on_join = self._joined
        env.process(self._loop())

    def _loop(self) -> Story:
        """Grow if pods need it, else look for nodes to remove; sleep until a loop can decide otherwise."""
        clock, following = self.env.state.clock, NEVER
        while True:
            waiting = clock[WAITING_HELPABLE] > 0
            active = waiting or self._down.watches
            until = min(next_pod_event(self.env.state), following, self._expiry()) if active else NEVER
            yield from self._grid.sleep(until, waits=True)
            self.looks += 1
            grown = False
            following = NEVER
            if clock[WAITING_HELPABLE] > 0:
                grown, following = self._grow()
            if not grown and self.file.down.enabled and self._down.look():
                following = 0

    def _expiry(self) -> int:
        """When a loop could decide otherwise though no pod and no node moved."""
        now = self.env.ms
        ends = [end for end, _ in self._backoff.values() if end > now]
        return min([*ends, self._down.next_expiry(now)])

    # -- growth

    def _grow(self) -> tuple[bool, int]:
        """Scale-ups until none helps: whether there was one, and when the next pod's time comes."""
        ready, following = self._wait.ready(self.env.ms)
        grown = False
        while True:
            left = self._left(ready[: len(self.view.requests)].copy())
            kinds = np.flatnonzero(left)
            if not kinds.size:
                return grown, following
            some = Kinds(self.kinds.axes, tuple(self.kinds.pods[k] for k in kinds), self.kinds.requests[kinds])
            found = next_scale_up(self._scene(), some, left[kinds], self.file.up, self._chance)
            ordered = 0
            for plan in found.plans if found else ():
                q = self._pool_of[plan.group]
                for _ in range(min(plan.after - plan.before, self.view.room(q))):
                    self.supply.order(q)
                    ordered += 1
            if not ordered:
                return grown, following
            grown = True
            self._down.added_ms = self.env.ms

    def _left(self, counts: Vector) -> Vector:
        """Waiting pods of each kind that find no room on nodes on their way either."""
        view = self.view
        pools = view.coming(view.elastic)
        free, allowed = view.offers[pools].copy(), view.allowed[pools]
        for k in view.by_size:
            if counts[k] and pools.size:
                rows = np.flatnonzero(allowed[:, k])
                taken = fill(free[rows], view.requests[k], int(counts[k]))
                free[rows] -= taken[:, None] * view.requests[k]
                counts[k] -= taken.sum()
        return counts

    def _scene(self) -> Scene:
        """Groups that are not in back-off, with the room they have now."""
        supply, view, now = self.supply, self.view, self.env.ms
        sizes = {name: supply.up[q] + supply.coming[q] for name, q in self._pool_of.items()}
        groups = [
            NodeGroup(
                name, group.node, min(group.maximum, sizes[name] + view.room(self._pool_of[name])), group.minimum, group.price_usd_per_h
            )
            for name, group in self._groups.items()
            if self._backoff.get(name, (0, 0))[0] <= now
        ]
        nodes = [up + coming for up, coming in zip(supply.up, supply.coming, strict=True)]
        held = np.array(nodes, np.int64) @ (view.offers * _units(view))
        return Scene(groups, sizes, sum(nodes), dict(zip((CPU, MEMORY, PODS, *view.axes[3:]), held.tolist(), strict=True)))

    # -- what becomes of orders

    def _joined(self, q: int, slot: int) -> None:
        self._backoff.pop(self.env.state.layout.pools[q].name, None)

    def _failed(self, q: int) -> None:
        """The group is left alone for a while, twice as long each time (utils/backoff)."""
        name, now, down = self.env.state.layout.pools[q].name, self.env.ms, self.file.down
        end, length = self._backoff.get(name, (-1, 0))
        if end > now:
            return
        forgotten = now - end > round(down.backoff_reset_s * MS_PER_S)
        first, longest = round(down.backoff_s * MS_PER_S), round(down.backoff_max_s * MS_PER_S)
        length = first if not length or forgotten else min(2 * length, longest)
        self._backoff[name] = (now + length, length)


def groups_file(view: ClusterView, config: EngineConfig) -> GroupsFile:
    """The run's elastic pools and the scenario's flags, read by the reader of real flags; raises InputError for bad ones.

    Without an expander of its own a scenario has owned pools grow first, then burst pools by weight, then least waste.
    """
    flags = {name.lstrip("-"): value for name, value in config.flags.items()}
    groups: dict[str, dict[str, Any]] = {}
    priorities: dict[int, list[str]] = {}
    for q in view.elastic:
        pool = view.state.layout.pools[q]
        offer = view.offers[q] * _units(view)
        allocatable = {CPU: f"{offer[0]}m", MEMORY: int(offer[1]), PODS: int(offer[2])}
        allocatable |= dict(zip(view.axes[3:], offer[3:].tolist(), strict=True))
        groups[pool.name] = {"allocatable": allocatable, "min": pool.nodes, "max": pool.max_nodes, "usd_per_h": pool.usd_per_h}
        priorities.setdefault(OWNED_FIRST + pool.priority if pool.private else pool.weight, []).append(f"^{pool.name}$")
    document: dict[str, Any] = {"groups": groups, "flags": flags, "zone_label": POOL, "template_overhead": {}}
    document["expander"] = str(flags.pop("expander", "priority,least-waste"))
    if "priority" in document["expander"]:
        document["priorities"] = priorities
    file = read_groups(document, "engine")
    for warning in file.warnings:
        logger.warning("%s", warning)
    return file


def kinds_of(view: ClusterView) -> Kinds:
    """One kind for each shape, bound to the pools in which the kernel would run it."""
    pools = view.state.layout.pools
    pods = []
    for s, row in enumerate((view.requests * _units(view)).tolist()):
        requests = dict(zip((CPU, MEMORY, *view.axes[3:]), [row[0], row[1], *row[3:]], strict=True))
        names = tuple(pool.name for q, pool in enumerate(pools) if view.allowed[q, s])
        term = NodeTerm((Requirement(POOL, "In", names),))
        pods.append(Pod(f"shape-{s}", {name: amount for name, amount in requests.items() if amount}, required=(term,)))
    return Kinds.of(pods)


def _units(view: ClusterView) -> Vector:
    """Memory counts in bytes outside the engine."""
    return np.array([1, MIB, *[1] * (len(view.axes) - 2)], np.int64)


NODE_AUTOSCALERS.register("cluster_autoscaler", ClusterAutoscaler)
