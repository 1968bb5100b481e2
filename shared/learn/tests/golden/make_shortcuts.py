#!/usr/bin/env python3
"""Golden figures for study/shortcuts.rs, by scikit-learn and numpy.

    pip install scikit-learn==1.9.1
    python make_shortcuts.py > shortcuts.json

Rows come from the same integer formula as tests/study/support.rs; folds are the study's, read from the shortcuts.json that is there
(the test says whether they still are). Out-of-fold AUC of StandardScaler and LogisticRegression for each site and level against the
rest; AUC of the label's own out-of-fold score for the level, among rows of each class; standardised mean differences of sites.
"""
import json
import os
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, os.path.dirname(__file__))
from make_logistic import lines  # noqa: E402

N, D, SITES, SALT = 450, 6, 3, 91

X, y, site = lines(N, D, SITES, SALT)
patient = np.array([p for p in range(N) for _ in range(2 if p % 3 == 0 else 1)])
level = patient % 7 % 3
X[:, 1] += 0.1 * 0.6 * level
# Rows stand by site, then by patient.
order = np.lexsort((np.arange(len(y)), patient, site))
X, y, site, level = X[order], y[order], site[order], level[order]
with open(os.path.join(os.path.dirname(__file__), "shortcuts.json")) as file:
    folds = np.array(json.load(file)["folds"])


def out_of_fold(target, C):
    score = np.zeros(len(target))
    for k in range(folds.max() + 1):
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=C, solver="newton-cholesky", tol=1e-13, max_iter=1000),
        ).fit(X[folds != k], target[folds != k])
        score[folds == k] = model.decision_function(X[folds == k])
    return score


def distance(a, b):
    both = np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2)
    d = np.abs(a.mean(axis=0) - b.mean(axis=0)) / both
    return {
        "root_mean_square": float(np.sqrt(np.mean(d ** 2))),
        "beyond": [float(np.mean(d > 0.2)), float(np.mean(d > 0.5))],
        "largest": float(d.max()),
        "largest_feature": int(d.argmax()),
        "variance_ratio": float(np.exp(np.mean(np.log(a.var(axis=0) / b.var(axis=0))))),
    }


marks = [site == s for s in range(SITES)] + [level == k for k in range(3)]
score = out_of_fold(y, 1.0)
print(json.dumps({
    "folds": folds.tolist(),
    "auc": [roc_auc_score(m, out_of_fold(m.astype(int), 1 / D)) for m in marks],
    "among": [[roc_auc_score(m[y == c], score[y == c]) for c in (0, 1)] for m in marks],
    "from_others": [distance(X[site == s], X[site != s]) for s in range(SITES)],
    "pairs": [
        distance(X[site == a], X[site == b]) for a in range(SITES) for b in range(a + 1, SITES)
    ],
}))
