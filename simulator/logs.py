"""Logging set-up, called by the two shells only."""

from __future__ import annotations

import logging
import sys


def set_up(verbose: int = 0) -> None:
    """Log to stderr: warnings by default, info with one -v, debug with two."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s: %(message)s", force=True)
