"""Makes smote.json: what rows/resample/tests.rs compares neighbours and synthetic rows with.

    pip install numpy==2.4.6 scikit-learn==1.9.1 imbalanced-learn==0.14.2
    python make_smote.py > smote.json

Neighbours are those that imbalanced-learn's SMOTE asks for, on features standardised over all rows; synthetic
rows are made by its own `_generate_samples`, with rows, neighbours and steps drawn here.
"""

import json

import imblearn
import numpy as np
import sklearn
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(11)
D, SMALL, LARGE = 6, 23, 61
x = rng.normal(size=(SMALL + LARGE, D)) * [1, 30, 0.01, 5, 1, 1000] + [0, 9, 0, -4, 1, 1e4]
y = rng.permutation([1] * SMALL + [0] * LARGE)
x[y == 1] += [0.5, 10, 0.002, 1, 0, 300]

z = StandardScaler().fit_transform(x)[y == 1]
smote = SMOTE(k_neighbors=5)
nearest = NearestNeighbors(n_neighbors=smote.k_neighbors + 1).fit(z).kneighbors(z)[1][:, 1:]
rows = rng.integers(SMALL, size=40)
columns = rng.integers(smote.k_neighbors, size=40)
steps = rng.random(40)[:, None]
small = x[y == 1]
made = smote._generate_samples(small, small, nearest, rows, columns, steps)

print(json.dumps({
    "versions": {"imbalanced-learn": imblearn.__version__, "scikit-learn": sklearn.__version__},
    "features": x.tolist(),
    "class": y.tolist(),
    "nearest": np.flatnonzero(y == 1)[nearest].tolist(),
    "row": np.flatnonzero(y == 1)[rows].tolist(),
    "column": columns.tolist(),
    "step": steps[:, 0].tolist(),
    "made": made.tolist(),
}))
