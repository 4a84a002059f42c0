"""A saved answer of `query_range` (JSON): raw series that still carry their metric names."""

from __future__ import annotations

from pathlib import Path

from models.errors import MetricsError, Problem
from simulator.ingest.prometheus_parse import parse_matrix
from simulator.ingest.usage_files import USAGE_FILES, FileOptions, RawSamples, text_of


class RangeAnswer:
    """The body of a range query, as curl saves it."""

    describes = "saved query_range answer (JSON)"

    def sniff(self, path: Path, head: bytes) -> bool:
        """JSON that begins with the API's status."""
        return head.lstrip().startswith(b"{") and b'"status"' in head[:200]

    def read(self, path: Path, options: FileOptions) -> RawSamples:
        """Every series of the answer; each must say which metric it is."""
        try:
            answer = parse_matrix(text_of(path).encode())
        except ValueError as error:
            raise MetricsError(
                Problem(str(path), f"an answer that cannot be read: {error}", "save the body of /api/v1/query_range again")
            ) from None
        nameless = sum("__name__" not in one.labels for one in answer.series)
        if nameless:
            found = f"{nameless} series without a metric name"
            raise MetricsError(Problem(str(path), found, "save a query of the metric itself: functions and sums drop its name"))
        told = (f"{path.name}: {answer.histograms} native histograms were not read",) if answer.histograms else ()
        return RawSamples([one for one in answer.series if one.times_ms.size], warnings=(*answer.warnings, *answer.infos, *told))


USAGE_FILES.register("range-answer", RangeAnswer())
