"""Burstline: where the line runs between what you build and what you burst."""

from __future__ import annotations

__version__ = "0.1.0"

import models

if getattr(models, "DISTRIBUTION", None) != "burstline":
    raise ImportError(
        f"`models` resolves to {getattr(models, '__file__', 'a namespace package')}, not to Burstline's own package: "
        "another `models` shadows it; run the `burstline` console script, in an environment of its own"
    )
