"""Reason: one sentence behind an answer, as a key and the values it names; words are put to it at the rim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Reason:
    """`key` names the sentence, `values` its numbers: money in USD, shares in 0..1, times in seconds."""

    key: str
    values: Mapping[str, Value] = field(default_factory=dict)
