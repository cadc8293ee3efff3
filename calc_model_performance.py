"""Calculate the performance of a model from its predictions.

    python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json

Reads a predictions JSON of test_torchvision.py; writes the results JSON and, beside it, pictures of the confusion
matrix and the ROC curve.
"""

from pathlib import Path

from pipeline import command_line
from pipeline.command_line import add_option


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Calculate the performance of a model from its predictions.\n\n"
        "reads:  PREDS, a predictions JSON of test_torchvision.py\n"
        "writes: RESULTS, the results JSON; beside it RESULTS_confusion_matrix.png and RESULTS_roc.png",
        "python calc_model_performance.py DIR/resnet_1_preds.json DIR/resnet_1_results.json",
    )
    parser.add_argument("PREDS", type=Path, help="predictions JSON")
    parser.add_argument("RESULTS", type=Path, help="results JSON to write")
    options = parser.add_argument_group("options")
    add_option(
        options, "-positive_class", metavar="CLASS",
        help="the class whose finding is called positive (default: what PREDS says, or else the last of two classes)",
    )  # fmt: skip
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    # The rest is imported only now, so that --help answers at once.
    from pipeline import files, metrics, plots, predictions
    from pipeline.classes import resolve_positive_class

    require_separate_files(options.PREDS, options.RESULTS)
    made = predictions.read(options.PREDS)
    positive_class = resolve_positive_class(made.class_names, options.positive_class, made.positive_class)
    if made.positive_class not in (None, positive_class):
        command_line.note(
            f"positive class {positive_class!r} instead of {made.positive_class!r}, which {options.PREDS} names"
        )
    made.positive_class = positive_class

    results = metrics.summarize(made)
    print_performance(results)
    print_confusion_matrix(results)

    beside = options.RESULTS.with_suffix("")
    confusion_path, roc_path = (beside.with_name(f"{beside.name}_{what}.png") for what in ("confusion_matrix", "roc"))
    replaced = options.RESULTS.exists()
    plots.draw_confusion_matrix(confusion_path, results["Confusion Matrix"], made.class_names)
    plots.draw_roc(roc_path, metrics.roc_curves(made, results))
    files.write_json(options.RESULTS, results)
    print(f"\n{'replaced' if replaced else 'wrote'} {options.RESULTS}\nwrote {confusion_path}\nwrote {roc_path}")


def require_separate_files(predictions_path, results_path):
    """Raise UserError where the results would replace the predictions or have no folder to go to."""
    from pipeline.errors import UserError

    if results_path.exists() and predictions_path.exists() and results_path.samefile(predictions_path):
        raise UserError(f"{results_path}: would replace the predictions; give another name for the results")
    if results_path.suffix != ".json":
        raise UserError(f"{results_path}: the results are a JSON file; give a name that ends in .json")
    if not results_path.parent.is_dir():
        raise UserError(f"{results_path.parent}: no such folder; make it or give another name for the results")


def print_performance(results):
    """Print the published table, with the positive class named."""
    from pipeline.tables import format_table

    names = ("Sensitivity", "Specificity", "ROC-AUC", "Accuracy", "Cohen's Kappa")
    if results["Positive Class"] is not None:
        meaning = f"positive class: {results['Positive Class']}"
    else:
        meaning = "means over classes, each against the rest"
    print(f"Performance on {results['n']} {results['Split'] or ''} images ({meaning})\n".replace("  ", " "))
    print(format_table(["metric", "value"], [(name, _shown(name, results)) for name in names]))
    if results["Positive Class"] is None:
        print("\nEach class against the rest\n")
        rows = [
            (name, *(_number(figures[key]) for key in names[:3]), figures["n"])
            for name, figures in results["Per Class"].items()
        ]
        print(format_table(["class", *names[:3], "images"], rows))


def print_confusion_matrix(results):
    """Print counts: a row a true class, a column a predicted one."""
    from pipeline.tables import format_table

    rows = zip(results["Class Names"], results["Confusion Matrix"], strict=True)
    print("\nConfusion matrix\n")
    print(format_table(["true \\ predicted", *results["Class Names"]], [(name, *counts) for name, counts in rows]))


def _shown(name, results):
    if results[name] is None:
        return f"undefined: {results['undefined'][name]}"
    return f"{results[name]:.4f}"


def _number(value):
    return "undefined" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
