"""Writes random_effects.json: sites' AUCs and what their random-effects mean is. tau² is the maximum of the
restricted likelihood as it is written down, found by scipy; interval and prediction are metafor's formulas
(`rma(method="REML", test="knha")`, `predict`), which R's metamisc calls; Cochran's Q and, given tau²,
Hartung and Knapp's variance are statsmodels'.

    pip install numpy scipy statsmodels
    python make_random_effects.py
"""

import json
import pathlib

import numpy as np
import scipy.stats
import statsmodels
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from statsmodels.stats.meta_analysis import CombineResults, combine_effects


def restricted_likelihood(tau2, y, v):
    w = 1 / (v + tau2)
    mean = (w * y).sum() / w.sum()
    return -0.5 * (np.log(v + tau2).sum() + np.log(w.sum()) + (w * (y - mean) ** 2).sum())


def case(name, auc, error):
    y, v = logit(np.array(auc)), np.array(error) ** 2
    k = len(y)
    # The largest of a fine grid, then of its neighbourhood.
    grid = np.concatenate([[0], np.geomspace(1e-8, 100, 4000)])
    at = int(np.argmax([restricted_likelihood(t, y, v) for t in grid]))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda t: -restricted_likelihood(t, y, v), bounds=(low, high), method="bounded",
        options={"xatol": 1e-14},
    )
    tau2 = 0.0 if at == 0 else float(found.x)
    w = 1 / (v + tau2)
    mean = (w * y).sum() / w.sum()
    variance = (w * (y - mean) ** 2).sum() / (k - 1) / w.sum()
    # statsmodels weighs by its own tau²: with it added to the variances, its fixed effect is ours.
    given: CombineResults = combine_effects(y, v + tau2)
    assert abs(given.mean_effect_fe - mean) < 1e-12
    assert abs(given.sd_eff_w_fe_hksj**2 - variance) < 1e-12
    q = combine_effects(y, v).q
    ends = lambda half: [float(expit(mean - half)), float(expit(mean + half))]
    t = lambda freedom: scipy.stats.t.ppf(0.975, freedom)
    return {
        "name": name,
        "auc": list(map(float, auc)),
        "interval": [[float(expit(m - z * e)), float(expit(m + z * e))] for m, e in zip(y, error)],
        "mean": float(expit(mean)),
        "ends": ends(t(k - 1) * np.sqrt(variance)),
        "prediction": ends(t(k - 2) * np.sqrt(tau2 + variance)) if k > 2 else None,
        "tau": float(np.sqrt(tau2)),
        "i_squared": float(max(0.0, (q - (k - 1)) / q)),
    }


z = scipy.stats.norm.ppf(0.975)


def main():
    rng = np.random.default_rng(7)
    drawn = expit(rng.normal(1.2, 0.4, 20))
    cases = [
        case("two sites", [0.81, 0.70], [0.12, 0.2]),
        case("alike", [0.75, 0.76, 0.74, 0.755], [0.1, 0.12, 0.2, 0.15]),
        case("four sites", [0.80, 0.68, 0.74, 0.87], [0.11, 0.09, 0.2, 0.3]),
        case("one apart", [0.70, 0.71, 0.72, 0.95], [0.05, 0.06, 0.05, 0.1]),
        case("twenty sites", drawn, rng.uniform(0.05, 0.5, 20)),
    ]
    document = {
        "made_with": {
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "statsmodels": statsmodels.__version__,
        },
        "cases": cases,
    }
    path = pathlib.Path(__file__).with_name("random_effects.json")
    text = json.dumps(document, separators=(",", ":")).replace('{"name"', '\n{"name"')
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
