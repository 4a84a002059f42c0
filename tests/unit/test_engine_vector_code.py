"""The scan compiles to vector code, and the compiled cache follows its sources."""

from __future__ import annotations

import platform
import re

import numpy as np
import pytest
from numba import njit, types

from simulator.engine import jit_kernels, placement_kernels
from simulator.engine.placement_kernels import LANES, scan, span_of
from simulator.engine.table_kernels import RUN


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="vector registers are named for x86-64")
def test_the_scan_divides_whole_vectors_of_nodes() -> None:
    """A lost vectorisation (a signed index, a branch, a 64-bit step) makes the scan several times slower and shows here."""
    fresh = njit(error_model="numpy", fastmath=placement_kernels._SAFE, _nrt=False)(scan.py_func)
    fresh.compile((types.uint64, types.int32, RUN))
    assembly = fresh.inspect_asm(fresh.signatures[0])
    assert re.search(r"vdivpd\s+.*[yz]mm", assembly)


def test_a_scan_takes_whole_vectors_that_hold_the_pool_wherever_the_cluster_has_room_for_them() -> None:
    for nodes in (7, 16, 40, 53):
        for first in range(nodes):
            for end in range(first, nodes + 1):
                start, stop = (int(x) for x in span_of(np.uint64(first), np.uint64(end), np.uint64(nodes)))
                whole = -(-(end - first) // LANES) * LANES
                fits = first + whole <= nodes or whole <= end
                assert 0 <= start <= first <= end <= stop <= nodes
                assert stop - start == (whole if fits else end - first)


def test_the_cache_stamp_covers_every_kernel_file() -> None:
    file = getattr(scan._cache, "_cache_file")  # noqa: B009 - numba's own, private name
    assert file._source_stamp[1] == jit_kernels._STAMP
    assert re.fullmatch(r"[0-9a-f]{64}", jit_kernels._STAMP)
