"""The files of a model's performance: the page, the pictures, the results JSON, the report."""

from pipeline import files
from pipeline.performance import model_card, pages, plots, provenance, report
from pipeline.performance.results_files import report_path
from pipeline.performance.results_json import as_json


def write(results_path, results, sources, report_sections=None):
    """Write all files beside the results JSON, and it after them; return the page in Markdown and a line on each file.

    Args:
        results_path, results: of the results JSON, and the Results.
        sources: of the predictions, as provenance.read gives them.
        report_sections: for a report in HTML, what it has beside the page, as provenance.report_sections gives it.
    """
    contents = as_json(results)
    text = pages.markdown(report.page(results, contents, further_sections=provenance.split_sections(sources)))
    drawings = plots.drawings(results, results_path, for_report=report_sections is not None)
    markdown_path = results_path.with_suffix(".md")
    html_path = report_path(results_path)
    written = [markdown_path, *(picture.path for _, picture in drawings), results_path]
    written += [html_path] if report_sections else []
    lines = [f"{'replaced' if path.exists() else 'wrote'} {path}" for path in written]

    files.write_text(markdown_path, text)
    for draw, picture in drawings:
        draw(picture.path, results)
    files.write_json(results_path, contents)
    if report_sections:
        pictures = [picture for _, picture in drawings]
        page = report.page(results, contents, pictures, report_sections)
        page.sections.append(model_card.section(page, results.predictions.split))
        files.write_text(html_path, pages.html(page))
    return [text, *lines]
