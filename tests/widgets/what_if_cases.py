"""Replays that Python and the page must agree on: what `js/tests/fixtures/replay.json` holds.

Written anew with `python -m tests.widgets.what_if_cases`.
"""

import json
from pathlib import Path

import numpy as np

from specviz.lab.costs import Curves, Work
from specviz.lab.diagnosis import textbook
from specviz.lab.replay import replay
from specviz.widgets.what_if import _curve_columns

FIXTURE = Path(__file__).parents[2] / "js" / "tests" / "fixtures" / "replay.json"
CASES = 80
LONGEST = 16


def curves():
    """Costs with a step, as CPUs have them."""
    k = np.arange(LONGEST + 1)
    verify = 0.008 + 0.003 * k + 0.004 * (k > 7)
    return Curves(0.0011 * k, verify, 0.0002 + 0.00001 * k, 2e-7, 9e-8, 5e-8, 0.0013)


def case(rng):
    """One text, one setting, and what comes of them."""
    n = int(rng.integers(0, 32))
    matches = rng.random(n) < rng.choice([0.3, 0.7, 0.95])
    confidence = rng.integers(0, 101, n) / 100
    thorough = rng.random() < 0.6
    after = [[] if hit else (rng.integers(0, 101, int(rng.integers(0, 16))) / 100).tolist() for hit in matches]
    length = int(rng.integers(0, LONGEST + 1))
    given = {
        "matches": "".join(str(int(one)) for one in matches),
        "confidence": confidence.tolist(),
        "after": after if thorough else None,
        "limit": int(n + rng.integers(0, 3)) if rng.random() < 0.5 else None,
        "length": length,
        "p_min": float(rng.choice([0.0, 0.0, 0.29, 0.5, 0.85, 1.0])),
        "n_min": int(rng.integers(0, min(length, 4) + 1)) if thorough else int(rng.integers(0, 2)),
        "n_prompt": int(rng.integers(1, 900)),
    }
    result = replay(
        matches,
        length,
        confidence=confidence,
        p_min=given["p_min"],
        n_min=given["n_min"],
        after=given["after"],
        limit=given["limit"],
    )
    gives = {name: list(getattr(result, name)) for name in ("accepted", "sent", "drafted")}
    gives["exact"] = result.exact
    gives["milliseconds"] = round(1000 * curves().seconds(Work.of([result], [given["n_prompt"]])), 6)
    return {"given": given, "gives": gives}


def fixture():
    """All of it, the same every time."""
    rng = np.random.default_rng(20)
    cases = [case(rng) for _ in range(CASES)]
    plain = curves().verify[0] + curves().other[0]
    formulas = [
        [alpha, k, c, textbook(alpha, k, c)] for alpha in (0.0, 0.6, 1.0) for k in (1, 4, 16) for c in (0.0, 0.2)
    ]
    return {
        "curves": _curve_columns(curves(), 12),
        "cost_ratio": round(curves().per_drafted / plain, 12),
        "textbook": formulas,
        "cases": cases,
    }


def written():
    """The file's text, a case on each line."""
    *head, (_, cases) = fixture().items()
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases)
    return (
        "{"
        + "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in head)
        + f'"cases": [\n{lines}\n]}}\n'
    )


if __name__ == "__main__":
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(written())
