#!/usr/bin/env python3
"""Golden coefficients of linear support vector machines for study/golden.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_svm.py > svm.json

The rows are those of make_logistic.py. liblinear penalises the constant; here it is the weight of an explicit large column, which
the penalty can't reach, as Wardround's constant is free. Where liblinear stops varies with that column (1e-8 to 1e-4 from the
optimum): of several the answer with the smallest gradient is kept.
"""
import json
import platform

import numpy as np
import sklearn
from sklearn.svm import LinearSVC

import make_logistic

CONSTANTS = [c * 10.0 ** e for e in (3, 4) for c in range(1, 10)]


def with_constant(X, y, C, constant):
    X = np.hstack([X, np.full((len(X), 1), constant)])
    model = LinearSVC(C=C, loss="squared_hinge", dual=False, tol=1e-10, max_iter=100000, fit_intercept=False).fit(X, y)
    w, sign = model.coef_[0], 2 * y - 1
    short = np.maximum(0, 1 - sign * (X @ w))
    gradient = w / C - 2 * X.T @ (sign * short)
    gradient[-1] /= constant
    *weights, last = w.tolist()
    return np.abs(gradient).max(), {"weights": weights, "intercept": last * constant}


def fit(X, y, C):
    gradient, best = min((with_constant(X, y, C, c) for c in CONSTANTS), key=lambda pair: pair[0])
    assert gradient / len(X) < 1e-7 * max(map(abs, best["weights"])), gradient
    return best


if __name__ == "__main__":
    make_logistic.fit = fit
    case = make_logistic.case
    cases = {
        "newton": case(300, 8, 4, 1, 0.5),
        "newton_missing": case(300, 8, 4, 1, 0.5, missing=True),
        "newton_own_site": case(300, 8, 4, 2, 2.0, "site"),
        "lbfgs": case(400, 90, 4, 3, 0.005),
        "lbfgs_weak": case(400, 90, 4, 3, 1.0),
        "lbfgs_own_site": case(400, 90, 4, 4, 0.01, "site"),
    }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
