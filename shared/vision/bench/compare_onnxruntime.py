#!/usr/bin/env python3
"""Images per second of Wardround's CPU engine and of ONNX Runtime, the same networks in turns, as ratios.

    pip install torch timm onnx onnxruntime numpy
    python shared/vision/bench/compare_onnxruntime.py                    # all rows of the table
    python shared/vision/bench/compare_onnxruntime.py resnet50 --batch 1 --precision f32 --rounds 7

Both sides run the timm model of the same name without its classifier, 224 px, the same number of threads, in turns: one
stretch of ONNX Runtime (f32), one of each of ours, again and again, so that a slow minute of the machine hits both. A row shows the
medians and the ratio of each turn's pair (least, median, most); the bar is the ratio that the engine must reach. Weights are
random: they change no timing. A bf16 row compares our bf16 with ONNX Runtime's f32, which is a trade of precision.
An idle machine is needed: the share of processor time that others took is shown, and above 5 % the row says so.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))

# Bars by (precision, batch).
BARS = {
    "resnet50": {("f32", 16): 1.0, ("bf16", 16): 1.7, ("f32", 1): 0.9},
    "vgg16": {("f32", 16): 2.2, ("bf16", 16): 1.9, ("f32", 1): 1.0},
    "densenet121": {("f32", 16): 1.25, ("bf16", 16): 1.9, ("f32", 1): 1.0},
    "efficientnet_b0": {("f32", 16): 1.0, ("bf16", 16): 1.4, ("f32", 1): 0.65},
    "tf_efficientnet_lite0": {("f32", 16): 0.9, ("bf16", 16): 1.35, ("f32", 1): 0.65},
    "vit_small_patch16_224": {("f32", 16): 1.0, ("bf16", 16): 1.5, ("f32", 1): 0.9},
    "swin_tiny_patch4_window7_224": {("f32", 16): 0.9, ("bf16", 16): 1.3, ("f32", 1): 0.8},
    "convnext_tiny": {("f32", 16): 0.9, ("bf16", 16): 1.3, ("f32", 1): 0.8},
}


def export(name, folder):
    """Writes the model as ONNX, batch size free, and returns the file."""
    import timm
    import torch

    torch.manual_seed(0)
    # Fused attention can't be exported to every opset; the runtime fuses what it finds itself.
    timm.layers.set_fused_attn(False)
    model = timm.create_model(name, pretrained=False, num_classes=0, exportable=True).eval()
    file = os.path.join(folder, name + ".onnx")
    with torch.no_grad():
        torch.onnx.export(
            model, (torch.randn(2, 3, 224, 224),), file, input_names=["images"], output_names=["features"],
            dynamic_axes={"images": {0: "n"}, "features": {0: "n"}}, opset_version=17, dynamo=False,
        )
    return file


def session(file, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def run_peer(peer, batch, seconds):
    import numpy

    images = numpy.random.default_rng(0).standard_normal((batch, 3, 224, 224), dtype="float32")
    peer.run(None, {"images": images})
    return timed(lambda: peer.run(None, {"images": images}), batch, seconds)


def timed(step, batch, seconds):
    """Images per second of the fastest third of the steps: what the machine gives when nothing else runs."""
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    times.sort()
    return batch / statistics.mean(times[: max(1, len(times) // 3)])


def run_ours(program, name, batch, precision, threads, seconds):
    command = [program, name, "--batch", str(batch), "--threads", str(threads), "--precision", precision,
               "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])["images_per_second"]


def others(since):
    """Share of all processor time that went to processes which aren't ours, since the reading `since`."""
    busy, own, total = usage()
    spent = total - since[2]
    return max(0.0, (busy - since[0]) - (own - since[1])) / spent if spent else 0.0


def usage():
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(x) for x in file.readline().split()[1:9]]
    ticks = os.sysconf("SC_CLK_TCK")
    times = os.times()
    own = (times.user + times.system + times.children_user + times.children_system) * ticks
    total = sum(fields)
    return total - fields[3] - fields[4], own, total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="timm's names; all of the table unless given")
    parser.add_argument("--batch", type=int, choices=(1, 16), help="only this batch size")
    parser.add_argument("--precision", choices=("f32", "bf16"), help="only this precision")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="turns per row")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a stretch")
    parser.add_argument("--json", action="store_true", help="one JSON line per row instead of a table")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.models if name not in BARS]
    if unknown:
        parser.error(f"no bar for {', '.join(unknown)}; known: {', '.join(BARS)}")

    build = ["cargo", "build", "--release", "--package", "wardround-vision", "--example", "speed"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    program = os.path.join(target, "release", "examples", "speed")

    if not arguments.json:
        print(f"{'network':30} {'precision':9} {'batch':>5} {'peer':>7} {'ours':>7} {'ratio':>20} {'bar':>5}", flush=True)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models or BARS:
            peer = session(export(name, folder), arguments.threads)
            wanted = {key: bar for key, bar in BARS[name].items()
                      if arguments.batch in (None, key[1]) and arguments.precision in (None, key[0])}
            for batch in sorted({batch for _, batch in wanted}, reverse=True):
                rows = {precision: bar for (precision, b), bar in wanted.items() if b == batch}
                missed += compare(arguments, program, peer, name, batch, rows)
    sys.exit(1 if missed else 0)


def compare(arguments, program, peer, name, batch, rows):
    """Prints a row for each precision; returns how many miss their bar."""
    since = usage()
    peers, ours = [], {precision: [] for precision in rows}
    for _ in range(arguments.rounds):
        peers.append(run_peer(peer, batch, arguments.seconds))
        for precision, figures in ours.items():
            figures.append(run_ours(program, name, batch, precision, arguments.threads, arguments.seconds))
    disturbed = others(since)
    missed = 0
    for precision, bar in rows.items():
        ratios = sorted(o / p for o, p in zip(ours[precision], peers))
        row = {
            "network": name, "precision": precision, "batch": batch, "threads": arguments.threads,
            "peer": statistics.median(peers), "ours": statistics.median(ours[precision]),
            "ratio": [ratios[0], statistics.median(ratios), ratios[-1]], "bar": bar, "others": disturbed,
        }
        missed += row["ratio"][1] < bar
        if arguments.json:
            print(json.dumps(row), flush=True)
            continue
        ratio = "{:.2f} ({:.2f} - {:.2f})".format(row["ratio"][1], row["ratio"][0], row["ratio"][2])
        remark = "" if row["ratio"][1] >= bar else "  below the bar"
        remark += f"  not idle: others took {disturbed:.0%}" if disturbed > 0.05 else ""
        print(f"{name:30} {precision:9} {batch:5} {row['peer']:7.1f} {row['ours']:7.1f} {ratio:>20} {bar:5.2f}{remark}", flush=True)
    return missed


if __name__ == "__main__":
    main()
