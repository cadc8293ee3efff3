"""The files of a model's performance: the page, the pictures, the results JSON, the report."""

import glob

from pipeline import files, predictions
from pipeline.errors import UserError
from pipeline.performance import pages, plots, provenance, report
from pipeline.performance.results_json import as_json


def require_writable(results_path, inputs):
    """Raise UserError where results have no folder, or would replace what is read or what calc has not written."""
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
    stem = results_path.stem
    beside = [*results_path.parent.glob(f"{glob.escape(stem)}_*.png"), _report_path(results_path)]
    faults = [
        f"{path}: was not written by calc_model_performance.py; rename it, or give another name for the results"
        for path in [results_path, results_path.with_suffix(".md"), *sorted(beside)]
        if path.is_file() and not _is_ours(path)
    ]
    if faults:
        raise UserError(*faults)


def _is_ours(path):
    if path.suffix == ".json":
        try:
            return {"Accuracy", "Confusion Matrix", "undefined"} <= files.read_json_object(path).keys()
        except UserError:
            return False
    if path.suffix == ".md":
        return path.read_bytes().startswith(b"# Performance")
    return files.has_mark(path)


def _report_path(results_path):
    return results_path.with_name(f"{results_path.stem.removesuffix('_results')}_report.html")


def write(results_path, results, sources, report_command=None):
    """Write all files beside the results JSON, and it after them; return the page in Markdown and a line on each file.

    Args:
        results_path, results: of the results JSON, and the Results.
        sources: of the predictions, as provenance.read gives them.
        report_command: for a report in HTML, the command line that writes it.
    """
    text = pages.markdown(report.page(results, further_sections=provenance.split_sections(sources)))
    drawings = plots.drawings(results, results_path)
    markdown_path = results_path.with_suffix(".md")
    html_path = _report_path(results_path)
    written = [markdown_path, *(picture.path for _, picture in drawings), results_path]
    written += [html_path] if report_command else []
    lines = [f"{'replaced' if path.exists() else 'wrote'} {path}" for path in written]

    files.write_text(markdown_path, text)
    for draw, picture in drawings:
        draw(picture.path, results)
    files.write_json(results_path, as_json(results))
    if report_command:
        pictures = [picture for _, picture in drawings]
        sections = provenance.report_sections(sources, report_command)
        files.write_text(html_path, pages.html(report.page(results, pictures, sections)))
    return [text, *lines]
