"""Expanders: which scale-up option Cluster Autoscaler takes; each narrows the options and hands the rest to the next.

Source: kubernetes/autoscaler cluster-autoscaler/expander at 1.36 (factory, waste, priority, price, mostpods, leastnodes,
random).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import UnknownName

Priorities = Mapping[int, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Option:
    """Nodes of one group that would help pending pods.

    `cpu_m`, `memory_bytes` are what the helped pods request in all; `node_cpu_m`, `node_memory_bytes` one node's
    allocatable; `price_usd_per_h` one node's price, None when unknown.
    """

    group: str
    nodes: int
    pods: int
    cpu_m: int
    memory_bytes: int
    node_cpu_m: int
    node_memory_bytes: int
    price_usd_per_h: float | None = None

    @property
    def waste(self) -> tuple[float, float, float]:
        """Shares of CPU, of memory and of both (their mean) that stay unrequested on the new nodes."""
        cpu = 1.0 - self.cpu_m / (self.node_cpu_m * self.nodes) if self.node_cpu_m else 0.0
        memory = 1.0 - self.memory_bytes / (self.node_memory_bytes * self.nodes) if self.node_memory_bytes else 0.0
        return cpu, memory, (cpu + memory) / 2.0


Narrow = Callable[[Sequence[Option], Priorities | None], Sequence[Option]]


def choose(options: Sequence[Option], expanders: Sequence[str], priorities: Priorities | None, chance: np.random.Generator) -> Option:
    """The option that the chain of expanders takes; what is still tied at the end is drawn at random.

    >>> small = Option("small", 4, 8, 8000, 8, 3000, 4)
    >>> choose([small, Option("large", 1, 8, 8000, 8, 9000, 16)], ["least-waste"], None, np.random.default_rng(0)).group
    'large'
    """
    left = list(options)
    for name in expanders:
        if name not in EXPANDERS:
            raise UnknownName("expander", name, list(EXPANDERS))
        left = list(EXPANDERS[name](left, priorities))
        if len(left) == 1:
            return left[0]
    return left[int(chance.integers(len(left)))]


def chain_problem(names: Sequence[str]) -> str | None:
    """Why the real program would not start with this chain of known expanders, None when it would.

    >>> chain_problem(["random", "least-waste"])
    'nothing may follow random, which leaves one option only'
    """
    twice = [name for at, name in enumerate(names) if name in names[:at]]
    if twice:
        return f"{twice[0]} stands twice"
    return "nothing may follow random, which leaves one option only" if "random" in names[:-1] else None


def least_waste(options: Sequence[Option], _: Priorities | None) -> Sequence[Option]:
    """Least mean share of CPU and memory left unrequested."""
    return _lowest(options, lambda option: option.waste[2])


def priority(options: Sequence[Option], priorities: Priorities | None) -> Sequence[Option]:
    """Groups that match a pattern of the highest key; all go on when there are no priorities or none matches.

    Patterns are matched anywhere in the group's name. A group that matches nothing is skipped when another matches.
    Keys below -1 never win.

    >>> a, b = (Option(name, 1, 1, 1, 1, 1, 1) for name in ("prod-bm", "aws-x"))
    >>> [option.group for option in priority([a, b], {10: ["aws-.*"], 50: ["^prod"]})]
    ['prod-bm']
    """
    if not priorities:
        return options
    keys = {option.group: _key(option.group, priorities) for option in options}
    matched = [key for key in keys.values() if key is not None and key >= -1]
    return [option for option in options if keys[option.group] == max(matched)] if matched else options


def price(options: Sequence[Option], _: Priorities | None) -> Sequence[Option]:
    """Least price per requested share of a node; all go on when any price is unknown."""
    if any(option.price_usd_per_h is None for option in options):
        return options
    return _lowest(options, lambda option: (option.price_usd_per_h or 0.0) * option.nodes / max(option.cpu_m, 1))


def most_pods(options: Sequence[Option], _: Priorities | None) -> Sequence[Option]:
    """Most pods helped."""
    return _lowest(options, lambda option: -option.pods)


def least_nodes(options: Sequence[Option], _: Priorities | None) -> Sequence[Option]:
    """Fewest new nodes."""
    return _lowest(options, lambda option: option.nodes)


def random(options: Sequence[Option], _: Priorities | None) -> Sequence[Option]:
    """Every option; the draw comes at the end of the chain."""
    return options


EXPANDERS: Mapping[str, Narrow] = {
    "least-nodes": least_nodes,
    "least-waste": least_waste,
    "most-pods": most_pods,
    "price": price,
    "priority": priority,
    "random": random,
}


def _lowest(options: Sequence[Option], measure: Callable[[Option], float]) -> Sequence[Option]:
    best = min(measure(option) for option in options)
    return [option for option in options if measure(option) == best]


def _key(group: str, priorities: Priorities) -> int | None:
    keys = [key for key, patterns in priorities.items() if any(re.search(pattern, group) for pattern in patterns)]
    return max(keys, default=None)
