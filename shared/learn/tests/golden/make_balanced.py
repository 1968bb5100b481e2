#!/usr/bin/env python3
"""Golden coefficients of linear models with class weights for study/golden.rs, by scikit-learn
(`class_weight="balanced"`).

    pip install scikit-learn==1.9.1
    python make_balanced.py > balanced.json

The rows are those of make_logistic.py, support vector machines as in make_svm.py.
"""
import json
import platform

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import make_logistic
from make_svm import CONSTANTS


def logistic(X, y, C):
    model = LogisticRegression(C=C, class_weight="balanced", solver="newton-cholesky", tol=1e-13, max_iter=1000)
    model.fit(X, y)
    return {"weights": model.coef_[0].tolist(), "intercept": model.intercept_[0]}


def svm(X, y, C):
    best = None
    sample, sign = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum()))), 2 * y - 1
    for constant in CONSTANTS:
        full = np.hstack([X, np.full((len(X), 1), constant)])
        w = LinearSVC(C=C, class_weight="balanced", loss="squared_hinge", dual=False, tol=1e-10, max_iter=100000,
                      fit_intercept=False).fit(full, y).coef_[0]
        short = np.maximum(0, 1 - sign * (full @ w)) * sample
        gradient = w / C - 2 * full.T @ (sign * short)
        gradient[-1] /= constant
        off = np.abs(gradient).max()
        if best is None or off < best[0]:
            best = off, {"weights": w[:-1].tolist(), "intercept": w[-1] * constant}
    return best[1]


if __name__ == "__main__":
    cases = {}
    for name, fit, few, many in (("logistic", logistic, 0.5, 0.05), ("svm", svm, 0.5, 0.005)):
        make_logistic.fit = fit
        case = make_logistic.case
        cases |= {
            f"{name}_few": case(300, 8, 4, 1, few),
            f"{name}_own_site": case(300, 8, 4, 2, few, "site"),
            f"{name}_many": case(400, 90, 4, 3, many),
        }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
