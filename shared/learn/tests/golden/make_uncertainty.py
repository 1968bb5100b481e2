"""Writes uncertainty.json: scores of two halves of made-up rows, in bins, and what scikit-learn, MAPIE and fairlearn say of the one
half by what the other says; rows have the middle of their bin for a logit, so that nothing is lost by binning.

    pip install numpy scikit-learn mapie fairlearn pandas
    python make_uncertainty.py
"""

import importlib.metadata
import json
import pathlib
import platform

import fairlearn.metrics as fl
import numpy as np
import sklearn.metrics as sk
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

HALF_WIDTH, COUNT, BINS = 12.0, 1024, 15
WIDTH = 2 * HALF_WIDTH / COUNT


def draw(rng, n, slope):
    label = (rng.random(n) < 0.35).astype(int)
    logit = slope * (rng.normal(size=n) + 1.3 * label - 0.9)
    bins = np.clip(np.floor((logit + HALF_WIDTH) / WIDTH), 0, COUNT - 1).astype(int)
    return bins, label


def middle(bins):
    return -HALF_WIDTH + (bins + 0.5) * WIDTH


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def ece(p, y, bin_of):
    return sum(abs((p - y)[bin_of == b].sum()) for b in range(BINS)) / len(y)


def equal_mass(p):
    """Rows of one probability stay together, where the middle of them lies."""
    order = np.sort(p)
    below = np.searchsorted(order, p, "left")
    upto = np.searchsorted(order, p, "right")
    return np.minimum((below + upto) * BINS // (2 * len(p)), BINS - 1)


def judged(p, y):
    return {
        "brier": sk.brier_score_loss(y, p),
        "log_loss": sk.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)),
        "ece": ece(p, y, np.minimum((p * BINS).astype(int), BINS - 1)),
        "ece_equal_mass": ece(p, y, equal_mass(p)),
    }


def recalibrated(fit, test):
    (x, y), (x_test, y_test) = fit, test
    x, x_test = middle(x)[:, None], middle(x_test)[:, None]
    exact = dict(C=np.inf, tol=1e-12, max_iter=10000, solver="newton-cholesky")
    platt = LogisticRegression(**exact).fit(x, y)
    temperature = LogisticRegression(fit_intercept=False, **exact).fit(x, y)
    half = 0.5 / len(y)
    isotonic = IsotonicRegression(y_min=half, y_max=1 - half, out_of_bounds="clip").fit(x[:, 0], y)
    return {
        "nothing": judged(sigmoid(x_test[:, 0]), y_test),
        "platt": judged(platt.predict_proba(x_test)[:, 1], y_test),
        "temperature": judged(temperature.predict_proba(x_test)[:, 1], y_test),
        "isotonic": judged(isotonic.predict(x_test[:, 0]), y_test),
    }


class Scores(ClassifierMixin, BaseEstimator):
    """A model whose one feature is its logit."""

    classes_ = np.array([0, 1])
    n_features_in_ = 1

    def fit(self, x, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, x):
        p = sigmoid(x[:, 0])
        return np.column_stack([1 - p, p])

    def predict(self, x):
        return (x[:, 0] > 0).astype(int)


def conformal(fit, test):
    (x, y), (x_test, y_test) = fit, test
    sets = SplitConformalClassifier(Scores(), confidence_level=0.9, conformity_score="lac", prefit=True)
    sets.conformalize(middle(x)[:, None], y)
    _, held = sets.predict_set(middle(x_test)[:, None])
    held = held[:, :, 0]
    right = held[np.arange(len(y_test)), y_test]
    return {
        "rows": [int((y_test == c).sum()) for c in (0, 1)],
        "covered": [int(right[y_test == c].sum()) for c in (0, 1)],
        "both": int(held.all(axis=1).sum()),
        "neither": int((~held.any(axis=1)).sum()),
    }


def fairness(bins, label, group):
    call = (middle(bins) >= 0).astype(int)
    of = dict(sensitive_features=group)
    frame = fl.MetricFrame(metrics={"sensitivity": fl.true_positive_rate, "specificity": fl.true_negative_rate,
                                    "selection_rate": fl.selection_rate, "accuracy_score": sk.accuracy_score},
                           y_true=label, y_pred=call, sensitive_features=group)
    return {
        "group": group.tolist(),
        "demographic_parity_difference": fl.demographic_parity_difference(label, call, **of),
        "demographic_parity_ratio": fl.demographic_parity_ratio(label, call, **of),
        "equalized_odds_difference": fl.equalized_odds_difference(label, call, **of),
        "equalized_odds_ratio": fl.equalized_odds_ratio(label, call, **of),
        "equal_opportunity_difference": fl.equal_opportunity_difference(label, call, **of),
        "difference": frame.difference().to_dict(),
        "ratio": frame.ratio().to_dict(),
    }


def main():
    rng = np.random.default_rng(20261127)
    cases = []
    for name, n, slope in [("too extreme", 900, 2.5), ("too mild", 400, 0.4), ("few", 60, 1.3)]:
        fit, test = draw(rng, n, slope), draw(rng, n, slope)
        cases.append({
            "name": name,
            "fit": {"bins": fit[0].tolist(), "labels": fit[1].tolist()},
            "test": {"bins": test[0].tolist(), "labels": test[1].tolist()},
            "recalibrated": recalibrated(fit, test),
            "conformal": conformal(fit, test),
            "fairness": fairness(*test, rng.integers(0, 4, len(test[1]))),
        })
    made_with = {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in ["numpy", "scikit-learn", "mapie", "fairlearn"]
    }
    out = pathlib.Path(__file__).with_name("uncertainty.json")
    out.write_text(json.dumps({"made_with": made_with, "cases": cases}) + "\n")


main()
