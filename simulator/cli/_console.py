"""Where commands print their tables."""

from __future__ import annotations

from rich.console import Console

_WIDE = 10_000


def console() -> Console:
    """Standard output; into a file or a pipe no cell is cut or folded, whatever the width."""
    out = Console()
    return out if out.is_terminal else Console(width=_WIDE)
