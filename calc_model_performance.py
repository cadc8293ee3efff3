"""Calculate the performance of a model from its predictions.

    python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json
    python calc_model_performance.py "DIR/resnet_1_fold_*_preds.json" DIR/resnet_1_results.json --report
    python calc_model_performance.py PREDS.json RESULTS.json -threshold_from VAL_PREDS.json -min_sensitivity 0.95
    python calc_model_performance.py PREDS.json RESULTS.json -compare OTHER_PREDS.json -baselines baselines.json

Reads predictions JSON files of test_torchvision.py; prints every figure with its interval, and the most confident
errors, as one page; writes the results JSON and, beside it, the page as Markdown and pictures of the confusion matrix,
the ROC and precision-recall curves and the reliability of the probabilities.
"""

import glob
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out where PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.errors import UserError
from pipeline.messages import command_text
from pipeline.readers import number


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Calculate the performance of a model from its predictions.\n\n"
        "reads:  PREDS, predictions JSON files of test_torchvision.py\n"
        "writes: RESULTS, the results JSON; beside it RESULTS.md (the page that is printed),\n"
        "        RESULTS_confusion_matrix.png, RESULTS_roc.png, RESULTS_precision_recall.png,\n"
        "        RESULTS_reliability.png; RESULTS_referral.png for predictions with -mc_samples;\n"
        "        with --report NAME_report.html",
        "python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json",
    )
    parser.add_argument("PREDS", nargs="+", help="predictions JSON; several, or a pattern, are pooled as folds")
    parser.add_argument("RESULTS", type=Path, help="results JSON to write")
    # fmt: off
    add_option(parser, "-positive_class", metavar="CLASS",
               help="the class that a positive finding means (default: what PREDS says, else the last of two)")
    threshold = parser.add_argument_group("threshold (two classes; default: the predictions as they are)")
    add_option(threshold, "-threshold_from", metavar="VAL_PREDS", nargs="+", default=[],
               help="predictions of -split val, one for each PREDS: choose the threshold of the positive class on them")
    add_option(threshold, "-min_sensitivity", metavar="FRACTION", type=number(above=0, at_most=1),
               help="choose the highest specificity at this sensitivity or above (default: by Youden's index)")
    others = parser.add_argument_group("beside other results")
    add_option(others, "-compare", metavar="PREDS", action="append", default=[],
               help="another model's predictions of the same images; a pattern, or again, for further folds")
    add_option(others, "-baselines", metavar="FILE", type=Path,
               help="baselines.json of partition_datasets.py, shown beside the model's figures")
    add_option(parser, "--report", action="store_true",
               help="also write everything as one page for the browser, NAME_report.html, to hand on")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_intermixed_args(argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import predictions
    from pipeline.performance import baselines, comparison, folds, output, provenance, referral, summary, thresholds

    paths, other_paths = expand(options.PREDS, "PREDS"), expand(options.compare, "-compare")
    threshold_paths = expand(options.threshold_from, "-threshold_from")
    if options.min_sensitivity is not None and not threshold_paths:
        raise UserError("-min_sensitivity: says how -threshold_from chooses; give that too")
    inputs = [*paths, *threshold_paths, *other_paths, options.baselines]
    output.require_writable(options.RESULTS, [path for path in inputs if path])

    parts = folds.read(paths, options.positive_class)
    sources = provenance.read(parts, paths, for_report=options.report)
    folds.require_one_model(parts, paths)
    more = {}
    if threshold_paths:
        validations = predictions.read_all(threshold_paths)
        points, parts = thresholds.choose_all(parts, validations, threshold_paths, options.min_sensitivity)
        more["thresholds"] = tuple(points)
    measured = folds.pool(parts, paths)
    if len(parts) > 1:
        more["cross_validation"] = folds.cross_validation(parts)
    if measured.sample_count is not None:
        more["referral"] = referral.referral(measured)
    if other_paths:
        other = folds.pool(predictions.read_all(other_paths), other_paths)
        more["comparison"] = comparison.compare(measured, other, other_paths[0])
    if options.baselines:
        more["baselines"] = baselines.read(options.baselines, measured.class_names)
    results = summary.summarize(measured, **more)

    command = command_text("python", Path(__file__).name, *argv) if options.report else None
    print(*output.write(options.RESULTS, results, sources, command), sep="\n")


def expand(texts, option):
    """Return the paths, in place of patterns (fold_*_preds.json) that the shell left as they are what they match."""
    paths, faults = [], []
    for text in texts:
        matches = [text] if Path(text).exists() or not glob.has_magic(text) else sorted(glob.glob(text))
        paths += map(Path, matches)
        if not matches:
            faults.append(f"{option} {text}: no file matches this pattern; check the folder and the names")
    if faults:
        raise UserError(*faults)
    return paths


if __name__ == "__main__":
    main()
