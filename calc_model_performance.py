"""Calculate the performance of a model from its predictions.

    python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json
    python calc_model_performance.py "DIR/resnet_1_fold_?_preds.json" DIR/resnet_1_results.json --report
    python calc_model_performance.py PREDS.json RESULTS.json -threshold_from VAL_PREDS.json -min_sensitivity 0.95
    python calc_model_performance.py "DIR/resnet_1_fold_?_preds.json" DIR/resnet_1_results.json
        -calibrate_from "DIR/resnet_1_fold_*_val_preds.json" -threshold_from "DIR/resnet_1_fold_*_val_preds.json"
    python calc_model_performance.py PREDS.json RESULTS.json -ordered grade_1 grade_2 grade_3
    python calc_model_performance.py PREDS.json RESULTS.json --decision_curve --report
    python calc_model_performance.py PREDS.json RESULTS.json -compare OTHER_PREDS.json -baselines baselines.json
    python calc_model_performance.py PREDS.json RESULTS.json -per group -prevalence 0.01 0.1 -by patients.csv:hospital

Reads predictions JSON files of test_torchvision.py. Prints every figure with its interval, and the most confident
errors, as one page. Writes the results JSON and, beside it, the page as Markdown and pictures of the confusion matrix,
the ROC and precision-recall curves and the reliability of the probabilities.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out if PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import add_choices, add_option
from pipeline.messages import command_text
from pipeline.options import OTHERS
from pipeline.performance import request
from pipeline.performance.request import Request
from pipeline.readers import file_path


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Calculate the performance of a model from its predictions.\n\n"
        "reads:  PREDS, predictions JSON files of test_torchvision.py\n"
        "writes: RESULTS, the results JSON, and beside it\n"
        "        RESULTS.md: the page that is printed\n"
        "        RESULTS_confusion_matrix.png\n"
        "        RESULTS_roc.png\n"
        "        RESULTS_precision_recall.png\n"
        "        RESULTS_reliability.png\n"
        "        RESULTS_referral.png: with --report, or of predictions with -mc_samples\n"
        "        RESULTS_decision_curve.png: with --decision_curve\n"
        "        NAME_report.html: with --report",
        "python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json",
    )
    add_option(parser, "PREDS", nargs="+", help="predictions JSON; several, or a pattern, are pooled as folds")
    add_option(parser, "RESULTS", type=file_path, help="results JSON to write")
    add_choices({OTHERS: parser} | {name: parser.add_argument_group(name) for name in request.GROUPS}, Request)
    return parser


@command_line.entry_point
def main(argv=None):
    asked = request.checked(**vars(create_argparser().parse_intermixed_args(argv)))
    # Imported only now, so that --help answers at once; the slow modules come last.
    from pipeline import predictions
    from pipeline.performance import results_files

    results_files.require_writable(asked.RESULTS, asked.inputs)
    parts = predictions.read_parts(asked.PREDS, asked.positive_class)

    from pipeline.performance import evaluation, output, provenance

    results, sources = evaluation.evaluate(asked, parts)
    command = command_text("python", Path(__file__).name, *argv)
    report_sections = provenance.report_sections(sources, command) if asked.report else None
    print(*output.write(asked.RESULTS, results, sources, report_sections), sep="\n")


if __name__ == "__main__":
    main()
