"""Which kubeconfig and which context: chosen by name, never guessed."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from models.errors import InputError, Problem


def kubeconfigs(given: Path | None) -> list[Path]:
    """The file that was named, those of $KUBECONFIG, or the usual one."""
    if given is not None:
        return [given]
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return [Path(part).expanduser() for part in listed or ["~/.kube/config"]]


def choose_context(paths: list[Path], context: str | None) -> str:
    """The context that was named, or the only one; with several the choice is a person's, never the file's current one."""
    place = os.pathsep.join(map(str, paths))
    present = [path for path in paths if path.exists()]
    if not present:
        raise InputError(Problem(place, "no kubeconfig", "set KUBECONFIG, or write one with your cluster's tool"))
    names = list(dict.fromkeys(name for path in present for name in _contexts(path)))
    if context is not None:
        if context not in names:
            raise InputError(
                Problem(f"{place}: --context", repr(context), f"one of {', '.join(names) or 'none: the file has no contexts'}")
            )
        return context
    if len(names) != 1:
        mend = f"choose one with --context: {', '.join(names)}" if names else "add a context"
        raise InputError(Problem(place, f"{len(names)} contexts", mend))
    return names[0]


def _contexts(path: Path) -> list[str]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return [str(entry["name"]) for entry in document.get("contexts") or []]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise InputError(
            Problem(str(path), f"a damaged kubeconfig ({type(error).__name__})", "write it again with your cluster's tool")
        ) from None
