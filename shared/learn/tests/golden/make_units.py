#!/usr/bin/env python3
"""Golden figures for rows/units.rs: exams and patients judged by their images, by pandas and scikit-learn.

    pip install pandas scikit-learn==1.9.1
    python make_units.py > units.json

Scores of a unit are the mean or the largest of its images' probabilities, its class is positive as soon as one image
is, its level the one that images of known level agree on (2 is unknown).
"""
import json
import platform

import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

random = np.random.default_rng(5)
lines = []
for patient in range(160):
    tendency, level = random.normal(), int(random.integers(0, 2))
    for exam in range(int(random.integers(1, 4))):
        for _ in range(int(random.integers(1, 5))):
            positive = int(random.random() < 1 / (1 + np.exp(1.2 - tendency)))
            seen = level if random.random() < 0.7 else int(random.integers(0, 3))
            logit = round(float(0.8 * tendency + positive + random.normal()), 6)
            lines.append([f"s{patient % 3}", f"p{patient}", f"e{exam}", positive, seen, logit])
order = random.permutation(len(lines))
rows = pd.DataFrame([lines[at] for at in order], columns=["site", "patient", "exam", "y", "level", "logit"])
rows["p"] = 1 / (1 + np.exp(-rows["logit"]))


def level(values):
    known = set(values) - {2}
    return known.pop() if len(known) == 1 else 2


units = []
for name, keys in [("exam", ["patient", "exam"]), ("patient", ["patient"])]:
    for score in ["mean", "max"]:
        groups = rows.groupby(keys, sort=True)
        of = groups.agg(p=("p", score), y=("y", "max"), level=("level", level), count=("y", "size"), kinds=("y", "nunique"))
        patients = of.reset_index()
        by_level = [
            {
                "units": [int(sum((part.y == y))) for y in (0, 1)],
                "patients": [int(part[part.y == y].patient.nunique()) for y in (0, 1)],
                "all_patients": int(part.patient.nunique()),
                "rows": int(part["count"].sum()),
                "mixed": [int((part.kinds > 1).sum()), int(part[part.kinds > 1].patient.nunique())],
            }
            for part in (patients[patients.level == k] for k in range(3))
        ]
        units.append(
            {
                "unit": name,
                "score": score,
                "auc": roc_auc_score(of.y, of.p),
                "brier": brier_score_loss(of.y, of.p) * len(of),
                "log_loss": log_loss(of.y, of.p, normalize=False),
                "levels": by_level,
            }
        )
by_image = {"auc": roc_auc_score(rows.y, rows.p)}
print(
    json.dumps(
        {
            "made_by": f"scikit-learn {sklearn.__version__}, pandas {pd.__version__}, Python {platform.python_version()}",
            "rows": rows[["site", "patient", "exam", "y", "level", "logit"]].values.tolist(),
            "by_image": by_image,
            "units": units,
        }
    )
)
