"""Figures: arrays in, plotly figures out; one palette, no streamlit, wording passed in.

Every figure is deterministic: no random ids, no clock. Colours are safe for the common colour-vision deficiencies
(Okabe and Ito) and keep their meaning everywhere: private green, AWS orange, total dark, reference grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

PRIVATE = "#009E73"
AWS = "#E69F00"
TOTAL = "#1F2937"
DEMAND = "#0072B2"
REFERENCE = "#9CA3AF"
WARNING = "#D55E00"
_FONT = {"family": "Inter, 'Noto Sans KR', 'Noto Sans CJK KR', sans-serif", "size": 13, "color": "#1F2937"}
Floats = NDArray[np.float64]


def _figure(x_title: str, y_title: str, *, height: int = 380) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        font=_FONT,
        height=height,
        margin={"l": 70, "r": 20, "t": 48, "b": 50},
        legend={"orientation": "h", "y": 1.02, "x": 0, "yanchor": "bottom"},
        hovermode="x unified",
        xaxis={"title": x_title, "showgrid": False},
        yaxis={"title": y_title, "rangemode": "tozero"},
    )
    return figure


def _line(name: str, x: object, y: object, colour: str, **more: object) -> go.Scatter:
    return go.Scatter(name=name, x=x, y=y, mode="lines", line={"color": colour, "width": 2, **more})


def cost_curve(
    nodes: NDArray[np.int64],
    private: Floats,
    aws: Floats,
    *,
    chosen: int,
    range_1pct: tuple[int, int],
    marks: Mapping[str, int],
    words: Mapping[str, str],
    currency: str,
) -> go.Figure:
    """Yearly cost for every number of private nodes; `private`, `aws` : float64 [capacities] in `currency` a year.

    The band shows every capacity within 1 % of the least cost; `marks` names other answers (name -> nodes).
    """
    figure = _figure(words["private_nodes"], f"{words['cost_per_year']} ({currency})")
    figure.add_vrect(x0=range_1pct[0], x1=range_1pct[1], fillcolor=PRIVATE, opacity=0.10, line_width=0, layer="below")
    figure.add_trace(_line(words["aws_left"], nodes, aws, AWS))
    figure.add_trace(_line(words["private"], nodes, private, PRIVATE))
    figure.add_trace(_line(words["total"], nodes, private + aws, TOTAL))
    total = private + aws
    figure.add_trace(
        go.Scatter(
            name=words["recommended"],
            x=[chosen],
            y=[float(np.interp(chosen, nodes, total))],
            mode="markers+text",
            text=[f"{chosen}"],
            textposition="top center",
            marker={"size": 12, "color": TOTAL},
        )
    )
    for rank, (name, at) in enumerate(sorted(marks.items(), key=lambda item: (item[1], item[0]))):
        figure.add_vline(x=at, line={"color": REFERENCE, "dash": "dot"})
        figure.add_annotation(
            x=at, y=1 - 0.07 * (rank % 5), yref="paper", text=f"{name}: {at}", showarrow=False, xanchor="left", font={"size": 11}
        )
    return figure


def busy_nodes(busy_share: Floats, breakeven: Floats, *, chosen: int, words: Mapping[str, str]) -> go.Figure:
    """Share of hours in which the k-th node works, against the share that pays for it; float64 [nodes], both."""
    steps = np.arange(1, busy_share.size + 1)
    figure = _figure(words["private_nodes"], words["busy_share"])
    colours = np.where(busy_share > breakeven, PRIVATE, AWS).tolist()
    figure.add_trace(go.Bar(name=words["busy_share"], x=steps, y=busy_share, marker={"color": colours}))
    figure.add_trace(_line(words["breakeven"], steps, breakeven, TOTAL, dash="dash"))
    figure.add_vline(x=chosen + 0.5, line={"color": TOTAL, "dash": "dot"}, annotation_text=f"{chosen}")
    figure.update_yaxes(tickformat=".0%")
    figure.update_layout(bargap=0.15)
    return figure


def fleet_timeline(
    times: NDArray[np.datetime64],
    private_busy: Floats,
    burst_busy: Floats,
    private_capacity: Floats,
    pending: Floats,
    *,
    words: Mapping[str, str],
) -> go.Figure:
    """Requested vCPU by hour: served privately, on AWS, waiting; each float64 [hours]."""
    figure = _figure(words["time"], words["vcpu"])
    figure.add_trace(_area(words["private"], times, private_busy, PRIVATE))
    figure.add_trace(_area(words["aws_burst"], times, burst_busy, AWS))
    if pending.max(initial=0.0) > 0:
        figure.add_trace(_area(words["pending"], times, pending, WARNING))
    figure.add_trace(_line(words["private_capacity"], times, private_capacity, TOTAL, dash="dot"))
    return figure


def _area(name: str, x: object, y: object, colour: str) -> go.Scatter:
    return go.Scatter(name=name, x=x, y=y, mode="lines", stackgroup="served", line={"color": colour, "width": 0.5, "shape": "hv"})


def cash_flow(months: NDArray[np.int64], cumulative: Mapping[str, Floats], *, words: Mapping[str, str], currency: str) -> go.Figure:
    """Money spent until each month for every way to serve the demand; name -> float64 [months]."""
    colours = {"aws_as_billed": REFERENCE, "aws_best": AWS, "private": PRIVATE, "hybrid": TOTAL}
    figure = _figure(words["month"], f"{words['spent_so_far']} ({currency})")
    for name, values in cumulative.items():
        figure.add_trace(_line(words.get(name, name), months, values, colours.get(name, DEMAND)))
    return figure


def tornado(names: Sequence[str], low: Floats, high: Floats, base: float, *, words: Mapping[str, str], currency: str) -> go.Figure:
    """Change of the yearly cost when each parameter goes to its low and its high value; float64 [parameters]."""
    order = np.argsort(np.maximum(np.abs(low - base), np.abs(high - base)))
    figure = _figure(f"{words['cost_change']} ({currency})", "", height=120 + 28 * len(names))
    for label, values, colour in ((words["low"], low, DEMAND), (words["high"], high, WARNING)):
        figure.add_trace(
            go.Bar(name=label, y=[names[i] for i in order], x=(values - base)[order], orientation="h", marker={"color": colour})
        )
    figure.update_layout(barmode="overlay", hovermode="closest", margin={"l": 240, "r": 20, "t": 48, "b": 50})
    return figure


def columns(names: Sequence[str], values: Mapping[str, Floats], *, words: Mapping[str, str], title: str) -> go.Figure:
    """Grouped columns, one group a name; series -> float64 [names]."""
    palette = (PRIVATE, AWS, DEMAND, TOTAL, REFERENCE)
    figure = _figure("", title)
    for colour, (series, numbers) in zip(palette, values.items(), strict=False):
        figure.add_trace(go.Bar(name=words.get(series, series), x=list(names), y=numbers, marker={"color": colour}))
    figure.update_layout(barmode="group")
    return figure
