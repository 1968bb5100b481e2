"""Writes crossed.json: made-up patients with two sensitive features, and what fairlearn's MetricFrame of both says.

    pip install numpy pandas scikit-learn fairlearn
    python make_crossed.py
"""

import importlib.metadata
import json
import pathlib
import platform

import fairlearn.metrics as fl
import numpy as np
import pandas
import sklearn.metrics as sk

THRESHOLD = 0.3
METRICS = {
    "roc_auc_score": sk.roc_auc_score,
    "sensitivity": fl.true_positive_rate,
    "specificity": fl.true_negative_rate,
    "selection_rate": fl.selection_rate,
}


def main():
    rng = np.random.default_rng(20261127)
    n = 600
    rows = pandas.DataFrame(
        {
            "site": rng.integers(0, 3, n),
            "sex": rng.integers(0, 2, n),
            "age": rng.integers(0, 3, n),
            "label": rng.random(n) < 0.4,
        }
    )
    logit = rng.normal(size=n) + 1.2 * rows["label"] - 0.8 + 0.4 * rows["sex"] * (rows["age"] == 2)
    rows["score"] = (1 / (1 + np.exp(-logit))).round(4)
    called = rows["score"] >= THRESHOLD

    def frame(features, of=slice(None)):
        by = rows.loc[of, features]
        auc = fl.MetricFrame(metrics=METRICS["roc_auc_score"], y_true=rows.loc[of, "label"], y_pred=rows.loc[of, "score"],
                             sensitive_features=by)
        rates = {name: metric for name, metric in METRICS.items() if name != "roc_auc_score"}
        rest = fl.MetricFrame(metrics=rates, y_true=rows.loc[of, "label"], y_pred=called[of], sensitive_features=by)
        # Rates of nobody and of everybody are cells that a report withholds.
        assert ((rest.by_group > 0) & (rest.by_group < 1)).all(axis=None)
        groups = {}
        for group in rest.by_group.index:
            key = " ".join(str(level) for level in (group if isinstance(group, tuple) else (group,)))
            groups[key] = {"roc_auc_score": auc.by_group[group], **rest.by_group.loc[group].to_dict()}
        return {
            "by_group": groups,
            "difference": {"roc_auc_score": auc.difference(), **rest.difference().to_dict()},
            "ratio": {"roc_auc_score": auc.ratio(), **rest.ratio().to_dict()},
            "equalized_odds_difference": fl.equalized_odds_difference(
                rows.loc[of, "label"], called[of], sensitive_features=by
            ),
        }

    golden = {
        "made_with": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ["numpy", "pandas", "scikit-learn", "fairlearn"]},
        "rows": [
            [int(row.site), int(row.sex), int(row.age), int(row.label), float(row.score)] for row in rows.itertuples()
        ],
        "sex and age": frame(["sex", "age"]),
        "sex at site": [frame(["sex"], rows["site"] == site) for site in range(3)],
    }
    path = pathlib.Path(__file__).with_name("crossed.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
