#!/usr/bin/env python3
"""Golden distances for the unit tests of distance.rs, by scikit-learn and numpy.

    pip install scikit-learn==1.9.1
    python make_outliers.py > outliers.json

The rows are those of make_logistic.py. Of every case: squared Mahalanobis distances per column, to the nearest class mean, of rows that
had no part in it. The covariance is that within classes, as LinearDiscriminantAnalysis has it, shrunk as shrunk_covariance does; where
it has fewer directions than columns, all smaller eigenvalues are their mean.
"""
import json
import platform
import sys

import numpy as np
import sklearn
from sklearn.covariance import shrunk_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

import make_logistic

SHRINKAGE = 0.05


def case(n, d, sites, salt, directions):
    X, y, _ = make_logistic.lines(n, d, sites, salt)
    train, test = np.arange(len(y)) % 4 > 0, np.arange(len(y)) % 4 == 0
    scaler = StandardScaler().fit(X[train])
    Z, T = scaler.transform(X[train]), scaler.transform(X[test])
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(Z, y[train])
    values, vectors = np.linalg.eigh(lda.covariance_)
    if directions < d:
        values[: d - directions] = values[: d - directions].mean()
    covariance = shrunk_covariance(vectors @ np.diag(values) @ vectors.T, shrinkage=SHRINKAGE)
    inverse = np.linalg.inv(covariance)
    away = [T - mean for mean in lda.means_]
    squared = np.min([np.einsum("ij,jk,ik->i", a, inverse, a) for a in away], axis=0) / d
    return {"n": n, "d": d, "sites": sites, "salt": salt, "directions": directions, "squared": squared.tolist()}


if __name__ == "__main__":
    cases = [case(90, 6, 3, 5, 6), case(90, 6, 3, 5, 2), case(80, 9, 2, 8, 4), case(60, 4, 2, 9, 0)]
    json.dump({"made_by": {"numpy": np.__version__, "scikit-learn": sklearn.__version__,
                           "python": platform.python_version()}, "cases": cases}, sys.stdout)
