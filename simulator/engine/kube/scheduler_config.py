"""A KubeSchedulerConfiguration -> `Settings`: the parts of a profile that change filters and scores here.

Format: kubescheduler.config.k8s.io/v1 (kubernetes/kubernetes pkg/scheduler/apis/config). What a profile sets and this
scheduler does not look at is named in the warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem
from simulator.engine.kube.kube_fields import Fields
from simulator.engine.kube.plugins import ORDER, PLUGINS, Settings
from simulator.yaml_text import parse_yaml

STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
POINTS = ("multiPoint", "filter", "score")
KNOWN = ("apiVersion", "kind", "profiles", "percentageOfNodesToScore")
PROFILE_KEYS = ("schedulerName", "plugins", "pluginConfig")
WITHOUT_EFFECT = ("clientConnection", "leaderElection", "parallelism", "podInitialBackoffSeconds", "podMaxBackoffSeconds")
"""Fields that change no decision about one pod."""


@dataclass(frozen=True)
class Profile:
    """Settings of the first profile; `percentage` is None when the file leaves percentageOfNodesToScore alone."""

    settings: Settings
    percentage: int | None
    warnings: tuple[str, ...]


def read_profile(path: Path, base: Settings | None = None) -> Profile:
    """Read the first profile of a configuration file; InputError lists every problem."""
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"an unreadable file ({reason})", "give a KubeSchedulerConfiguration")) from error
    return parse_profile(raw, str(path), base)


def parse_profile(raw: Any, place: str, base: Settings | None = None) -> Profile:
    """The same on a parsed document."""
    problems: list[Problem] = []
    document = Fields(raw, place, problems)
    if document.text("kind") != "KubeSchedulerConfiguration":
        document.refuse("kind", document.raw.get("kind"), "give a KubeSchedulerConfiguration")
    warnings = [f"{place}: {key} is not modelled" for key in document.raw if key not in (*KNOWN, *WITHOUT_EFFECT)]
    profiles = list(document.each("profiles"))
    warnings += [f"{place}: only the first of {len(profiles)} profiles is used"] if len(profiles) > 1 else []
    settings = base or Settings()
    for profile in profiles[:1]:
        warnings += [f"{profile.place}.{key} is not modelled" for key in profile.raw if key not in PROFILE_KEYS]
        settings = _plugins(profile, settings, warnings)
        for entry in profile.each("pluginConfig"):
            settings = _configured(entry.text("name"), entry.sub("args"), settings, warnings)
    percentage = document.integer("percentageOfNodesToScore", 0, 0, 100)
    if problems:
        raise InputError(problems)
    return Profile(settings, percentage if "percentageOfNodesToScore" in document else None, tuple(warnings))


def _plugins(profile: Fields, settings: Settings, warnings: list[str]) -> Settings:
    """Which plug-ins filter and with which weight they score; what is disabled at `multiPoint` does neither."""
    plugins, weights, filters = profile.sub("plugins"), dict(settings.weights), set(settings.filters)
    for point in POINTS:
        part = plugins.sub(point)
        disabled = [entry.text("name") for entry in part.each("disabled")]
        enabled = {entry.text("name"): entry.integer("weight", 0, 0) for entry in part.each("enabled")}
        off = {*ORDER} if "*" in disabled else {*disabled}
        if point != "filter":
            weights |= dict.fromkeys(off, 0) | {name: weight or _default_weight(name) for name, weight in enabled.items()}
        if point != "score":
            filters = filters - off | {*enabled}
        warnings += [f"{profile.place}: plug-in {name} is not modelled" for name in enabled if name not in ORDER]
    warnings += [f"{profile.place}.plugins.{point} is not modelled" for point in plugins.raw if point not in POINTS]
    return replace(
        settings,
        weights={name: weight for name, weight in weights.items() if name in ORDER},
        filters=tuple(name for name in ORDER if name in filters),
    )


def _default_weight(name: str) -> int:
    return PLUGINS[name].weight if name in ORDER else 1


def _configured(name: str, arguments: Fields, settings: Settings, warnings: list[str]) -> Settings:
    match name:
        case "NodeResourcesFit":
            return _fit(arguments, settings, warnings)
        case "NodeResourcesBalancedAllocation" if "resources" in arguments:
            return replace(settings, balance_resources=tuple(part.text("name") for part in arguments.each("resources")))
        case "InterPodAffinity" if "hardPodAffinityWeight" in arguments:
            return replace(settings, hard_pod_affinity_weight=arguments.integer("hardPodAffinityWeight", 1, 0, 100))
    if set(arguments.raw) - {"apiVersion", "kind"}:
        warnings.append(f"{arguments.place}: arguments of {name} are not modelled")
    return settings


def _fit(arguments: Fields, settings: Settings, warnings: list[str]) -> Settings:
    for key in ("ignoredResources", "ignoredResourceGroups"):
        if arguments.list(key):
            warnings.append(f"{arguments.place}.{key} is not modelled")
    strategy = arguments.sub("scoringStrategy")
    resources = {part.text("name"): part.integer("weight", 1, 1, 100) for part in strategy.each("resources")}
    shape = strategy.sub("requestedToCapacityRatio")
    points = tuple((part.integer("utilization", 0, 0, 100), part.integer("score", 0, 0, 10)) for part in shape.each("shape"))
    if [at for at, _ in points] != sorted({at for at, _ in points}):
        shape.refuse("shape", [at for at, _ in points], "give points of rising utilization")
    return replace(
        settings,
        fit_strategy=strategy.text("type", settings.fit_strategy, STRATEGIES),
        fit_resources=resources or settings.fit_resources,
        fit_shape=points or settings.fit_shape,
    )
