"""Metric names: which metric feeds which measure under which labels, by preset (`data/catalog/metric_presets.yaml`).

A measure is declared once; the PromQL that asks a server for it and the selection that picks it out of a file of raw
samples both follow from the declaration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.errors import InputError, MetricsError, Problem, UnknownName
from simulator.catalog import data_folder, read_yaml

Subject = Literal["workload", "node", "hpa", "gpu"]
DEFAULT_PRESET = "kube-state-metrics"
LIVE_PHASES = ("Pending", "Running")
SUBJECT_LABELS: Mapping[Subject, tuple[str, ...]] = {
    "workload": ("namespace", "pod"),
    "node": ("node",),
    "hpa": ("namespace", "hpa"),
    "gpu": ("gpu", "gpu_node", "gpu_model", "gpu_instance", "gpu_profile"),
}
MEASURES: Mapping[Subject, tuple[str, ...]] = {
    "workload": (
        "pods", "pods_pending", "cpu_request_m", "memory_request_mib", "gpu_request", "cpu_limit_m", "memory_limit_mib",
        "cpu_usage_m", "memory_usage_mib",
    ),
    "node": (
        "cpu_capacity_m", "memory_capacity_mib", "pods_capacity", "cpu_allocatable_m", "memory_allocatable_mib",
        "pods_allocatable", "cpu_usage_share",
    ),
    "hpa": ("replicas_current", "replicas_desired", "replicas_min", "replicas_max"),
    "gpu": (
        "gpu_utilisation_percent", "power_w", "fan_percent", "temperature_c", "gpu_clock_mhz", "memory_clock_mhz",
        "memory_used_mib", "memory_free_mib", "engine_active_share", "energy_mean_w",
        "power_throttled_share", "thermal_throttled_share",
    ),
}  # fmt: skip
OWNER_LABELS = (("exported_namespace", "exported_pod"), ("namespace", "pod"), ("pod_namespace", "pod_name"))
"""Labels under which dcgm-exporter names the pod of a GPU, the surest first."""
ONCE_LABELS = ("id", "cpu")
"""What sets series of one container apart beside its name: its restarts, and its CPUs where cAdvisor tells them one by one."""
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*')


class Matcher(BaseModel):
    """One label matcher of PromQL, for instance container!="POD"; `=~` and `!~` are anchored as Prometheus does."""

    model_config = ConfigDict(frozen=True)
    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """Read one matcher.

        >>> Matcher.parse('phase=~"Pending|Running"').matches({"phase": "Running"})
        True
        """
        found = _MATCHER.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is not a label matcher (example: cluster="prod")')
        label, operator, value = found.groups()
        value = re.sub(r"\\(.)", r"\1", value)
        if "~" in operator:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{text!r} holds a pattern that does not parse: {error}") from None
        return cls(label=label, operator=operator, value=value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is selected; an absent label counts as empty."""
        value = labels.get(self.label, "")
        match self.operator:
            case "=":
                return value == self.value
            case "!=":
                return value != self.value
            case "=~":
                return re.fullmatch(self.value, value) is not None
        return re.fullmatch(self.value, value) is None

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label}{self.operator}"{escaped}"'


MIG_RESOURCE = "nvidia_com_mig_"
_QUARTERS = ("1g_6gb", "2g_12gb", "4g_24gb")
_SEVENTHS = (1, 2, 3, 4, 7)


def mig_parts() -> tuple[tuple[tuple[Matcher, ...], float], ...]:
    """How MIG resources count as GPUs: matchers of the label `resource` as kube-state-metrics spells it, and the part of a GPU.

    A profile `1g.5gb` is one compute slice of the seven of a GPU; those of the A30, told by their memory, are of four
    (docs.nvidia.com/datacenter/tesla/mig-user-guide, supported profiles). Attributes as in `1g.5gb+me` change nothing.

    >>> [round(part * 28) for _, part in mig_parts()]  # in 28ths of a GPU
    [7, 14, 28, 4, 8, 12, 16, 28]
    """
    of_four = Matcher(label="resource", operator="!~", value=f"{MIG_RESOURCE}({'|'.join(_QUARTERS)})(_.*)?")
    quarters = ((f"{profile}(_.*)?", (), int(profile[0]) / 4) for profile in _QUARTERS)
    sevenths = ((f"{slices}g_.*", (of_four,), slices / 7) for slices in _SEVENTHS)
    return tuple(
        ((Matcher(label="resource", operator="=~", value=f"{MIG_RESOURCE}{pattern}"), *others), part)
        for pattern, others, part in (*quarters, *sevenths)
    )


