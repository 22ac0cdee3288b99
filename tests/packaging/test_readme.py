"""The README's figures are those that were measured last."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIGURE = r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)"


def test_every_speedup_in_the_readme_stands_in_the_results():
    said = re.findall(FIGURE, (ROOT / "README.md").read_text())
    measured = re.findall(FIGURE, (ROOT / "benchmarks" / "RESULTS.md").read_text())
    assert len(said) > 5 and set(said) <= set(measured)
