#!/usr/bin/env python3
"""Golden probabilities of exported models for model_files/golden.rs, by onnxruntime.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0
    python check_onnx.py TARGET/debug/wardround

Writes, into onnx/ beside this script, small model bundles of made-up numbers (format 1, or 2 for what 1 doesn't
know; see wardround_learn::bundle), has the
program export them, holds every exported file to onnx's checker with full shape inference, runs it under onnxruntime and stores
the probabilities in onnx.json. They must agree with the formula in numpy's double precision, and those of linear
models with onnx's own reference evaluator, to 1e-6. Random Fourier features are make_rbf.py's.

Rows are float32 numbers; a missing one is null, and so is a probability that is no number. 1e39 is infinite as float32: JSON has
no word for it.
"""
import json
import pathlib
import platform
import struct
import subprocess
import sys

import numpy as np
import onnx
import onnx.reference
import onnxruntime
import scipy.special

sys.path.append(str(pathlib.Path(__file__).parents[3] / "shared/learn/tests/golden"))
import make_rbf  # noqa: E402

OUT = pathlib.Path(__file__).parent / "onnx"
INFINITE = 1e39
NODE = ["feature", "value", "missing", "left"]
FIGURES = {"auc_within_sites": 0.8125, "auc_one_list": 0.79, "sensitivity": 0.75, "specificity": None}


def safetensors(manifest, tensors):
    header, data = {"__metadata__": {"wardround": json.dumps(manifest, separators=(",", ":"))}}, b""
    for name in sorted(tensors):
        values = np.asarray(tensors[name], dtype="<f8").ravel()
        end = len(data) + values.nbytes
        header[name] = {"dtype": "F64", "shape": [values.size], "data_offsets": [len(data), end]}
        data += values.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def table(names):
    return {"kind": "table", "features": names, "table": {"categorical": [], "missing": "drop", "numeric": names}}


def images(backbone):
    return {"kind": "images", "backbone": backbone, "weights_source": "shipped", "weights_digest": "ab" * 32,
            "preprocessing": {"resize": 224}}


def manifest(features, classes, feature_input, models):
    return {"format": 2 if any("learner" in model for model in models) else 1, "software": "wardround 0.1.0", "study": "Made up", "study_digest": "cd" * 32, "target": "kind",
            "classes": classes, "input": feature_input, "features": features, "sites": ["graz", "wien"], "models": models}


def linear_entry(k, method, standardise, missing):
    if method in ("multinomial", "elastic-net"):
        point = {"c": 0.5, "standardise": standardise} | ({"l1_ratio": 0.5} if method == "elastic-net" else {})
        method = "multinomial" if method == "multinomial" else "logistic"
        return {"class": k, "learner": {"kind": "linear", "method": method, "point": point, "missing": missing}, "figures": FIGURES}
    if method in ("logistic", "squared-hinge"):
        return {"class": k, "loss": method, "c": 0.5, "standardise": standardise, "missing": missing, "figures": FIGURES}
    point = {"standardise": standardise} | {"ridge": {"alpha": 2.0}, "lda": {"shrinkage": 0.1}, "nearest-mean": {}}[method]
    learner = {"kind": "linear", "method": method, "point": point, "missing": missing}
    return {"class": k, "learner": learner, "figures": FIGURES}


def linear(rng, d, classes, modelled, feature_input, *, methods=("logistic",), fill=False, mean=0.0, deviation=1.0, steep=1.0,
           standardise="all"):
    """Classes share the scaler, as they do in a study where one grid point is chosen for all; fills differ from means."""
    tensors, models, numbers = {}, [], []
    means = mean * rng.uniform(0.5, 2.0, d) + rng.normal(size=d)
    deviations = deviation * rng.uniform(0.5, 2.0, d)
    fills = means + deviations * rng.normal(size=d)
    for k in modelled:
        weights, intercept = steep * rng.normal(size=d), rng.normal()
        if methods == ["elastic-net"]:
            weights[::2] = 0.0
        tensors |= {f"class.{k}.weights": weights, f"class.{k}.intercept": [intercept],
                    f"class.{k}.threshold": [round(float(rng.uniform(0.2, 0.8)), 3)]}
        if standardise == "all":
            tensors |= {f"class.{k}.mean": means, f"class.{k}.deviation": deviations}
        if fill:
            tensors[f"class.{k}.fill"] = fills
        method = methods[len(models) % len(methods)]
        models.append(linear_entry(k, method, standardise, "filled" if fill else "refused"))
        numbers.append((weights, intercept))

    def scores(rows):
        rows = np.where(np.isfinite(rows), rows, fills if fill else np.nan).astype(np.float64)
        return np.stack([((rows - means) / deviations) @ w + b for w, b in numbers], axis=1)

    def expected(rows):
        if methods == ["multinomial"]:
            return scipy.special.softmax(scores(rows), axis=1)
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-scores(rows)))

    # A probability near 1 has lost most digits of its logit.
    expected.scores = scores

    rows = (means + deviations * rng.normal(size=(12, d))).astype(np.float32)
    return manifest(d, classes, feature_input, models), tensors, rows, expected


