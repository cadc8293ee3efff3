"""Where the results of calc_model_performance.py go, and what they may not replace."""

from pipeline import files, predictions
from pipeline.errors import UserError, require_none

PICTURES = ("confusion_matrix", "roc", "precision_recall", "reliability", "referral", "decision_curve")


def require_writable(results_path, inputs):
    """Raise UserError if results have no folder, or would replace what is read or what calc has not written."""
    fault = None
    if results_path.suffix != ".json":
        fault = f"{results_path}: the results are a JSON file; give a name that ends in .json"
    elif not results_path.parent.is_dir():
        fault = f"{results_path.parent}: no such folder; create it or give another name for the results"
    elif results_path.is_dir():
        fault = f"{results_path}: is a folder; give another name for the results"
    elif results_path.exists():
        if any(path.exists() and results_path.samefile(path) for path in inputs):
            fault = f"{results_path}: would replace what is read; give another name for the results"
        elif predictions.are_in(results_path):
            fault = f"{results_path}: holds predictions; give the name of the results file last"
    if fault:
        raise UserError(fault)
    pictures = sorted(picture_paths(results_path).values())
    require_none(
        f"{path}: was not written by calc_model_performance.py; rename it, or give another name for the results"
        for path in [results_path, results_path.with_suffix(".md"), *pictures, report_path(results_path)]
        if path.is_dir() or (path.is_file() and not _is_ours(path))
    )


def _is_ours(path):
    if path.suffix == ".json":
        return files.has_keys(path, "Accuracy", "Confusion Matrix", "undefined")
    if path.suffix == ".md":
        return path.read_bytes().startswith(b"# Performance")
    return files.has_mark(path, "<title>Performance" if path.suffix == ".html" else "")


def picture_paths(results_path):
    """Return {what it shows: path} of the pictures that a results JSON may have."""
    return {name: results_path.with_name(f"{results_path.stem}_{name}.png") for name in PICTURES}


def report_path(results_path):
    """Return the path of the report beside a results JSON: NAME_report.html for NAME_results.json and for NAME.json."""
    return results_path.with_name(f"{results_path.stem.removesuffix('_results')}_report.html")