class Measure(BaseModel):
    """One measure: its metric, the samples that count, and how they become the unit in the measure's name.

    `mig`: resources that are MIG profiles count beside those of `where`, as parts of a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    of: Subject
    metric: str = Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    where: tuple[Annotated[Matcher, BeforeValidator(lambda text: Matcher.parse(text) if isinstance(text, str) else text)], ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"
    scale: float = Field(default=1.0, gt=0)
    live: bool = False
    once: bool = False
    mig: bool = False
    optional: bool = False
    labels: Mapping[str, str] = {}

    @property
    def parts(self) -> tuple[tuple[tuple[Matcher, ...], float], ...]:
        """Matchers of the samples that count, and what one of them is worth."""
        others = tuple(one for one in self.where if one.label != "resource")
        return ((self.where, 1.0), *(((*others, *matchers), part) for matchers, part in (mig_parts() if self.mig else ())))

    @property
    def merge(self) -> str:
        """Pods of a workload add up; of anything else one report is as good as the next."""
        return "sum" if self.of == "workload" else "max"


class Preset(BaseModel):
    """A monitoring set-up: label scheme, owner metrics and measures."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    describes: str
    labels: Mapping[str, str]
    owners: Mapping[Literal["recorded", "pod", "replicaset", "job", "namespace"], str] = {}
    measures: Mapping[str, Measure]

    def spelled(self, measure: Measure, *names: str) -> tuple[str, ...]:
        """How this set-up spells these labels on the metric of `measure`."""
        return tuple(measure.labels.get(name, self.labels[name]) for name in names)

    def subject_labels(self, measure: Measure) -> tuple[str, ...]:
        """Labels, as spelled on its metric, that tell one subject of `measure` from another."""
        return self.spelled(measure, *SUBJECT_LABELS[measure.of])

    def selector(self, measure: Measure, select: Sequence[Matcher] = ()) -> str:
        """The metric of a measure with its matchers."""
        return self._selector(measure.metric, (*measure.where, *select))

    def presence(self, measure: Measure, *, select: Sequence[Matcher] = (), look_back_s: int = 0) -> str:
        """1 for every pod that has the metric of `measure`."""
        pod = ", ".join(self.spelled(measure, "namespace", "pod"))
        return f"max by ({pod}) ({_last(self.selector(measure, select), look_back_s)} ^ 0)"

    def once_labels(self, measure: Measure) -> tuple[str, ...]:
        """Labels by which a container is told from another, and its own series from each other; the rest is who reported it."""
        return (*self.spelled(measure, "container"), *ONCE_LABELS, *(("resource",) if measure.mig else ()))

    def promql(self, measure: Measure, *, window_s: int, select: Sequence[Matcher] = (), phases: bool = True, look_back_s: int = 0) -> str:
        """The query of a measure; counters become a rate over `window_s` seconds. Without `phases` every pod counts as live.

        `look_back_s` reaches further back for a gauge than the server's own five minutes, where samples lie further apart.

        >>> preset = load_preset("kube-state-metrics")
        >>> preset.promql(preset.measures["replicas_max"], window_s=300)
        'max by (namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_spec_max_replicas)'
        """
        inner = " or ".join(
            self._part(measure, (*matchers, *select), part, window_s=window_s, look_back_s=look_back_s) for matchers, part in measure.parts
        )
        by = (*self.subject_labels(measure), *(owner_labels() if measure.of == "gpu" else ()))
        query = f"{measure.merge} by ({', '.join(dict.fromkeys(by))}) ({inner})"
        if not (measure.live and phases):
            return query
        pod = ", ".join(self.spelled(measure, "namespace", "pod"))
        phase = Matcher(label="phase", operator="=~", value="|".join(LIVE_PHASES))
        phases_of = _last(self._selector("kube_pod_status_phase", (phase, *select)), look_back_s)
        return f"{query} * on ({pod}) max by ({pod}) ({phases_of} == 1)"

    def _part(self, measure: Measure, matchers: Sequence[Matcher], part: float, *, window_s: int, look_back_s: int) -> str:
        """Samples of one kind, each reported once, at what they are worth."""
        inner = self._selector(measure.metric, matchers)
        inner = f"rate({inner}[{window_s}s])" if measure.kind == "counter" else _last(inner, look_back_s)
        if measure.once:
            inner = f"max by ({', '.join((*self.spelled(measure, 'namespace', 'pod'), *self.once_labels(measure)))}) ({inner})"
        return inner if part == 1 else f"{inner} * {part!r}"

    @staticmethod
    def _selector(metric: str, matchers: Sequence[Matcher]) -> str:
        return f"{metric}{{{','.join(map(str, matchers))}}}" if matchers else metric


