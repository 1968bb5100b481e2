#!/usr/bin/env python3
"""Makes suspects.tsv: which of 300 rows cleanlab suspects of a wrong label, 30 of which were given one.

    pip install cleanlab
    python make_suspects.py

A line is a label, the probability of class 1, and 1 where cleanlab's confident learning suspects the row.
"""
import os

import numpy as np
from cleanlab.filter import find_label_issues

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)
truth = rng.random(300) < 0.3
p = np.round(1 / (1 + np.exp(-(rng.normal(0, 1.3, 300) + np.where(truth, 1.4, -1.6)))), 6)
label = truth.copy()
wrong = rng.choice(300, 30, replace=False)
label[wrong] = ~label[wrong]
probabilities = np.column_stack([1 - p, p])
found = find_label_issues(label.astype(int), probabilities, filter_by="confident_learning", n_jobs=1)
with open(os.path.join(HERE, "suspects.tsv"), "w") as out:
    for y, value, suspect in zip(label, p, found):
        out.write(f"{int(y)}\t{value}\t{int(suspect)}\n")
print(found.sum(), "suspects,", found[wrong].sum(), "of them wrong")
