"""What the comparisons with scikit-learn share: options that say what is studied, and a run of the example."""
import argparse
import os
import subprocess

EXAMPLE = os.path.join(os.path.dirname(__file__), "../../../target/release/examples/study_on_features")


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("features")
    parser.add_argument("manifest")
    for name, default in (("target", "diagnosis"), ("positive", "mel"), ("patient", "lesion_id"), ("example", EXAMPLE)):
        parser.add_argument(f"--{name}", default=default)
    return parser


def run(args, features, manifest, classifier, *more, **environment):
    """The example's output for a study of a classifier on features without a site left out."""
    command = [args.example, features, manifest, "--target", args.target, "--positive", args.positive,
               "--patient", args.patient, "--leave-one-site-out", "no", *more, "--classifier", classifier]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment).stdout
