#!/usr/bin/env python3
"""Golden figures for study/curve.rs, by scikit-learn and numpy.

    pip install scikit-learn==1.9.1
    python make_curve.py > curve.json

Rows come from the same integer formula as tests/study/support.rs; folds are the study's, as shortcuts.json has them (the test says
whether they still are). Each fold is judged by StandardScaler and LogisticRegression of the one, two, three or four folds that follow
it: AUC in one list, and over pairs of rows of one site.
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
# Rows stand by site, then by patient.
order = np.lexsort((np.arange(len(y)), patient, site))
X, y, site = X[order], y[order], site[order]
with open(os.path.join(os.path.dirname(__file__), "shortcuts.json")) as file:
    folds = np.array(json.load(file)["folds"])
count = folds.max() + 1


def step(size):
    score = np.zeros(len(y))
    for k in range(count):
        train = np.isin(folds, [(k + 1 + j) % count for j in range(size)])
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-13, max_iter=1000),
        ).fit(X[train], y[train])
        score[folds == k] = model.decision_function(X[folds == k])
    won = pairs = 0
    for s in range(SITES):
        here = site == s
        n = int(y[here].sum()) * int((1 - y[here]).sum())
        won, pairs = won + n * roc_auc_score(y[here], score[here]), pairs + n
    return {"within_sites": won / pairs, "one_list": roc_auc_score(y, score)}


print(json.dumps({"folds": folds.tolist(), "steps": [step(size) for size in range(1, count)]}))
