"""Calculate the performance of a model from its predictions.

    python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json
    python calc_model_performance.py FOLD_0_PREDS.json FOLD_1_PREDS.json ... RESULTS.json
    python calc_model_performance.py PREDS.json RESULTS.json -threshold_from VAL_PREDS.json -min_sensitivity 0.95
    python calc_model_performance.py PREDS.json RESULTS.json -compare OTHER_PREDS.json -baselines baselines.json
    python calc_model_performance.py PREDS.json RESULTS.json --report

Reads predictions JSON files of test_torchvision.py; prints every figure with its interval, and the most confident
errors, as one page; writes the results JSON and, beside it, the page as Markdown and pictures of the confusion matrix,
the ROC and precision-recall curves and the reliability of the probabilities.
"""

from pathlib import Path

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.messages import command_text, note
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
    parser.add_argument("PREDS", type=Path, nargs="+", help="predictions JSON; several are pooled as folds")
    parser.add_argument("RESULTS", type=Path, help="results JSON to write")
    # fmt: off
    add_option(parser, "-positive_class", metavar="CLASS",
               help="the class whose finding is called positive (default: what PREDS says, else the last of two)")
    threshold = parser.add_argument_group("threshold (two classes; default: the predictions as they are)")
    add_option(threshold, "-threshold_from", metavar="VAL_PREDS", type=Path,
               help="predictions of -split val: choose on them the threshold of the positive class, apply it to PREDS")
    add_option(threshold, "-min_sensitivity", metavar="SHARE", type=number(above=0, at_most=1),
               help="choose the highest specificity at this sensitivity or above (default: by Youden's index)")
    others = parser.add_argument_group("beside other results")
    add_option(others, "-compare", metavar="PREDS", type=Path, action="append", default=[],
               help="another model's predictions of the same images; again for each further fold")
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
        baseline_figures,
        cautions,
        comparison,
        folds,
        html_report,
        referral,
        report,
        summary,
        thresholds,
    )

    require_consistent_options(options)
    parts = predictions.read_all(options.PREDS)
    if options.report:
        html_report.require_sources(parts, options.PREDS)
    set_positive_class(parts, options.PREDS, options.positive_class)
    made = folds.pool(parts, options.PREDS)
    operating_point = None
    if options.threshold_from:
        validation = predictions.read(options.threshold_from)
        operating_point = thresholds.choose(validation, options.threshold_from, made, options.min_sensitivity)
        made = thresholds.apply(made, operating_point["value"])

    results = summary.summarize(made)
    if operating_point:
        results["Threshold"] = operating_point
    if len(parts) > 1:
        add(results, *folds.spread(parts, made.positive_class))
    if made.sample_count is not None:
        add(results, *referral.referral(made))
    if options.compare:
        other = folds.pool(predictions.read_all(options.compare), options.compare)
        figures, undefined = comparison.compare(made, other, options.compare[0])
        add(results, {"Comparison": figures}, undefined)
    if options.baselines:
        results["Baselines"] = baseline_figures.read(options.baselines)
    results["Warnings"] = cautions.cautions(results)

    page = report.page(results)
    written = write(options.RESULTS, made, results, page)
    if options.report:
        command = command_text("python", Path(__file__).name, *argv)
        written.append(html_report.write(options.RESULTS, page, results, parts, options.PREDS, command))
    print(page, *written, sep="\n")


def require_consistent_options(options):
    """Raise UserError where the results would replace what is read or have no folder to go to, and the like."""
    from pipeline import predictions
    from pipeline.errors import UserError

    results, faults = options.RESULTS, []
    inputs = [*options.PREDS, options.threshold_from, *options.compare, options.baselines]
    if results.suffix != ".json":
        faults.append(f"{results}: the results are a JSON file; give a name that ends in .json")
    elif not results.parent.is_dir():
        faults.append(f"{results.parent}: no such folder; make it or give another name for the results")
    elif results.is_dir():
        faults.append(f"{results}: is a folder; give another name for the results")
    elif results.exists():
        if any(path and path.exists() and results.samefile(path) for path in inputs):
            faults.append(f"{results}: would replace what is read; give another name for the results")
        elif predictions.are_in(results):
            faults.append(f"{results}: holds predictions; give the name of the results file last")
    if options.min_sensitivity is not None and options.threshold_from is None:
        faults.append("-min_sensitivity: says how -threshold_from chooses; give that too")
    if options.threshold_from is not None and len(options.PREDS) > 1:
        faults.append("-threshold_from: each fold's model has a threshold of its own; give one PREDS")
    if faults:
        raise UserError(*faults)


def set_positive_class(parts, paths, asked):
    """Set the positive class of every Predictions, and say so where it is not the one that its file names."""
    from pipeline.classes import resolve_positive_class

    instead = {}
    for part, path in zip(parts, paths, strict=True):
        recorded = part.positive_class
        part.positive_class = resolve_positive_class(part.class_names, asked, recorded)
        if recorded not in (None, part.positive_class):
            instead.setdefault(recorded, path)
    for recorded, path in instead.items():
        chosen = "each class in turn" if parts[0].positive_class is None else f"positive class {asked!r}"
        note(f"{chosen} instead of {recorded!r}, which {path} names")


def add(results, figures, undefined):
    """Add figures to the results, and the reasons for those that are undefined."""
    results.update(figures)
    results["undefined"].update(undefined)


def write(path, made, results, page):
    """Write the page, the pictures and the results JSON, in this order; return a line on each."""
    from pipeline import files
    from pipeline.performance import plots

    drawings = {
        "_confusion_matrix.png": lambda file: plots.draw_confusion_matrix(file, results),
        "_roc.png": lambda file: plots.draw_roc(file, made, results),
        "_precision_recall.png": lambda file: plots.draw_precision_recall(file, made, results),
        "_reliability.png": lambda file: plots.draw_reliability(file, results),
    }
    if "Referral" in results:
        drawings["_referral.png"] = lambda file: plots.draw_referral(file, results)
    written = [path.with_name(path.stem + suffix) for suffix in (".md", *drawings)] + [path]
    lines = [f"{'replaced' if file.exists() else 'wrote'} {file}" for file in written]
    files.write_text(written[0], page)
    for draw, file in zip(drawings.values(), written[1:-1], strict=True):
        draw(file)
    files.write_json(path, results)
    return lines


if __name__ == "__main__":
    main()
