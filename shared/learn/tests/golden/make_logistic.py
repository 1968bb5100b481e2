#!/usr/bin/env python3
"""Golden coefficients for study/golden.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_logistic.py > logistic.json

Rows come from the same integer formula as tests/study/support.rs (`noise`). Standardised features,
L2-penalised logistic regression by the newton-cholesky solver to a gradient of 1e-13.
"""
import json
import math
import platform

import numpy as np
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def noise(i, j, salt):
    h = (i * 1_000_003 + j * 8191 + salt * 131 + 12345) & 0xFFFFFFFF
    for _ in range(3):
        h = (h * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        h ^= h >> 15
    return h / 2 ** 31 - 1


def lines(n, d, sites, salt):
    X, y, site = [], [], []
    for patient in range(n):
        s = patient % sites
        for image in range(2 if patient % 3 == 0 else 1):
            at = patient * 2 + image
            x = [noise(at, j, salt) for j in range(d)]
            logit = 1.5 * x[0] - 1.2 * x[d // 2] + 0.8 * x[d - 1] - 0.4 + 0.5 * s
            draw = (noise(patient, 0, salt + 1) + 1) / 2
            y.append(int(draw < 1 / (1 + math.exp(-2 * logit))))
            X.append([10.0 ** (j % 5 - 2) * (v + 3 + 0.3 * s * noise(j, s, 3)) for j, v in enumerate(x)])
            site.append(s)
    return np.array(X), np.array(y), np.array(site)


def fit(X, y, C):
    model = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-13, max_iter=1000).fit(X, y)
    return {"weights": model.coef_[0].tolist(), "intercept": model.intercept_[0]}


def scaled(X, site, standardise, missing):
    """Features standardised over all rows, missing ones filled, or over each site's."""
    if standardise == "all":
        Z = StandardScaler().fit_transform(X)
        return SimpleImputer().fit_transform(Z) if missing else Z
    Z = X.copy()
    for s in set(site):
        Z[site == s] = StandardScaler().fit_transform(X[site == s])
    return Z


def case(n, d, sites, salt, C, standardise="all", missing=False, constant=False):
    X, y, site = lines(n, d, sites, salt)
    if missing:
        X[::9, 1] = np.nan
    if constant:
        X[:, 2] = 5.0
    out = {"n": n, "d": d, "sites": sites, "salt": salt, "C": C, "standardise": standardise,
           "missing": missing, "constant": constant}
    if standardise == "all":
        scaler = StandardScaler().fit(X)
        out |= {"mean": scaler.mean_.tolist(), "deviation": scaler.scale_.tolist()}
    Z = scaled(X, site, standardise, missing)
    return out | fit(Z, y, C)


if __name__ == "__main__":
    cases = {
        "newton": case(300, 8, 4, 1, 0.5),
        "newton_missing": case(300, 8, 4, 1, 0.5, missing=True),
        "newton_constant": case(300, 8, 4, 1, 0.5, constant=True),
        "newton_own_site": case(300, 8, 4, 2, 2.0, "site"),
        "lbfgs": case(400, 90, 4, 3, 0.05),
        "lbfgs_weak": case(400, 90, 4, 3, 10.0),
        "lbfgs_own_site": case(400, 90, 4, 4, 0.1, "site"),
    }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
