#!/usr/bin/env python3
"""Golden coefficients for study/weighted.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_weighted.py > weighted.json

Rows are make_logistic.py's, with weights by `noise`: half of them from 0.25 to 4 in quarters, one in sixteen 0.
Standardised without weights, fitted with `sample_weight`.
"""
import json
import platform

import numpy as np
import sklearn
from make_logistic import lines, noise, scaled
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC


def weights(n, salt):
    out, row = [], 0
    for patient in range(n):
        for _ in range(2 if patient % 3 == 0 else 1):
            draw = (noise(row, 5, salt) + 1) * 8
            out.append(0.0 if draw < 1 else (int(draw) + 1) / 4 if draw < 15 else 1.0)
            row += 1
    return np.array(out)


def case(n, d, sites, salt, C, alpha):
    X, y, site = lines(n, d, sites, salt)
    w = weights(n, salt)
    Z = scaled(X, site, "all", False)
    newton = {"solver": "newton-cholesky", "tol": 1e-13, "max_iter": 1000}

    def logistic(class_weight):
        model = LogisticRegression(C=C, class_weight=class_weight, **newton).fit(Z, y, sample_weight=w)
        return {"weights": model.coef_[0].tolist(), "intercept": model.intercept_[0]}

    # The constant is the weight of a large column, which the penalty can't reach (see make_svm.py).
    column = 1000.0
    svm = LinearSVC(C=C, dual=False, tol=1e-12, max_iter=100_000, fit_intercept=False)
    svm.fit(np.hstack([Z, np.full((len(y), 1), column)]), y, sample_weight=w)
    svm_weights, svm_constant = svm.coef_[0][:-1], svm.coef_[0][-1] * column
    ridge = Ridge(alpha=alpha).fit(Z, 2.0 * y - 1, sample_weight=w)
    return {
        "n": n, "d": d, "sites": sites, "salt": salt, "C": C, "alpha": alpha,
        # Classes are balanced by their numbers of rows, before weights.
        "logistic": logistic(None), "balanced": logistic(dict(enumerate(len(y) / (2 * np.bincount(y))))),
        "svm": {"weights": svm_weights.tolist(), "intercept": svm_constant},
        # Its direction alone: scores are turned into logits.
        "ridge": {"weights": ridge.coef_.tolist(), "intercept": 0.0},
    }


if __name__ == "__main__":
    cases = [case(300, 8, 4, 1, 0.5, 10.0), case(400, 90, 4, 3, 0.05, 30.0)]
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