def _last(selector: str, look_back_s: int) -> str:
    """The newest sample within `look_back_s`; 0 leaves it to the server."""
    return f"last_over_time({selector}[{look_back_s}s])" if look_back_s else selector


def other_resources(preset: Preset, metric: str) -> Matcher | None:
    """What selects the resources of a metric that no measure of the preset keeps; None where it has no resources.

    >>> print(other_resources(load_preset("kube-state-metrics"), "kube_pod_container_resource_requests"))
    resource!~"cpu|ephemeral_storage|memory|nvidia_com_gpu|nvidia_com_mig_(1|2|3|4|7)g_.*"
    """
    if "requests" not in metric:
        return None
    kept = {
        one.value for measure in preset.measures.values() if measure.metric == metric for one in measure.where if one.label == "resource"
    }
    if any(measure.mig for measure in preset.measures.values() if measure.metric == metric):
        kept.add(f"{MIG_RESOURCE}({'|'.join(map(str, _SEVENTHS))})g_.*")
    return Matcher(label="resource", operator="!~", value="|".join(sorted({*kept, "ephemeral_storage"}))) if kept else None


def owner_labels() -> tuple[str, ...]:
    """Every label that may name the pod of a GPU."""
    return tuple(label for pair in OWNER_LABELS for label in pair)


def preset_names() -> list[str]:
    """Names of the shipped presets."""
    return sorted(_shipped())


def load_preset(name_or_path: str) -> Preset:
    """A shipped preset by name, or a YAML file that holds one (with `extends` if it likes)."""
    shipped = _shipped()
    if name_or_path in shipped:
        return _build(name_or_path, shipped[name_or_path], shipped, place=f"preset {name_or_path}")
    path = Path(name_or_path)
    if not path.suffix:
        raise UnknownName("preset", name_or_path, list(shipped))
    try:
        document = read_yaml(path)
    except InputError as error:
        raise MetricsError(error.problems) from None
    if not isinstance(document, dict):
        raise MetricsError(Problem(str(path), f"{type(document).__name__} at the top", "give a mapping with measures, labels, owners"))
    return _build(path.stem, document, shipped, place=str(path))


def _shipped() -> dict[str, Any]:
    return dict(read_yaml(data_folder() / "catalog" / "metric_presets.yaml"))


def _build(name: str, own: dict[str, Any], shipped: Mapping[str, Any], *, place: str) -> Preset:
    """Lay `own` over what it extends and validate the whole."""
    layers = [own]
    while base := layers[-1].get("extends"):
        if base not in shipped:
            raise UnknownName(f"{place}: preset", str(base), list(shipped))
        layers.append(shipped[base])
    merged: dict[str, Any] = {"name": name, "describes": own.get("describes", name)}
    wrong = [layer for layer in layers for key in ("labels", "owners", "measures") if not isinstance(layer.get(key, {}), dict)]
    if wrong:
        raise MetricsError(Problem(place, "labels, owners or measures that are no mapping", "write them as name: value"))
    for key in ("labels", "owners", "measures"):
        merged[key] = {name: value for layer in reversed(layers) for name, value in layer.get(key, {}).items()}
    merged.update({key: value for key, value in own.items() if key not in {*merged, "extends"}})
    try:
        preset = Preset.model_validate(merged)
    except ValidationError as error:
        raise MetricsError(
            Problem(f"{place}: {'.'.join(map(str, one['loc']))}", repr(one["input"]), one["msg"]) for one in error.errors()
        ) from None
    _check(preset, place)
    return preset


def _check(preset: Preset, place: str) -> None:
    """Every measure must be one that the store has a column for, under labels that the preset spells out."""
    problems = [
        Problem(f"{place}: measures.{name}", "a measure that burstline does not keep", f"known of {one.of}: {', '.join(MEASURES[one.of])}")
        for name, one in preset.measures.items()
        if name not in MEASURES[one.of]
    ]
    needed = {label for one in preset.measures.values() for label in SUBJECT_LABELS[one.of]} | {"container"}
    problems += [
        Problem(f"{place}: labels", f"no {label}", "say how this set-up spells it")
        for label in sorted(needed)
        if label not in preset.labels
    ]
    if problems:
        raise MetricsError(problems)
