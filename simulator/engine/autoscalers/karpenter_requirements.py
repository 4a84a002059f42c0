"""Sets of label values as Karpenter computes with them: what a pool, a type, an offering or a pod still allows for each label.

A set is either a list of values or the complement of one, with integer bounds if wanted (Gt, Lt). A label without a set
may have any value. Source: kubernetes-sigs/karpenter pkg/scheduling/{requirement,requirements}.go at 1.14.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulator.engine.kube.objects import Requirement

NORMALISED = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
"""Old spellings of labels (v1.NormalizedLabels)."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The values one label may have: `values`, or with `complement` all others; `least` and `most` are inclusive bounds.

    min_values: how many different values the instance types of a claim must offer at least, None without a wish.
    """

    values: frozenset[str] = frozenset()
    complement: bool = False
    least: int | None = None
    most: int | None = None
    min_values: int | None = None

    @classmethod
    def of(cls, requirement: Requirement, min_values: int | None = None) -> Allowed:
        """The set that one expression describes.

        >>> Allowed.of(Requirement("cores", "Gt", ("8",))).has("16"), Allowed.of(Requirement("zone", "NotIn", ("a",))).has("a")
        (True, False)
        """
        values = frozenset(requirement.values)
        match requirement.operator:
            case "In":
                return cls(values, min_values=min_values)
            case "NotIn":
                return cls(values, complement=True, min_values=min_values)
            case "Exists":
                return cls(complement=True, min_values=min_values)
            case "Gt":
                return cls(complement=True, least=int(requirement.values[0]) + 1, min_values=min_values)
            case "Lt":
                return cls(complement=True, most=int(requirement.values[0]) - 1, min_values=min_values)
        return cls(min_values=min_values)

    @property
    def negative(self) -> bool:
        """Whether a node without the label is allowed (NotIn and DoesNotExist)."""
        return bool(self.values) if self.complement else not self.values

    @property
    def listed(self) -> bool:
        """Whether this is a list of at least one value (In)."""
        return not self.complement and bool(self.values)

    @property
    def empty(self) -> bool:
        """Whether no value is left."""
        return not self.complement and not self.values

    def has(self, value: str) -> bool:
        """Whether `value` is allowed."""
        return (value in self.values) != self.complement and self._within(value)

    def meets(self, other: Allowed) -> bool:
        """Whether some value is in both sets."""
        both = self & other
        return both.complement or bool(both.values)

    def __and__(self, other: Allowed) -> Allowed:
        """The values in both sets; the larger of both `min_values`."""
        least, most = _largest(self.least, other.least), _smallest(self.most, other.most)
        wished = _largest(self.min_values, other.min_values)
        if least is not None and most is not None and least > most:
            return Allowed(min_values=wished)
        if self.complement and other.complement:
            bounds = Allowed(frozenset(), True, least, most)
            kept = frozenset(value for value in self.values | other.values if bounds._within(value))
            return Allowed(kept, True, least, most, wished)
        listed = self.values if other.complement else other.values
        kept = frozenset(value for value in listed if self.has(value) and other.has(value))
        return Allowed(kept, min_values=wished)

    def _within(self, value: str) -> bool:
        if self.least is None and self.most is None:
            return True
        try:
            number = int(value)
        except ValueError:
            return False
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)


Requirements = Mapping[str, Allowed]
ANY = Allowed(complement=True)


def requirements_of(expressions: Iterable[Requirement]) -> dict[str, Allowed]:
    """Expressions that must all hold, one set for each label."""
    return merged({}, ((part.key, Allowed.of(part)) for part in expressions))


def label_requirements(labels: Mapping[str, str]) -> dict[str, Allowed]:
    """Exactly these labels."""
    return merged({}, ((key, Allowed(frozenset((value,)))) for key, value in labels.items()))


def merged(base: Requirements, more: Iterable[tuple[str, Allowed]]) -> dict[str, Allowed]:
    """`base` narrowed by `more`."""
    found = dict(base)
    for name, allowed in more:
        key = NORMALISED.get(name, name)
        found[key] = allowed & found[key] if key in found else allowed
    return found


def intersects(have: Requirements, wanted: Requirements) -> bool:
    """Whether every label that both name has a value in common; two sets that allow absence need none."""
    few, many = (have, wanted) if len(have) <= len(wanted) else (wanted, have)
    shared = [(have[key], wanted[key]) for key in few if key in many]
    return all(one.meets(other) or (one.negative and other.negative) for one, other in shared)


def compatible(have: Requirements, wanted: Requirements, known: frozenset[str] = frozenset()) -> bool:
    """Whether a node that allows `have` can meet `wanted`; labels in `known` may be undefined, others must be there."""
    if any(key not in known and key not in have and not allowed.negative for key, allowed in wanted.items()):
        return False
    return intersects(have, wanted)


def _largest(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else max(one, other)


def _smallest(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)
