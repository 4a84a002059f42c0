"""Figure of a demand report: the mean week, the load-duration curve, and the level ahead with its intervals."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from models.resources import CPU
from models.unknown import Unknown
from simulator.charts import AWS, DEMAND, PRIVATE, REFERENCE
from simulator.demand.buckets import Floats, buckets
from simulator.demand.forecast import Forecast
from simulator.demand.report import DemandReport

_PANELS = ("Mean hour of the week (UTC)", "Load duration: hours at or above", "Level and forecast, with the 80 % and 90 % intervals")


def figure_html(report: DemandReport, title: str) -> str:
    """A page that stands alone; the lower panel is empty where there is no forecast."""
    scale, unit = (1000.0, "vCPU") if report.axis == CPU else (1.0, report.axis)
    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.09, subplot_titles=_PANELS)
    total = report.demand.total(report.axis) / scale
    figure.add_trace(_line("mean hour", np.arange(len(report.week)), report.week / scale, DEMAND), row=1, col=1)
    figure.add_trace(_line("demand", np.arange(1, len(total) + 1), np.sort(total)[::-1], DEMAND), row=2, col=1)
    if not isinstance(report.forecast, Unknown):
        _ahead(figure, report, report.forecast, scale)
    for row, x_title in ((1, "hour of the week from the first hour"), (2, "hours"), (3, "time")):
        figure.update_xaxes(title_text=x_title, row=row, col=1)
        figure.update_yaxes(title_text=unit, rangemode="tozero", row=row, col=1)
    figure.update_layout(title=title, template="plotly_white", height=1000, showlegend=False)
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="demand"))


def _ahead(figure: go.Figure, report: DemandReport, ahead: Forecast, scale: float) -> None:
    size = np.timedelta64(3600 * ahead.bucket_h, "s")
    levels = buckets(report.demand.total(report.axis)).levels / scale
    origin = np.datetime64(ahead.horizon.start.replace(tzinfo=None), "s")
    past = origin - size * np.arange(len(levels), 0, -1)
    coming = origin + size * np.arange(len(ahead.quantiles[0.5]))
    figure.add_trace(_line("level", past, levels, REFERENCE), row=3, col=1)
    for low, high in ((0.05, 0.95), (0.1, 0.9)):
        figure.add_trace(_line(f"p{100 * low:.0f}", coming, ahead.quantiles[low] / scale, AWS, width=0.5), row=3, col=1)
        upper = _line(f"p{100 * high:.0f}", coming, ahead.quantiles[high] / scale, AWS, width=0.5)
        figure.add_trace(upper.update(fill="tonexty", fillcolor="rgba(230, 159, 0, 0.18)"), row=3, col=1)
    figure.add_trace(_line("median", coming, ahead.quantiles[0.5] / scale, PRIVATE), row=3, col=1)


def _line(name: str, x: object, y: Floats, colour: str, width: float = 2.0) -> go.Scatter:
    return go.Scatter(name=name, x=x, y=y, mode="lines", line={"color": colour, "width": width})
