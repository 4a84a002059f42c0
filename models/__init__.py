"""The domain: frozen values and pure arithmetic; standard library, numpy and pydantic only."""

from __future__ import annotations

DISTRIBUTION = "burstline"
