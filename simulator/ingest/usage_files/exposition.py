"""Text that an exporter exposes: Prometheus text format 0.0.4 and OpenMetrics 1.0, plain or gzip, one scrape or many.

Names in quotes (UTF-8, Prometheus 3) and exemplars are read; native histograms are named and left out.

Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from models.errors import MetricsError, Problem
from models.units import MS_PER_S
from simulator.ingest.prometheus_parse import Series
from simulator.ingest.usage_files import USAGE_FILES, FileOptions, RawSamples, text_of

_SAMPLE = re.compile(rb"(?:[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?|\{[ \t]*\".*\})[ \t]+[-+0-9.NaIinfe]+(?:[ \t].*)?\r?")
_COMMENT = re.compile(rb"#[ \t]*(?:HELP|TYPE|UNIT|EOF)\b")


class Exposition:
    """Exposition and OpenMetrics text."""

    describes = "exposition or OpenMetrics text"

    def sniff(self, path: Path, head: bytes) -> bool:
        """The first line that says something is a sample or a HELP, TYPE, UNIT comment."""
        for line in head.splitlines()[:50]:
            if line.strip() and not (line.startswith(b"#") and not _COMMENT.match(line)):
                return bool(_COMMENT.match(line) or _SAMPLE.fullmatch(line))
        return False

    def read(self, path: Path, options: FileOptions) -> RawSamples:
        """Every sample; those without a time stamp apart."""
        text = text_of(path)
        openmetrics = text.rstrip().endswith("# EOF")
        parse: Callable[[str], Iterable[Any]] = parse_openmetrics if openmetrics else parse_text
        try:
            return _collect(path.name, parse(text))
        except (ValueError, IndexError, KeyError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            kind = "OpenMetrics" if openmetrics else "exposition"
            raise MetricsError(
                Problem(str(path), f"{kind} text that does not parse ({error})", "scrape it again; check with promtool")
            ) from None


def _collect(name: str, families: Iterable[Any]) -> RawSamples:
    dated: dict[tuple[tuple[str, str], ...], tuple[list[int], list[float]]] = {}
    undated: list[Series] = []
    histograms = 0
    for family in families:
        for sample in family.samples:
            if sample.value is None:  # a native histogram
                histograms += 1
                continue
            labels = {"__name__": sample.name, **sample.labels}
            if sample.timestamp is None:
                undated.append(Series(labels, np.zeros(1, dtype=np.int64), np.array([float(sample.value)])))
                continue
            times, values = dated.setdefault(tuple(sorted(labels.items())), ([], []))
            times.append(round(float(sample.timestamp) * MS_PER_S))
            values.append(float(sample.value))
    series = [Series(dict(key), np.array(times, dtype=np.int64), np.array(values)) for key, (times, values) in dated.items()]
    return RawSamples(series, undated, (f"{name}: {histograms} native histograms were not read",) if histograms else ())


USAGE_FILES.register("exposition", Exposition())
