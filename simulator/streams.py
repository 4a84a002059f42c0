"""Named random streams: one seed, one replication, one generator per name, each independent of the others."""

from __future__ import annotations

from zlib import crc32

import numpy as np


class Streams:
    """`streams("node-failures")` gives the same generator state for the same (seed, replication, name), always."""

    def __init__(self, seed: int, replication: int = 0) -> None:
        self.seed = seed
        self.replication = replication

    def __call__(self, name: str) -> np.random.Generator:
        """A fresh generator for `name`; a new name leaves all others as they were."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.replication, crc32(name.encode())))
        return np.random.Generator(np.random.PCG64(sequence))
