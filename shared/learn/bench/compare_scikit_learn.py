#!/usr/bin/env python3
"""Classifiers beside scikit-learn's: time to fit and AUC on the same rows, columns and folds.

    pip install numpy scikit-learn
    cargo build --release -p wardround-learn --example study_on_features
    python compare_scikit_learn.py FEATURES.npy MANIFEST.csv [--target diagnosis] [--positive mel]
        [--patient lesion_id] [--folds 5] [--seeds 3]

First the time of three fits (each half of the rows, and all of them), in turns, as one place. Then out-of-fold AUCs of every seed's
deal. An idle machine, please. Both use two threads, depth 8 and 300 trees (forest), depth 4 and 100 trees (boosting), 10 patients or
rows per leaf. Linear models end within 1e-7 of the optimum here; scikit-learn's are given tolerances of
1e-6, at which their weights are within 1e-4 of the optimum.
"""
import argparse
import csv
import os
import re
import subprocess
import tempfile
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

EXAMPLE = os.path.join(os.path.dirname(__file__), "../../../target/release/examples/study_on_features")

KINDS = {
    "logistic": ('kind = "logistic"; c = [0.003]',
                 lambda seed: make_pipeline(StandardScaler(), LogisticRegression(C=0.003, tol=1e-6, max_iter=10_000))),
    "linear-svm": ('kind = "linear-svm"; c = [0.001]',
                   lambda seed: make_pipeline(
                       StandardScaler(), LinearSVC(C=0.001, dual=False, tol=1e-6, intercept_scaling=100, max_iter=10_000))),
    "forest": ('kind = "forest"; trees = [300]; depth = [8]; min_patients = [10]',
               lambda seed: RandomForestClassifier(300, max_depth=8, min_samples_leaf=10, n_jobs=2, random_state=seed)),
    "boosting": ('kind = "boosting"; trees = [100]; depth = [4]; min_patients = [10]',
                 lambda seed: HistGradientBoostingClassifier(
                     max_iter=100, max_depth=4, max_leaf_nodes=None, learning_rate=0.1, l2_regularization=1, max_bins=64,
                     min_samples_leaf=10, early_stopping=False, random_state=seed)),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("features")
    parser.add_argument("manifest")
    for name, default in (("target", "diagnosis"), ("positive", "mel"), ("patient", "lesion_id")):
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    x, rows = np.load(args.features), list(csv.DictReader(open(args.manifest)))
    y = np.array([row[args.target] == args.positive for row in rows]).astype(int)
    os.environ["RAYON_NUM_THREADS"] = "2"
    with tempfile.TemporaryDirectory() as folder:
        one = os.path.join(folder, "one.csv")
        with open(one, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows({**row, "site": "one"} for row in rows)

        def ours(classifier, folds, seed):
            column = os.path.join(folder, "folds.txt")
            out = subprocess.run(
                [EXAMPLE, args.features, one, "--target", args.target, "--positive", args.positive, "--patient", args.patient,
                 "--leave-one-site-out", "no", "--folds", str(folds), "--seed", str(seed), "--fold-column", column,
                 "--classifier", classifier], capture_output=True, text=True, check=True)
            text = out.stderr + out.stdout
            begin, end = (float(re.search(rf'([\d.]+) s  Phase {{ name: "{phase}"', text)[1])
                          for phase in ("(?:fit|trees)", "scores to choose by"))
            auc = float(re.search(r"used for choosing.*one list ([\d.]+)", text)[1])
            return end - begin, auc, np.loadtxt(column, dtype=int)

        for name, (classifier, make) in KINDS.items():
            seconds = []
            for _ in range(3):
                mine, _, fold = ours(classifier, 2, 1)
                start = time.time()
                for part in (fold == 0, fold == 1, fold >= 0):
                    make(1).fit(x[part], y[part])
                seconds.append((mine, time.time() - start))
            mine, theirs = np.median(seconds, axis=0)
            print(f"{name}: {mine:.1f} s, scikit-learn {theirs:.1f} s: {theirs / mine:.2f} times as fast", flush=True)
        for name, (classifier, make) in KINDS.items():
            aucs = []
            for seed in range(1, args.seeds + 1):
                _, auc, fold = ours(classifier, args.folds, seed)
                p = np.zeros(len(y))
                for k in range(args.folds):
                    fitted = make(seed).fit(x[fold != k], y[fold != k])
                    by_margin = not hasattr(fitted, "predict_proba")
                    held_out = x[fold == k]
                    p[fold == k] = fitted.decision_function(held_out) if by_margin else fitted.predict_proba(held_out)[:, 1]
                aucs.append((auc, roc_auc_score(y, p)))
            mine, theirs = np.mean(aucs, axis=0)
            print(f"{name}: AUC {mine:.4f}, scikit-learn {theirs:.4f} (mean of {args.seeds} deals of folds)", flush=True)


if __name__ == "__main__":
    main()