def tree(rng, d, depth, leaf):
    """Nodes (feature, value, missing, left), children after their parents; a leaf has feature -1."""
    nodes, open_nodes = [None], [(0, 0)]
    for at, level in open_nodes:
        if level == depth or (level > 1 and rng.random() < 0.2):
            nodes[at] = (-1, leaf(), 0, 0)
            continue
        left = len(nodes)
        nodes += [None, None]
        nodes[at] = (int(rng.integers(d)), float(rng.normal()), int(rng.integers(2)), left)
        open_nodes += [(left, level + 1), (left + 1, level + 1)]
    return nodes


def leaf_of(nodes, row):
    at = 0
    while nodes[at][0] >= 0:
        feature, below, missing, left = nodes[at]
        at = left + int(missing if np.isnan(row[feature]) else row[feature] >= below)
    return nodes[at][1]


def trees(rng, d, classes, modelled, feature_input, kind, count=7):
    tensors, models, grown = {}, [], []
    for k in modelled:
        leaf = (lambda: float(rng.uniform())) if kind == "forest" else (lambda: float(rng.normal()))
        start = 0.0 if kind == "forest" else float(rng.normal())
        many = [tree(rng, d, 3, leaf) for _ in range(count)]
        # A row on a threshold goes right, one a hair below goes left: float32 thresholds would send both the same way.
        for nodes, hair in zip(many, [0.0, 1e-12]):
            nodes[0] = (nodes[0][0], 0.25 + hair, *nodes[0][2:])
        if kind == "forest" and k == modelled[-1]:
            # All leaves at 1: the mean's bound counts.
            many = [[(f, 1.0 if f < 0 else v, m, left) for f, v, m, left in nodes] for nodes in many]
        flat = [node for nodes in many for node in nodes]
        tensors |= {f"class.{k}.start": [start], f"class.{k}.nodes": [len(nodes) for nodes in many],
                    f"class.{k}.threshold": [0.5]}
        tensors |= {f"class.{k}.{name}": [node[i] for node in flat] for i, name in enumerate(NODE)}
        point = {"trees": count, "depth": 3, "min_patients": 5}
        if kind == "boosting":
            point |= {"learning_rate": 0.1, "l2": 1.0}
        models.append({"class": k, "learner": {"kind": "trees", "point": point}, "figures": FIGURES})
        grown.append((start, many))
    rows = rng.normal(size=(12, d)).astype(np.float32)
    rows[3, 0] = rows[5, 1] = rows[5, 2] = np.nan
    for at in 0, 1:
        rows[7 + at, grown[0][1][at][0][0]] = 0.25
    rows[9, 0] = np.inf

    def expected(rows):
        columns = []
        for start, many in grown:
            sums = np.array([start + sum(leaf_of(nodes, row) for nodes in many) for row in rows.astype(np.float64)])
            column = np.clip(sums / count, 1e-6, 1 - 1e-6) if kind == "forest" else 1 / (1 + np.exp(-sums))
            columns.append(np.where(np.isinf(rows).any(axis=1), np.nan, column))
        return np.stack(columns, axis=1)

    return manifest(d, classes, feature_input, models), tensors, rows, expected


