#!/usr/bin/env python3
"""Golden figures of models on reduced features for study/reduced.rs and the unit tests of pca.rs and
study/reduce.rs, by scikit-learn.

    pip install scikit-learn==1.9.1
    python make_reduced.py > reduced.json

The rows are those of make_logistic.py. Of every case: the model of all rows, its weights taken back to
the standardised features, and for every site the AUC at it of the whole pipeline (scaler, PCA or
selection, classifier) fitted to the other sites' rows. `variance` is of features in their own units.
"""
import json
import platform

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.feature_selection import f_classif
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import make_closed_form
import make_logistic

FITS = {"logistic": make_logistic.fit, "ridge": make_closed_form.ridge,
        "lda": make_closed_form.lda, "nearest": make_closed_form.nearest}


def basis(reduce, X, Z, y):
    """One column per direction, of standardised features."""
    kind, count = reduce.split(":")
    count = int(count)
    if kind == "pca":
        return PCA(n_components=count, svd_solver="full").fit(Z).components_.T
    score = X.var(axis=0) if kind == "variance" else f_classif(Z, y)[0]
    kept = np.sort(np.argsort(-score, kind="stable")[:count])
    return np.eye(Z.shape[1])[:, kept]


def pipeline(learner, reduce, C, X, Z, y):
    V = basis(reduce, X, Z, y)
    model = FITS[learner](Z @ V, y, C)
    return V @ np.array(model["weights"]), model["intercept"]


def case(learner, reduce, n, d, sites, salt, C, standardise="all"):
    X, y, site = make_logistic.lines(n, d, sites, salt)
    own = X.copy()
    for s in range(sites):
        own[site == s] = StandardScaler().fit_transform(X[site == s])
    Z = StandardScaler().fit_transform(X) if standardise == "all" else own
    w, b = pipeline(learner, reduce, C, X, Z, y)
    out = {"learner": learner, "reduce": reduce, "n": n, "d": d, "sites": sites, "salt": salt, "C": C,
           "standardise": standardise, "weights": w.tolist(), "intercept": float(b), "left_out": []}
    for s in range(sites):
        train, test = site != s, site == s
        scaler = StandardScaler().fit(X[train])
        scale = scaler.transform if standardise == "all" else None
        Z, T = (scale(X[train]), scale(X[test])) if scale else (own[train], own[test])
        w, b = pipeline(learner, reduce, C, X[train], Z, y[train])
        out["left_out"].append(roc_auc_score(y[test], T @ w + b))
    return out


if __name__ == "__main__":
    few, many = (300, 8, 4), (400, 90, 4)
    cases = [case(learner, f"{kind}:3", *few, 1, C, standardise)
             for learner, C in (("logistic", 0.5), ("ridge", 2.0), ("lda", 0.1), ("nearest", 1.0))
             for kind in ("pca", "univariate", "variance") for standardise in ("all", "site")]
    cases += [case(learner, reduce, *many, 3, C)
              for learner, C in (("logistic", 0.05), ("ridge", 50.0))
              for reduce in ("pca:12", "univariate:20", "variance:20")]
    X, y, _ = make_logistic.lines(150, 20, 3, 9)
    pca = PCA(n_components=5, svd_solver="full").fit(StandardScaler().fit_transform(X))
    F = f_classif(X, y)[0]
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases,
                      "rows": {"n": 150, "d": 20, "sites": 3, "salt": 9},
                      "components": pca.components_.tolist(), "variances": (pca.explained_variance_ * (len(X) - 1) / len(X)).tolist(),
                      "f_values": F.tolist()}))
