"""`compiled`: numba's njit with a disk cache that notices an edit in any kernel file of the engine.

numba stamps a cached function with its own file only, so a caller in one file would go on running the old body of a
function in another. Here the stamp covers the bytes of every kernel file, in a checkout and in a wheel alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import int64, njit
from numba.core.ccallback import CFunc


def _digest() -> str:
    """SHA-256 over the kernel files of the engine, in path order."""
    folder = Path(__file__).resolve().parent
    files = sorted(folder.rglob("*kernels.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


_STAMP = _digest()


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: `njit(cache=True, **options)` whose cache is stamped with all kernel sources."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(cache=True, **options)(function)
        _stamp(dispatcher)
        return dispatcher

    return decorate


def _stamp(function: Any) -> None:
    """Let the disk cache of a compiled function depend on every kernel file."""
    file = getattr(getattr(function, "_cache", None), "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, _STAMP)


_kept: list[CFunc] = []


def called_by_pointer(function: Callable[..., Any]) -> int:
    """Compile `function(int64, int64, int64) -> int64` now, or take it from the cache; its address, valid for good."""
    signature = ((int64, int64, int64), int64)
    callback = CFunc(function, signature, locals={}, options={"nopython": True, "error_model": "numpy"})
    callback.enable_caching()
    _stamp(callback)
    callback.compile()
    _kept.append(callback)
    address = callback.address
    assert address is not None
    return address