def cases():
    two, three = ["benign", "malignant"], ["mel", "nv", "bcc"]
    names = [f"x{i}" for i in range(5)]

    def rng(seed):
        return np.random.default_rng(seed)

    yield "two_classes", linear(rng(1), 5, two, [1], table(names))
    yield "three_classes", linear(rng(2), 5, three, [0, 1, 2], table(names))
    yield "svm", linear(rng(3), 5, two, [1], table(names), methods=["squared-hinge"])
    yield "closed_form", linear(rng(12), 5, three, [0, 1, 2], table(names), methods=["ridge", "lda", "nearest-mean"])
    yield "images", linear(rng(4), 16, three, [0, 2], images("resnet18"))
    yield "large_means", linear(rng(5), 5, three, [0, 1, 2], table(names), fill=True, mean=3e6, deviation=2.0)
    yield "steep", linear(rng(6), 5, two, [1], table(names), steep=400.0)
    filled = linear(rng(7), 5, three, [0, 1, 2], table(names), fill=True)
    rows = filled[2]
    rows[0, 1] = rows[1, 0] = rows[1, 4] = np.nan
    rows[2, :] = np.nan
    rows[3, 2], rows[4, 2] = np.inf, -np.inf
    yield "filled", filled
    refused = linear(rng(8), 5, two, [1], table(names))
    rows = refused[2]
    rows[0, 1], rows[3, 2], rows[4, 2] = np.nan, np.inf, -np.inf
    yield "refused", refused
    yield "forest", trees(rng(9), 5, three, [0, 1, 2], table(names), "forest")
    yield "boosting", trees(rng(10), 5, two, [1], table(names), "boosting")
    yield "kernel", kernel(rng(13), 5, two, [1])
    yield "multinomial", linear(rng(15), 5, three, [0, 1, 2], table(names), methods=["multinomial"])
    yield "multinomial_filled", linear(rng(16), 5, three, [0, 1, 2], table(names), methods=["multinomial"], fill=True, steep=30.0)
    yield "elastic_net", linear(rng(17), 16, two, [1], images("resnet18"), methods=["elastic-net"])
    yield "kernel_filled", kernel(rng(14), 5, three, [0, 1, 2], fill=True)
    members = [linear(rng(15), 5, two, [1], table(names), fill=True), trees(rng(16), 5, two, [1], table(names), "boosting"),
               kernel(rng(17), 5, two, [1], fill=True)]
    yield "vote", ensemble(members)
    yield "stack", ensemble(members, weights=[0.8, -0.5, 1.7], intercept=0.3)
    yield "machine", machine(rng(21), 5, two, [1])
    yield "machine_filled", machine(rng(22), 5, three, [0, 1, 2], fill=True)
    # Of members that are sure, the other class still counts.
    steep = [linear(rng(s), 5, two, [1], table(names), steep=400.0) for s in (18, 19)]
    yield "stack_steep", ensemble(steep, weights=[0.6, 0.7], intercept=-0.2)


