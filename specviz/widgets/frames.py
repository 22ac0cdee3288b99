"""Traces as data frames."""

from __future__ import annotations

import pandas as pd

from specviz.trace import Trace


def token_frame(trace: Trace) -> pd.DataFrame:
    """Return one row per drafted or closing token; see `Trace.to_pandas`."""
    rows: list[tuple[object, ...]] = []
    for round in trace.rounds:
        times = (round.time, round.draft_seconds, round.verify_seconds, round.other_seconds)
        for i, (id, fate) in enumerate(zip(round.drafted, round.fates, strict=True)):
            accepted = i < round.accepted
            rows.append(
                (
                    round.index,
                    i + 1,
                    round.start + i if accepted else None,
                    id,
                    trace.piece(id).decode("utf-8", "replace"),
                    fate.value,
                    "accepted" if accepted else None,
                    round.p[i] if i < len(round.p) else None,
                    round.q[i] if round.q else None,
                    round.rank[i] if i < len(round.rank) else None,
                    *times,
                )
            )
        provenance = round.closing_provenance
        if round.closing is not None and provenance is not None:
            rows.append(
                (
                    round.index,
                    0,
                    round.start + round.accepted,
                    round.closing,
                    trace.piece(round.closing).decode("utf-8", "replace"),
                    None,
                    provenance.value,
                    round.closing_p,
                    None,
                    None,
                    *times,
                )
            )
    columns = ["round", "position", "output", "id", "text", "fate", "provenance", "p", "q", "rank"]
    columns += ["time", "draft_seconds", "verify_seconds", "other_seconds"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"output": "Int64", "rank": "Int64", "p": "float64", "q": "float64"})
