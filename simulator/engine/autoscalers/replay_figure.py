"""Figure of a replay: nodes of each group and pods over time."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulator.engine.autoscalers.replay import Replay


def figure_html(runs: Sequence[Replay], title: str) -> str:
    """A page that stands alone: nodes per group above (other seeds pale), pods bound and pending of the first run below."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.65, 0.35], vertical_spacing=0.08)
    palette = ("#1f77b4", "#2ca02c", "#ff7f0e", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
    for at, run in reversed(list(enumerate(runs))):
        seconds = [row[0] for row in run.rows]
        for group in run.groups:
            column = run.columns.index(group)
            colour = palette[(runs[0].groups.index(group) if group in runs[0].groups else len(palette) - 1) % len(palette)]
            line = {"shape": "hv", "width": 2 if at == 0 else 1, "color": colour}
            nodes = [row[column] for row in run.rows]
            figure.add_trace(
                go.Scatter(x=seconds, y=nodes, name=group, line=line, opacity=1.0 if at == 0 else 0.25, showlegend=at == 0), row=1, col=1
            )
    for name in ("bound", "pending"):
        column = runs[0].columns.index(name)
        line = {"shape": "hv", "dash": "solid" if name == "bound" else "dot", "color": "#444"}
        pods = [row[column] for row in runs[0].rows]
        figure.add_trace(go.Scatter(x=[row[0] for row in runs[0].rows], y=pods, name=f"pods {name}", line=line), row=2, col=1)
    figure.update_yaxes(title_text="nodes", row=1, col=1)
    figure.update_yaxes(title_text="pods", row=2, col=1)
    figure.update_xaxes(title_text="seconds", row=2, col=1)
    figure.update_layout(title=title, template="plotly_white")
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="replay"))
