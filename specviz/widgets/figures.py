"""Traces as plotly figures."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from specviz.trace import Trace
from specviz.trace.projection import draft_name, project

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7f7f7f"


def trace_figure(trace: Trace) -> go.Figure:
    """Return acceptance, speed and speedup over the output tokens; see `Trace.figure`."""
    curves = project(trace.events()).take().get("curves", {})
    x = curves.get("x", [])
    figure = make_subplots(
        rows=3,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.07,
        subplot_titles=("Acceptance rate", "Tokens per second", "Speedup over plain decoding"),
    )
    lines = (
        (1, "acceptance_rolling", "last 16 rounds", BLUE, 1.5, None),
        (1, "acceptance_cumulative", "so far", ORANGE, 2.5, None),
        (2, "tps_rolling", "last 16 rounds", BLUE, 1.5, None),
        (2, "tps_cumulative", "so far", ORANGE, 2.5, None),
        (2, "baseline_tps", "plain decoding", GREY, 1.5, "dash"),
        (3, "speedup_rolling", "last 16 rounds", BLUE, 1.5, None),
        (3, "speedup_cumulative", "so far", ORANGE, 2.5, None),
    )
    for row, column, name, color, width, dash in lines:
        values = curves.get(column, [])
        if any(value is not None for value in values):
            line = {"color": color, "width": width, "dash": dash}
            figure.add_scatter(x=x, y=values, name=name, line=line, mode="lines", row=row, col=1, showlegend=row == 2)
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02], row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=2, col=1)
    figure.add_hline(y=1, line={"color": GREY, "width": 1, "dash": "dot"}, row=3, col=1)
    figure.update_xaxes(title_text="output tokens", row=3, col=1)
    draft = draft_name(trace.header, "no draft")
    figure.update_layout(
        title={"text": f"{trace.header.main.name} with {draft}", "font": {"size": 15}},
        height=620,
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 80, "b": 50},
        legend={"orientation": "h", "y": -0.1},
    )
    return figure
