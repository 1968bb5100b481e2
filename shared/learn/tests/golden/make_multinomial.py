#!/usr/bin/env python3
"""Golden coefficients and probabilities for study/multinomial.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_multinomial.py > multinomial.json

Rows are make_logistic.py's, with four classes: its two, each in two by `half`. Multinomial logistic
regression by the newton-cholesky solver to a gradient of 1e-13.
"""
import json
import platform

import numpy as np
import sklearn
from make_logistic import lines, noise, scaled
from sklearn.linear_model import LogisticRegression

JUDGED = 15


def half(patient, salt):
    return int(noise(patient * 2, 1, salt) + 0.5 * noise(patient, 1, salt + 2) > 0.4)


def case(n, d, sites, salt, C, standardise="all", missing=False, constant=False, balance="none"):
    X, y, site = lines(n, d, sites, salt)
    patient = [p for p in range(n) for _ in range(2 if p % 3 == 0 else 1)]
    y = y + 2 * np.array([half(p, salt) for p in patient])
    if missing:
        X[::9, 1] = np.nan
    if constant:
        X[:, 2] = 5.0
    out = {"n": n, "d": d, "sites": sites, "salt": salt, "C": C, "standardise": standardise,
           "missing": missing, "constant": constant, "balance": balance}
    Z = scaled(X, site, standardise, missing)
    weights = {"none": None, "weights": "balanced"}[balance]
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-13, max_iter=1000,
                               class_weight=weights).fit(Z, y)
    W, b, P = model.coef_, model.intercept_ - model.intercept_.mean(), model.predict_proba(Z)
    weight = np.ones(len(y)) if weights is None else len(y) / (4 * np.bincount(y)[y])
    residual = weight[:, None] * (P - np.eye(4)[y])
    slope = np.hstack([residual.T @ Z + W / C, residual.sum(axis=0)[:, None]])
    assert np.abs(slope).max() < 1e-10 * len(y), np.abs(slope).max()
    return out | {"weights": W.tolist(), "intercepts": b.tolist(), "probabilities": P[:JUDGED].tolist()}


if __name__ == "__main__":
    cases = {
        "few": case(300, 8, 4, 1, 0.5),
        "few_missing": case(300, 8, 4, 1, 0.5, missing=True),
        "few_constant": case(300, 8, 4, 1, 0.5, constant=True),
        "few_own_site": case(300, 8, 4, 2, 2.0, "site"),
        "few_balanced": case(300, 8, 4, 1, 0.5, balance="weights"),
        "many": case(400, 90, 4, 3, 0.05),
        "many_weak": case(400, 90, 4, 3, 2.0),
        "many_missing": case(400, 90, 4, 3, 0.05, missing=True),
        "many_own_site": case(400, 90, 4, 4, 0.1, "site"),
        "many_balanced": case(400, 90, 4, 3, 0.05, balance="weights"),
    }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
