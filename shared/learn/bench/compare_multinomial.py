#!/usr/bin/env python3
"""Logistic regression of several classes beside scikit-learn's: out-of-fold AUC of each class against the rest, mean over
classes, on the same rows and folds; one model per class, and one of all classes.

    pip install numpy scikit-learn
    cargo build --release -p wardround-learn --example study_on_features
    python compare_multinomial.py FEATURES.npy MANIFEST.csv [--target diagnosis] [--patient lesion_id] [--c 0.0001]
        [--example PATH] [--folds 5]
"""
import argparse
import csv
import os
import re
import subprocess
import tempfile

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

EXAMPLE = os.path.join(os.path.dirname(__file__), "../../../target/release/examples/study_on_features")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("features")
    parser.add_argument("manifest")
    parser.add_argument("--target", default="diagnosis")
    parser.add_argument("--patient", default="lesion_id")
    parser.add_argument("--c", type=float, default=1e-4)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--example", default=EXAMPLE)
    args = parser.parse_args()
    x, rows = np.load(args.features), list(csv.DictReader(open(args.manifest)))
    labels = sorted({row[args.target] for row in rows})
    y = np.array([labels.index(row[args.target]) for row in rows])
    with tempfile.TemporaryDirectory() as folder:
        column = os.path.join(folder, "folds.txt")

        def ours(multi_class):
            out = subprocess.run(
                [args.example, args.features, args.manifest, "--target", args.target, "--positive", ",".join(labels),
                 "--patient", args.patient, "--leave-one-site-out", "no", "--folds", str(args.folds), "--fold-column", column,
                 "--classifier", f'kind = "logistic"; c = [{args.c}]; multi_class = "{multi_class}"'],
                capture_output=True, text=True, check=True)
            aucs = [float(auc) for auc in re.findall(r"used for choosing.*one list ([\d.]+)", out.stdout)]
            rounds = max(int(n) for n in re.findall(r"Round { round: (\d+)", out.stderr))
            return aucs, rounds, float(re.search(r"([\d.]+) s\s*$", out.stdout)[1])

        logistic = LogisticRegression(C=args.c, tol=1e-6, max_iter=10_000)
        for multi_class, model in (("one-vs-rest", OneVsRestClassifier(logistic)), ("multinomial", logistic)):
            aucs, rounds, seconds = ours(multi_class)
            fold = np.loadtxt(column, dtype=int)
            p = np.zeros((len(y), len(labels)))
            for k in range(args.folds):
                fitted = make_pipeline(StandardScaler(), model).fit(x[fold != k], y[fold != k])
                # Those of one model per class are wanted as they are, not divided by their sum.
                p[fold == k] = (fitted.decision_function(x[fold == k]) if multi_class == "one-vs-rest"
                                else fitted.predict_proba(x[fold == k]))
            theirs = [roc_auc_score(y == k, p[:, k]) for k in range(len(labels))]
            print(f"{multi_class}: {np.mean(aucs):.4f}, scikit-learn {np.mean(theirs):.4f}; {rounds} rounds, {seconds:.1f} s; "
                  + ", ".join(f"{label} {a:.4f} ({b:.4f})" for label, a, b in zip(labels, aucs, theirs)), flush=True)


if __name__ == "__main__":
    main()