def kernel(rng, d, classes, modelled, *, standardise="all", fill=False, components=128, gamma=0.7, seed=11):
    """Gaussian kernels on random Fourier features; the frequencies by the seed's HMAC and scipy's Hadamard matrix."""
    make_rbf.SEED = seed
    W = make_rbf.frequencies(d, components // 2, gamma)
    means, inverse = rng.normal(size=d), rng.uniform(0.5, 2.0, d)
    inverse[-1] = 0.0
    point = {"c": 0.5, "gamma": gamma, "components": components, "standardise": standardise}
    tensors, models, numbers = {}, [], []
    for k in modelled:
        weights, intercept = 3 * rng.normal(size=components), rng.normal()
        tensors |= {f"class.{k}.weights": weights, f"class.{k}.intercept": [intercept], f"class.{k}.threshold": [0.5]}
        if standardise == "all":
            tensors |= {f"class.{k}.mean": means, f"class.{k}.inverse": inverse}
        learner = {"kind": "fourier", "point": point, "seed": seed, "missing": "filled" if fill else "refused"}
        models.append({"class": k, "learner": learner, "figures": FIGURES})
        numbers.append((weights, intercept))

    def expected(rows):
        rows = np.where(np.isfinite(rows), rows, means if fill else np.nan).astype(np.float64)
        angles = ((rows - means) * inverse) @ W.T
        mapped = np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(components / 2)
        return 1 / (1 + np.exp(-np.stack([mapped @ w + b for w, b in numbers], axis=1)))

    rows = (means + 2 * rng.normal(size=(12, d))).astype(np.float32)
    rows[0, 1], rows[3, 2] = np.nan, np.inf
    return manifest(d, classes, table([f"x{i}" for i in range(d)]), models), tensors, rows, expected


def machine(rng, d, classes, modelled, *, fill=False, gamma=0.7):
    """Gaussian kernels made of rows: each class has vectors of its own."""
    means, inverse = rng.normal(size=d), rng.uniform(0.5, 2.0, d)
    inverse[-1] = 0.0
    tensors, models, numbers = {}, [], []
    for k in modelled:
        rows = 20 + k
        vectors, coefficients, intercept = rng.normal(size=(rows, d)), 3 * rng.normal(size=rows), rng.normal()
        tensors |= {f"class.{k}.vectors": vectors, f"class.{k}.coefficients": coefficients, f"class.{k}.intercept": [intercept],
                    f"class.{k}.mean": means, f"class.{k}.inverse": inverse, f"class.{k}.threshold": [0.5]}
        learner = {"kind": "kernel", "point": {"c": 3.0, "gamma": gamma}, "missing": "filled" if fill else "refused",
                   "rows_of_patients": rows}
        models.append({"class": k, "learner": learner, "figures": FIGURES})
        numbers.append((vectors, coefficients, intercept))

    def expected(rows):
        rows = np.where(np.isfinite(rows), rows, means if fill else np.nan).astype(np.float64)
        z = (rows - means) * inverse
        scores = [np.exp(-gamma / d * ((z[:, None] - v) ** 2).sum(axis=2)) @ c + b for v, c, b in numbers]
        return 1 / (1 + np.exp(-np.stack(scores, axis=1)))

    rows = (means + 2 * rng.normal(size=(12, d))).astype(np.float32)
    rows[0, 1], rows[3, 2] = np.nan, np.inf
    return manifest(d, classes, table([f"x{i}" for i in range(d)]), models), tensors, rows, expected


def ensemble(members, weights=None, intercept=0.0):
    """Members of one class in one: their mean, or a weighted sum of their logits, cut off at 30."""
    described, rows = members[0][0], members[1][2]
    learners, tensors = [], {"class.1.threshold": [0.4]}
    for at, (of_member, own, _, _) in enumerate(members):
        entry = of_member["models"][0]
        learners.append(entry.get("learner") or {"kind": "linear", "method": entry["loss"], "missing": entry["missing"],
                                                 "point": {"c": entry["c"], "standardise": entry["standardise"]}})
        tensors |= {name.replace("class.1.", f"class.1.member.{at}."): values for name, values in own.items()
                    if not name.endswith("threshold")}
    kind = "soft-vote"
    if weights is not None:
        kind = "stacking"
        tensors |= {"class.1.weights": weights, "class.1.intercept": [intercept]}
    models = [{"class": 1, "learner": {"kind": "ensemble", "ensemble": kind, "members": learners}, "figures": FIGURES}]

    def expected(rows):
        if weights is None:
            return np.hstack([of_rows(rows) for *_, of_rows in members]).mean(axis=1, keepdims=True)
        scores = [of_rows.scores(rows) if hasattr(of_rows, "scores") else np.log(of_rows(rows)) - np.log1p(-of_rows(rows))
                  for *_, of_rows in members]
        logits = np.clip(np.hstack(scores), -30, 30)
        return 1 / (1 + np.exp(-(logits @ np.array(weights) + intercept)))[:, None]

    return manifest(5, described["classes"], described["input"], models), tensors, rows, expected


def number(x):
    return None if np.isnan(x) else min(max(float(x), -INFINITE), INFINITE)


def checked(name, program, made):
    described, tensors, rows, expected = made
    bundle, file = OUT / f"{name}.safetensors", OUT / f"{name}.onnx"
    bundle.write_bytes(safetensors(described, tensors))
    subprocess.run([program, "model", "export", bundle, "--onnx", file, "--force"], check=True)
    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(file)
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [("features", ["N", rows.shape[1]], "tensor(float)")]
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == ("probabilities", ["N", len(described["models"])])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == described["classes"] and metadata["study"] == "Made up", metadata
    (got,) = session.run(["probabilities"], {"features": rows})
    alone = np.concatenate([session.run(None, {"features": row[None]})[0] for row in rows])
    assert session.run(None, {"features": rows[:0]})[0].shape == (0, got.shape[1])
    others = [("one by one", alone), ("numpy", expected(rows))]
    if not any(node.op_type == "TreeEnsembleRegressor" for node in model.graph.node):
        # It can't evaluate trees whose thresholds are doubles.
        others += [("onnx.reference", onnx.reference.ReferenceEvaluator(model).run(None, {"features": rows})[0])]
    off = {}
    for what, other in others:
        assert (np.isnan(got) == np.isnan(other)).all(), (name, what, got, other)
        off[what] = float(np.nanmax(np.abs(got.astype(np.float64) - other), initial=0))
        assert off[what] < 1e-6, (name, what, off)
    print(name, file.stat().st_size, off)
    return {"exported_by": model.producer_version, "rows": [[number(x) for x in row] for row in rows],
            "probabilities": [[number(x) for x in row] for row in got]}


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    golden = {name: checked(name, sys.argv[1], made) for name, made in cases()}
    own_site = linear(np.random.default_rng(11), 5, ["benign", "malignant"], [1], table([f"x{i}" for i in range(5)]),
                      standardise="site")
    (OUT / "own_site.safetensors").write_bytes(safetensors(*own_site[:2]))
    versions = {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__, "numpy": np.__version__,
                "python": platform.python_version()}
    (OUT / "onnx.json").write_text(json.dumps({**versions, "cases": golden}, indent=1) + "\n")
