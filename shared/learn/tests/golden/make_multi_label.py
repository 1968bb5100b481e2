#!/usr/bin/env python3
"""Golden coefficients for study/multi_label.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_multi_label.py > multi_label.json

Rows are make_logistic.py's, with three labels that may stand together: its class, and two of patients by
`noise`. Each is fitted by scikit-learn's `OneVsRestClassifier` on the matrix of labels.
"""
import json
import platform

import numpy as np
import sklearn
from make_logistic import lines, noise, scaled
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier


def case(n, d, sites, salt, C, shrinkage):
    X, y, site = lines(n, d, sites, salt)
    patient = [p for p in range(n) for _ in range(2 if p % 3 == 0 else 1)]
    second = [int(noise(p * 2, 1, salt) + 0.5 * noise(p, 1, salt + 2) > 0.4) for p in patient]
    third = [int(noise(p * 2, 2, salt) + 0.5 * noise(p, 2, salt + 2) > 0.6) for p in patient]
    Y = np.array([y, second, third]).T
    assert (Y.sum(axis=1) == 0).any() and (Y.sum(axis=1) == 3).any()
    Z = scaled(X, site, "all", False)

    def fit(model):
        models = OneVsRestClassifier(model).fit(Z, Y).estimators_
        return [{"weights": one.coef_[0].tolist(), "intercept": one.intercept_[0]} for one in models]

    newton = {"solver": "newton-cholesky", "tol": 1e-13, "max_iter": 1000}
    return {
        "n": n, "d": d, "sites": sites, "salt": salt, "C": C, "shrinkage": shrinkage,
        "rows_by_label": Y.sum(axis=0).tolist(), "none": int((Y.sum(axis=1) == 0).sum()),
        "logistic": fit(LogisticRegression(C=C, **newton)),
        "balanced": fit(LogisticRegression(C=C, class_weight="balanced", **newton)),
        "lda": fit(LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)),
    }


if __name__ == "__main__":
    cases = [case(300, 8, 4, 1, 0.5, 0.1), case(400, 90, 4, 3, 0.05, 0.3)]
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
