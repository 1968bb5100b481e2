#!/usr/bin/env python3
"""Golden kappas for metrics_readers.rs, by statsmodels, and one clustered by patient, by plain numpy.

    pip install statsmodels==0.15.0 numpy
    python make_readers.py > readers.json

statsmodels has Fleiss, Cohen and Everitt's standard error for single rows. The clustered one is the square root of the
sum over patients of (what a patient's rows move kappa)^2, each row's share by numerical derivatives of kappa.
"""
import json
import platform

import numpy as np
import statsmodels
from statsmodels.stats.inter_rater import cohens_kappa

random = np.random.default_rng(3)


def drawn(classes, rows, agree):
    first = np.minimum(random.integers(0, classes, rows), random.integers(0, classes, rows))
    other = random.integers(0, classes, rows)
    return first, np.where(random.random(rows) < agree, first, other)


def cross(first, second, classes):
    table = np.zeros((classes, classes), int)
    np.add.at(table, (first, second), 1)
    return table


def kappa(table):
    p = table / table.sum()
    chance = p.sum(1) @ p.sum(0)
    return (np.trace(p) - chance) / (1 - chance)


cases = []
for classes, rows, agree in [(2, 60, 0.7), (2, 400, 0.95), (4, 300, 0.5), (7, 900, 0.8), (3, 40, 0.0)]:
    table = cross(*drawn(classes, rows, agree), classes)
    found = cohens_kappa(table)
    cases.append(
        {"classes": classes, "table": table.ravel().tolist(), "kappa": found.kappa, "error": found.std_kappa}
    )

first, second = drawn(3, 240, 0.6)
patients = np.sort(random.integers(0, 90, 240))
table = cross(first, second, 3).astype(float)
moves = np.zeros((3, 3))
for i in range(3):
    for j in range(3):
        step = np.zeros((3, 3))
        step[i, j] = 1e-4
        moves[i, j] = (kappa(table + step) - kappa(table - step)) / 2e-4
of_patient = np.zeros(90)
np.add.at(of_patient, patients, moves[first, second])
clustered = {
    "rows": np.stack([patients, first, second], 1).tolist(),
    "kappa": kappa(table),
    "error": float(np.sqrt((of_patient**2).sum())),
}
print(
    json.dumps(
        {
            "made_by": f"statsmodels {statsmodels.__version__}, numpy {np.__version__}, Python {platform.python_version()}",
            "cases": cases,
            "clustered": clustered,
        }
    )
)
