"""Calculate the performance of a model from its predictions.

    python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json
    python calc_model_performance.py "DIR/resnet_1_fold_*_preds.json" DIR/resnet_1_results.json --report
    python calc_model_performance.py PREDS.json RESULTS.json -threshold_from VAL_PREDS.json -min_sensitivity 0.95
    python calc_model_performance.py "DIR/resnet_1_fold_[0-9]_preds.json" DIR/resnet_1_results.json
        -calibrate_from "DIR/resnet_1_fold_*_val_preds.json" -threshold_from "DIR/resnet_1_fold_*_val_preds.json"
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
    point = parser.add_argument_group("operating point (default: the probabilities and predictions as they are)")
    add_option(point, "-calibrate_from", metavar="VAL_PREDS", nargs="+", default=[],
               help="predictions of -split val, of one model or of all folds: fit a temperature on them, and apply it")
    add_option(point, "-threshold_from", metavar="VAL_PREDS", nargs="+", default=[],
               help="the same, of two classes: choose the threshold of the (calibrated) positive class on them")
    add_option(point, "-min_sensitivity", metavar="FRACTION", type=number(above=0, at_most=1),
               help="choose the highest specificity at this sensitivity or above (default: by Youden's index)")
    add_option(point, "--guaranteed", action="store_true",
               help="with -min_sensitivity: reach it with 95%% confidence, not only on VAL_PREDS")
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
    from pipeline.performance import (
        baselines,
        comparison,
        folds,
        operating_points,
        output,
        provenance,
        referral,
        summary,
        thresholds,
    )

    paths, other_paths = expand(options.PREDS, "PREDS"), expand(options.compare, "-compare")
    threshold_paths = expand(options.threshold_from, "-threshold_from")
    temperature_paths = expand(options.calibrate_from, "-calibrate_from")
    require_point(options.min_sensitivity, options.guaranteed, threshold_paths)
    inputs = [*paths, *threshold_paths, *temperature_paths, *other_paths, options.baselines]
    output.require_writable(options.RESULTS, [path for path in inputs if path])

    parts = folds.read(paths, options.positive_class)
    sources = provenance.read(parts, paths, for_report=options.report)
    folds.require_one_model(parts, paths)
    rule = thresholds.Rule(options.min_sensitivity, options.guaranteed)
    parts, more = operating_points.choose(parts, paths, temperature_paths, threshold_paths, rule)
    measured, more["leaks_kept"] = folds.pool(parts, paths), provenance.leaks_kept(sources)
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


def require_point(min_sensitivity, guaranteed, threshold_paths):
    """Raise UserError where an option says how a threshold is chosen, and none is."""
    if min_sensitivity is not None and not threshold_paths:
        raise UserError("-min_sensitivity: says how -threshold_from chooses; give that too")
    if guaranteed and min_sensitivity is None:
        raise UserError("--guaranteed: says how -min_sensitivity is reached; give that too")


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
