#!/usr/bin/env python3
"""Golden coefficients for study/elastic_net.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_elastic_net.py > elastic_net.json

Rows are make_logistic.py's. Logistic regression with an elastic net penalty by the saga solver, until
no weight changes by more than 1e-13 of the largest; what it ends at fulfils the KKT conditions.
"""
import json
import platform

import numpy as np
import sklearn
from make_logistic import lines, scaled
from sklearn.linear_model import LogisticRegression


def kkt(Z, y, w, b, C, r, weight):
    """The largest violation of the KKT conditions, as a share of the rows."""
    residual = weight * (1 / (1 + np.exp(-(Z @ w + b))) - y)
    slope = Z.T @ residual + (1 - r) * w / C
    at_zero = np.maximum(np.abs(slope) - r / C, 0)
    off = np.where(w == 0, at_zero, np.abs(slope + r * np.sign(w) / C))
    return max(off.max(), abs(residual.sum())) / len(y)


def case(n, d, sites, salt, C, r, standardise="all", missing=False, constant=False, balance="none"):
    X, y, site = lines(n, d, sites, salt)
    if missing:
        X[::9, 1] = np.nan
    if constant:
        X[:, 2] = 5.0
    out = {"n": n, "d": d, "sites": sites, "salt": salt, "C": C, "l1_ratio": r,
           "standardise": standardise, "missing": missing, "constant": constant, "balance": balance}
    Z = scaled(X, site, standardise, missing)
    weights = {"none": None, "weights": "balanced"}[balance]
    model = LogisticRegression(C=C, l1_ratio=r, solver="saga", tol=1e-13, max_iter=1_000_000,
                               random_state=0, class_weight=weights).fit(Z, y)
    w, b = model.coef_[0], model.intercept_[0]
    weight = np.ones(len(y)) if weights is None else len(y) / (2 * np.bincount(y)[y])
    assert kkt(Z, y, w, b, C, r, weight) < 1e-12
    return out | {"weights": w.tolist(), "intercept": b}


if __name__ == "__main__":
    cases = {
        "few": case(300, 8, 4, 1, 0.05, 0.5),
        "few_lasso": case(300, 8, 4, 1, 0.1, 1.0),
        "few_missing": case(300, 8, 4, 1, 0.05, 0.5, missing=True),
        "few_constant": case(300, 8, 4, 1, 0.05, 1.0, constant=True),
        "few_own_site": case(300, 8, 4, 2, 0.1, 0.7, "site"),
        "few_balanced": case(300, 8, 4, 1, 0.05, 0.5, balance="weights"),
        "many": case(400, 90, 4, 3, 0.05, 0.5),
        "many_lasso": case(400, 90, 4, 3, 0.1, 1.0),
        "many_weak": case(400, 90, 4, 3, 2.0, 0.2),
        "many_missing": case(400, 90, 4, 3, 0.05, 0.5, missing=True),
        "many_constant": case(400, 90, 4, 3, 0.1, 1.0, constant=True),
        "many_own_site": case(400, 90, 4, 4, 0.1, 0.5, "site"),
        "many_balanced": case(400, 90, 4, 3, 0.05, 0.9, balance="weights"),
    }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
