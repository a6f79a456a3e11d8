"""Runs synthetic traces with the product's scaling decisions, its peers' formulas and an oracle.

Times and instance-hours are simulated; only the cost of the decisions themselves is measured on this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# When it runs a directory, Python puts the directory itself first, not the repository.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.scaling import decision_cost, picture, report  # noqa: E402
from bench.scaling.outcome import compare  # noqa: E402
from bench.scaling.traces import traces  # noqa: E402


def main() -> None:
    """Simulate everything and print the tables."""
    parser = argparse.ArgumentParser(prog="bench/scaling", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="also draw each trace into this folder")
    folder = parser.parse_args().plots
    for trace in traces():
        comparison = compare(trace)
        print("\n".join(report.lines(comparison)), flush=True)
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{trace.name}.svg").write_text(picture.draw(comparison), encoding="utf-8")
    print("\n".join(report.cost_lines(decision_cost.measure())))


if __name__ == "__main__":
    main()
