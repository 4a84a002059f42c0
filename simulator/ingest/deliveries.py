"""Which files make up a bill: manifests honoured, the newest assembly only, parts of one folder together.

AWS lays a report out in one of these ways; each is found by the content of its manifest:

    keep versions   period/<assembly id>/name-N.csv.gz, a manifest beside it, an overwritten manifest in the period folder
    overwrite       period/name-N.csv.gz with one manifest
    Data Exports    name/data/BILLING_PERIOD=YYYY-MM/..., name/metadata/BILLING_PERIOD=YYYY-MM/name-Manifest.json

Without a manifest the tables of one folder that share a format are the parts of one delivery.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import BillingFormatError, Problem
from simulator.ingest.text_header import NoBill, container, read_header


@dataclass(frozen=True)
class Delivery:
    """The files of one bill delivery. `expected_period` ("2025-01") as its manifest says, or ''.

    loose: found in a folder without a manifest, so it may be some other table that has nothing to do with bills.
    """

    place: str
    files: tuple[Path, ...]
    expected_period: str = ""
    loose: bool = False


@dataclass(frozen=True)
class Found:
    """What paths hold: deliveries to import, problems of broken ones, and files left aside with the reason."""

    deliveries: tuple[Delivery, ...]
    problems: tuple[tuple[str, Problem], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Manifest:
    path: Path
    period: str
    keys: tuple[str, ...]
    assembly: str

    @property
    def is_top(self) -> bool:
        """The overwritten manifest of the period folder, not the copy inside an assembly."""
        return not self.assembly or self.path.parent.name != self.assembly

    @property
    def home(self) -> Path:
        """The folder of the period, which holds every version."""
        return self.path.parent if self.is_top else self.path.parent.parent


def find_deliveries(paths: Sequence[Path]) -> Found:
    """Every delivery under `paths`, in path order. A file named by itself is a delivery of its own."""
    deliveries: list[Delivery] = []
    problems: list[tuple[str, Problem]] = []
    ignored: list[tuple[str, str]] = []
    for path in paths:
        if path.is_dir():
            found = _in_folder(path)
            deliveries += found.deliveries
            problems += found.problems
            ignored += found.ignored
        elif path.is_file():
            deliveries.append(Delivery(str(path), (path,)))
        else:
            problems.append((str(path), Problem(str(path), "no such file or folder", "check the path")))
    return Found(tuple(deliveries), tuple(problems), tuple(ignored))


def _in_folder(root: Path) -> Found:
    files = sorted(file for file in root.rglob("*") if file.is_file() and not _hidden(file, root))
    manifests = [manifest for file in files if (manifest := _read_manifest(file)) is not None]
    deliveries: list[Delivery] = []
    problems: list[tuple[str, Problem]] = []
    ignored: list[tuple[str, str]] = []
    domains: list[Path] = []
    used: set[Path] = set()
    for manifest in _newest(manifests):
        parts, missing = _resolve(manifest, root)
        used.update(parts)
        domains += [manifest.home, _data_folder(manifest.home)]
        place = str(manifest.path)
        for key in missing:
            problems.append(
                (place, Problem(place, f"a part that is not there: {Path(key).name}", "wait for the delivery, or fetch it whole"))
            )
        if not parts and not missing:
            problems.append((place, Problem(place, "a manifest that names no parts", "fetch the delivery again")))
        elif not missing:
            deliveries.append(Delivery(place, tuple(parts), manifest.period))
    superseded = {file for file in files if any(domain in file.parents for domain in domains)} - used
    taken = {manifest.path for manifest in manifests}
    for file in sorted(superseded - taken):
        ignored.append((str(file), "not in the newest manifest: an earlier assembly or a left-over part"))
    loose, aside = _loose([file for file in files if file not in used and file not in superseded and file not in taken])
    ignored += aside
    if not deliveries and not loose and not problems:
        problems.append((str(root), Problem(str(root), "a folder without a bill", "give the folder that holds the report's files")))
    return Found((*deliveries, *loose), tuple(problems), tuple(ignored))


def _loose(files: Iterable[Path]) -> tuple[list[Delivery], list[tuple[str, str]]]:
    groups: dict[tuple[Path, str], list[Path]] = {}
    ignored: list[tuple[str, str]] = []
    for file in files:
        kind = _kind(file)
        if kind.startswith("ignored:"):
            ignored.append((str(file), kind.removeprefix("ignored:")))
        else:
            groups.setdefault((file.parent, kind), []).append(file)
    deliveries = []
    for (folder, _), parts in sorted(groups.items(), key=lambda item: (str(item[0][0]), item[1][0])):
        place = str(parts[0]) if len(parts) == 1 else str(folder)
        deliveries.append(Delivery(place, tuple(parts), loose=True))
    return deliveries, ignored


def _kind(file: Path) -> str:
    """A key that parts of one table share; files that cannot be bills are told apart by their content."""
    what = container(file)
    if what in ("parquet", "zip"):
        return what
    if what == "text" and file.suffix.lower() in (".md", ".yml", ".yaml", ".json", ".sql", ".txt", ".html", ".toml", ".py"):
        return "ignored:no table"
    try:
        names = read_header(file).names
    except NoBill:
        return f"no header:{file.name}"
    except BillingFormatError:
        return "damaged"
    if any("lineitem" in re.sub("[^a-z]", "", name.lower()) for name in names):
        return "table:aws"
    return "table:" + ",".join(sorted(name for name in names if not name.lower().startswith("x_")))  # own columns of FOCUS come and go


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith((".", "_")) for part in file.relative_to(root).parts)


def _read_manifest(file: Path) -> _Manifest | None:
    if file.suffix.lower() != ".json" or file.stat().st_size > 64 * 1024 * 1024:
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    keys = document.get("reportKeys", document.get("dataFiles"))
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return None
    return _Manifest(file, _period_of(document, file), tuple(keys), str(document.get("assemblyId") or document.get("executionId") or ""))


def _period_of(document: dict[str, Any], file: Path) -> str:
    period = document.get("billingPeriod")
    start = str(period.get("start", "")) if isinstance(period, dict) else str(period or "")
    digits = re.sub(r"\D", "", start)
    if len(digits) >= 6:
        return f"{digits[:4]}-{digits[4:6]}"
    partition = re.search(r"billing_period=(\d{4}-\d{2})", str(file), re.IGNORECASE)
    return partition[1] if partition else ""


def _newest(manifests: Sequence[_Manifest]) -> list[_Manifest]:
    """One manifest per report and period: the top-level one, else the last by the name of its version folder."""
    chosen: dict[tuple[str, str], _Manifest] = {}
    for manifest in manifests:
        key = (str(manifest.home), manifest.period)
        held = chosen.get(key)
        if held is None or (manifest.is_top, manifest.path.parent.name) > (held.is_top, held.path.parent.name):
            chosen[key] = manifest
    return [chosen[key] for key in sorted(chosen)]


def _data_folder(folder: Path) -> Path:
    """The data folder that the manifests of a Data Exports `metadata` folder speak for; other layouts' own folder."""
    parts = list(folder.parts)
    if "metadata" not in parts:
        return folder
    last = len(parts) - 1 - parts[::-1].index("metadata")
    return Path(*parts[:last], "data", *parts[last + 1 :])


def _resolve(manifest: _Manifest, root: Path) -> tuple[list[Path], list[str]]:
    """Files of the manifest's keys: the longest tail of each key that exists below the root or beside the manifest."""
    found, missing = [], []
    for key in manifest.keys:
        tail = Path(re.sub(r"^s3://[^/]+/", "", key)).parts
        candidates = [base.joinpath(*tail[start:]) for start in range(len(tail)) for base in _bases(manifest, root)]
        file = next((candidate for candidate in candidates if candidate.is_file()), None)
        if file is None:
            missing.append(key)
        else:
            found.append(file)
    return sorted(set(found)), missing


def _bases(manifest: _Manifest, root: Path) -> list[Path]:
    folder = manifest.path.parent
    return [root, *([folder / manifest.assembly] if manifest.assembly else []), folder, _data_folder(folder)]
