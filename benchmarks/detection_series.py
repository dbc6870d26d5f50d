"""What the path for any series finds in the Numenta Anomaly Benchmark, and how fast it is.

    python benchmarks/detection_series.py [folder of the series]

Scored by the benchmark's own rule, in a script that lies beside the data. Every third series was
not looked at while constants were chosen.
"""

import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from pettwin_pipeline.detection.generic import FloatArray, GenericState, score_series

SCORER = Path(__file__).parents[2] / "shared" / "tools" / "nab_score.py"
POINTS = 1_000_000


def rolling(values: FloatArray) -> FloatArray:
    """The absolute z-score against the 30 values before."""
    scores = np.zeros(len(values))
    for at in range(10, len(values)):
        past = values[max(0, at - 30) : at]
        scores[at] = abs(values[at] - past.mean()) / max(past.std(), 1e-9)
    return scores


def load_scorer() -> ModuleType | None:
    """The scorer's script, if it lies where this benchmark expects it."""
    spec = importlib.util.spec_from_file_location("nab_score", SCORER) if SCORER.exists() else None
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def print_series() -> None:
    """Scores of all series and of those that were not looked at; then the speed."""
    scorer = load_scorer()
    if scorer is None:
        print(f"\nno scorer at {SCORER}: series are not measured")
    else:
        corpus = scorer.load_corpus()
        print(f"\n{len(corpus)} series of NAB{'':22}standard  low-FP  low-FN")
        for title, some in (("all", corpus), ("every third, held out", corpus[::3])):
            found = [score_series(one.values, GenericState()) for one in some]
            rows = {
                "this detector": [score for score, _ in found],
                "its own flags": [flagged.astype(float) for _, flagged in found],
                "rolling z-score of 30": [rolling(one.values) for one in some],
            }
            for name, scores in rows.items():
                print(f"{title + ', ' + name:44}{_figures(scorer, some, scores)}")
    noise = np.random.default_rng(1).standard_normal(POINTS)
    for name, values in (("noise", noise), ("a walk", np.cumsum(noise))):
        begin = time.perf_counter()
        score_series(values, GenericState())
        print(f"{name}: {POINTS / (time.perf_counter() - begin):,.0f} points/s, one stream")


def _figures(scorer: ModuleType, some: Sequence[object], scores: Sequence[FloatArray]) -> str:
    result = scorer.score(some, scores)
    return "".join(f"{result[name]:8.1f}" for name in ("standard", "low_fp", "low_fn"))


if __name__ == "__main__":
    print_series()
