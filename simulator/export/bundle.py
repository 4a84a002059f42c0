"""ExportBundle: every document of an export, checked and rendered; and writing it to a folder.

Layout: `base/` and `overlays/<zone>/` hold Kubernetes objects and a kustomization each; `helm/`, `calls/`, `access/` and
`records/` hold what is not applied; `export.json` says what the folder is. Same plan, same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem
from models.plan import BuildPlan
from simulator.export import MODES, TARGETS, access
from simulator.export.checks import check_manifests, check_plan
from simulator.export.manifest import Manifest, render
from simulator.export.warnings import warnings as warnings_of
from simulator.record import to_json, write_text

INDEX = "export.json"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One rendered file; `sha256` is of its UTF-8 bytes, in hex."""

    path: str
    kind: str
    target: str
    text: str

    @property
    def sha256(self) -> str:
        """Hex digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ExportBundle:
    """A checked export: its manifests, its files in path order and what to know before applying them."""

    plan: BuildPlan
    manifests: tuple[Manifest, ...]
    files: tuple[ExportFile, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The keys of `burstline export --json`."""
        files = [{"path": f.path, "kind": f.kind, "target": f.target, "sha256": f.sha256} for f in self.files]
        return {"burst_mode": self.plan.burst_mode, "digest": self.plan.digest, "files": files, "warnings": list(self.warnings)}


def default_targets(mode: str) -> tuple[str, ...]:
    """Targets that are emitted in a burst mode when none are named."""
    return tuple(name for name, target in TARGETS.items() if target.by_default and mode in target.modes)


def resolve(plan: BuildPlan, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Burst mode and target names of a request; dashes count as underscores. A mix of the two modes is refused."""
    if not names:
        return plan.burst_mode, default_targets(plan.burst_mode)
    wanted = tuple(dict.fromkeys(name.replace("-", "_") for name in names))
    possible = [mode for mode in MODES if all(mode in TARGETS[name].modes for name in wanted)]
    if not possible:
        parts = {mode: [n for n in wanted if TARGETS[n].modes == (mode,)] for mode in MODES}
        found = " beside ".join(f"{', '.join(names)} (burst mode {mode})" for mode, names in parts.items() if names)
        mend = "choose the targets of one mode: two autoscalers that see the same pods both buy nodes"
        raise InputError(Problem("--target", found, mend))
    mode = plan.burst_mode if plan.burst_mode in possible else possible[0]
    return mode, wanted


def export_bundle(plan: BuildPlan, targets: Sequence[str] = ()) -> ExportBundle:
    """Emit, check and render. Raises InputError with every problem when the result could not be applied."""
    mode, names = resolve(plan, targets)
    chosen = plan.model_copy(update={"burst_mode": mode})
    problems = check_plan(chosen)
    if problems:
        raise InputError(problems)
    emitted = [manifest for name in names for manifest in TARGETS[name].emit(_share(chosen, name, names))]
    emitted += access.emit(chosen, [m for m in emitted if m.is_object])
    problems = check_manifests([m.document for m in emitted if m.is_object], chosen)
    if problems:
        raise InputError(problems)
    manifests = tuple(sorted(emitted + _kustomizations(chosen, emitted), key=lambda m: m.path))
    rendered = [ExportFile(m.path, m.kind, m.target, render(m, chosen.scenario, chosen.digest)) for m in manifests]
    files = tuple(sorted([*rendered, _index(chosen, rendered)], key=lambda f: f.path))
    return ExportBundle(chosen, manifests, files, warnings_of(chosen, plan.burst_mode))


def _share(plan: BuildPlan, name: str, names: Sequence[str]) -> BuildPlan:
    """The plan as a target sees it: Cluster API leaves out the kinds that another target of this export makes."""
    taken = {kind for other in names for kind in TARGETS[other].instead_of_cluster_api}
    if name != "cluster_api" or not taken:
        return plan
    return plan.model_copy(update={"pools": tuple(pool for pool in plan.pools if pool.kind not in taken)})


def write_bundle(bundle: ExportBundle, folder: Path) -> None:
    """Write every file; files of an earlier export that are no longer part of it are removed, foreign files are kept."""
    earlier = _earlier_files(folder)
    for file in bundle.files:
        write_text(folder / file.path, file.text)
    for path in sorted(earlier - {file.path for file in bundle.files}):
        (folder / path).unlink(missing_ok=True)


def _earlier_files(folder: Path) -> set[str]:
    import json

    index = folder / INDEX
    if not index.exists():
        return set()
    try:
        listed = [str(entry["path"]) for entry in json.loads(index.read_text(encoding="utf-8"))["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(Problem(str(index), f"a damaged index ({error})", "export to an empty folder")) from None
    return {path for path in listed if not Path(path).is_absolute() and ".." not in Path(path).parts}


def _kustomizations(plan: BuildPlan, manifests: Iterable[Manifest]) -> list[Manifest]:
    folders: dict[str, list[str]] = {}
    for manifest in manifests:
        if manifest.is_object:
            folder, _, name = manifest.path.rpartition("/")
            folders.setdefault(folder, []).append(name)
    annotations = {f"{plan.label_prefix}/scenario": plan.scenario, f"{plan.label_prefix}/plan": plan.digest}
    return [
        Manifest(
            "kustomize",
            f"{folder}/kustomization.yaml",
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": sorted(names),
                "commonAnnotations": annotations,
            },
        )
        for folder, names in sorted(folders.items())
    ]


def _index(plan: BuildPlan, files: Sequence[ExportFile]) -> ExportFile:
    document = {
        "scenario": plan.scenario,
        "plan": plan.digest,
        "burst_mode": plan.burst_mode,
        "cluster": plan.cluster,
        "namespace": plan.namespace,
        "label_prefix": plan.label_prefix,
        "private_nodes": {pool.name: pool.nodes for pool in plan.pools if pool.private},
        "files": [{"path": f.path, "kind": f.kind, "target": f.target, "sha256": f.sha256} for f in files],
    }
    return ExportFile(INDEX, "Index", "index", to_json(document) + "\n")
