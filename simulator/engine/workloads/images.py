"""Image pulls: pods on a node without their image wait for it, over a link that all nodes share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from models.scenario_workloads import ImagePart, RegistryPart
from models.units import MS_PER_S
from simulator.engine.environment import HybridEnvironment
from simulator.engine.workloads.link import FairLink

MIB_PER_S_PER_GBIT = 1e9 / 8 / 2**20
"""1 Gb/s is 119.2 MiB/s."""

Done = Callable[[], None]


@dataclass(eq=False)
class _Pull:
    """One image on its way to one node, and who waits for it."""

    name: str
    image: ImagePart
    waiters: list[Done] = field(default_factory=list)
    number: int = -1
    size: float = 0.0


@dataclass
class _Node:
    """What a node has, what it fetches now and what it will fetch next."""

    layers: set[str] = field(default_factory=set)
    pulls: dict[str, _Pull] = field(default_factory=dict)
    queue: deque[_Pull] = field(default_factory=deque)
    active: int = 0


class Images:
    """Every node's images. A slot whose node went away starts empty: `forget`."""

    def __init__(self, env: HybridEnvironment, registry: RegistryPart, extract_mib_per_s: float) -> None:
        self._env, self._serial, self._extract = env, registry.serial, extract_mib_per_s
        each = registry.node_gbit_per_s
        self._link = FairLink(registry.gbit_per_s * MIB_PER_S_PER_GBIT, None if each is None else each * MIB_PER_S_PER_GBIT)
        self._nodes: dict[int, _Node] = {}
        self._running: dict[int, tuple[int, _Pull]] = {}
        self._numbers = 0
        self._alarm = 0
        self.pulled_mib = 0.0
        self.most_at_once = 0

    def forget(self, slot: int) -> None:
        """The node at `slot` is gone, with its images; what it was pulling is given up."""
        self.interrupt(slot)
        self._nodes.pop(slot, None)

    def interrupt(self, slot: int) -> None:
        """The node at `slot` is down: what it was pulling is given up, what it has stays on its disk."""
        self._settle()
        node = self._nodes.get(slot)
        if node is None:
            return
        self._nodes[slot] = _Node(layers=node.layers)
        for number in [number for number, (where, _) in self._running.items() if where == slot]:
            del self._running[number]
            self._link.cancel(number, self._now)
        self._set_alarm()

    def fetch(self, slot: int, name: str, image: ImagePart | None, done: Done) -> None:
        """Call `done` once the node at `slot` has the image: at once when it is there, or when there is nothing to pull."""
        node = self._nodes.setdefault(slot, _Node())
        if image is None or name in node.layers or not self._missing(node, name, image):
            node.layers.add(name)
            done()
            return
        pull = node.pulls.get(name)
        if pull is None:
            pull = node.pulls[name] = _Pull(name, image)
            node.queue.append(pull)
        pull.waiters.append(done)
        self._settle()
        self._begin(slot, node)
        self._set_alarm()

    @property
    def _now(self) -> float:
        return self._env.ms / MS_PER_S

    def _missing(self, node: _Node, name: str, image: ImagePart) -> float:
        """MiB that the node lacks: own layers, and the base unless it is there."""
        base = image.base_mib if image.base and f"base/{image.base}" not in node.layers else 0.0
        return (0.0 if name in node.layers else image.mib) + base

    def _begin(self, slot: int, node: _Node) -> None:
        """Start what may start: one at a time with serial pulls; a base that is on its way is waited for."""
        while node.queue and not (self._serial and node.active):
            pull = node.queue[0]
            bases = {other.image.base for other in node.pulls.values() if other.number >= 0}
            if pull.image.base and pull.image.base in bases and f"base/{pull.image.base}" not in node.layers:
                return
            node.queue.popleft()
            self._numbers += 1
            pull.number, pull.size = self._numbers, self._missing(node, pull.name, pull.image)
            node.active += 1
            self.pulled_mib += pull.size
            self._running[pull.number] = (slot, pull)
            self._link.start(pull.number, pull.size, self._now)
            self.most_at_once = max(self.most_at_once, len(self._running))

    def _settle(self) -> None:
        """Transfers that are over by now leave the link; their images are unpacked."""
        for number in self._link.finished(self._now):
            slot, pull = self._running.pop(number)
            self._later(ceil(pull.size / self._extract * MS_PER_S), slot, pull)

    def _later(self, delay_ms: int, slot: int, pull: _Pull) -> None:
        """The image is there after unpacking, unless the node has gone meanwhile; then the node's next pull begins."""
        node = self._nodes[slot]

        def unpacked(_: object) -> None:
            """The layers are the node's, and its next pull begins."""
            if self._nodes.get(slot) is not node:
                return
            node.layers |= {pull.name, f"base/{pull.image.base}"}
            del node.pulls[pull.name]
            node.active -= 1
            self._settle()
            self._begin(slot, node)
            self._set_alarm()
            for done in pull.waiters:
                done()

        event = self._env.timeout(delay_ms)
        assert event.callbacks is not None
        event.callbacks.append(unpacked)

    def _set_alarm(self) -> None:
        """Wake when the next transfer ends; an earlier alarm is void."""
        self._alarm += 1
        end, mine = self._link.next_end(), self._alarm
        if end is None:
            return

        def ring(_: object) -> None:
            if mine == self._alarm:
                self._settle()
                self._set_alarm()

        event = self._env.timeout(max(0, ceil(round(end * MS_PER_S, 6)) - self._env.ms))
        assert event.callbacks is not None
        event.callbacks.append(ring)
