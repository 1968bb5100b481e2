#!/usr/bin/env python3
"""Golden coefficients of linear models in closed form for study/golden.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_closed_form.py > closed_form.json

The rows are those of make_logistic.py. C is the penalty of ridge and the shrinkage of the discriminant
analysis. Scores of ridge and of the nearest mean become logits by two normal distributions of one
variance, here from the scores themselves.
"""
import json
import platform

import numpy as np
import sklearn
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import NearestCentroid

import make_logistic


def as_logit(X, y, w):
    score = X @ w
    low, high = score[y == 0].mean(), score[y == 1].mean()
    variance = sum(((score[y == c] - m) ** 2).sum() for c, m in ((0, low), (1, high))) / len(y)
    slope = (high - low) / variance
    odds = np.log((y == 1).sum() / (y == 0).sum())
    return {"weights": (slope * w).tolist(), "intercept": float(odds - slope * (low + high) / 2)}


def ridge(X, y, alpha):
    return as_logit(X, y, RidgeClassifier(alpha=alpha, solver="cholesky").fit(X, y).coef_.ravel())


def lda(X, y, shrinkage):
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(X, y)
    return {"weights": model.coef_[0].tolist(), "intercept": float(model.intercept_[0])}


def nearest(X, y, _):
    means = NearestCentroid().fit(X, y).centroids_
    return as_logit(X, y, means[1] - means[0])


if __name__ == "__main__":
    cases = {}
    for name, fit, few, many in (("ridge", ridge, 2.0, 50.0), ("lda", lda, 0.0, 0.3), ("nearest", nearest, 1.0, 1.0)):
        make_logistic.fit = fit
        case = make_logistic.case
        cases |= {
            f"{name}_few": case(300, 8, 4, 1, few),
            f"{name}_missing": case(300, 8, 4, 1, few, missing=True),
            f"{name}_own_site": case(300, 8, 4, 2, few, "site"),
            f"{name}_many": case(400, 90, 4, 3, many),
        }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases}, indent=1))
