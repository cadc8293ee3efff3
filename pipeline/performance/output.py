"""The files of a model's performance: the page, the pictures, the results JSON, the report."""

from pipeline import files
from pipeline.performance import model_card, pages, plots, provenance, report
from pipeline.performance.results_files import picture_paths, report_path
from pipeline.performance.results_json import as_json


def write(results_path, results, sources, report_sections=None):
    """Write the results JSON and all files beside it; return the page in Markdown and a line on each file.

    Pictures of earlier results of this name are removed if these results do not have them. A report is kept: it has its
    own figures and their date, and may be that of results of another name (see report_path).

    Args:
        results_path, results: the path of the results JSON, and the Results.
        sources: the Sources of the predictions (see provenance).
        report_sections: what a report in HTML has besides the page, from provenance.report_sections; None: no report.
    """
    contents = as_json(results)
    text = pages.markdown(report.page(results, contents, further_sections=provenance.split_sections(sources)))
    drawings = plots.drawings(results, results_path, for_report=report_sections is not None)
    markdown_path = results_path.with_suffix(".md")
    html_path = report_path(results_path)
    drawn = [picture.path for _, picture in drawings]
    written = [markdown_path, *drawn, results_path, *([html_path] if report_sections else [])]
    lines = [f"{'replaced' if path.exists() else 'wrote'} {path}" for path in written]

    files.write_text(markdown_path, text)
    for draw, picture in drawings:
        plots.save(draw, results, picture.path)
    others = [path for path in picture_paths(results_path).values() if path not in drawn]
    lines += [f"removed {path}, of earlier results" for path in others if files.remove_drawn(path)]
    files.write_json(results_path, contents)
    if report_sections:
        pictures = [picture for _, picture in drawings]
        page = report.page(results, contents, pictures, report_sections)
        page.sections.append(model_card.section(page, results.predictions.split))
        files.write_text(html_path, pages.html(page))
    elif html_path.exists():
        lines.append(f"kept {html_path}, of earlier results; --report replaces it")
    return [text, *lines]
