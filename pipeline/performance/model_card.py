"""The report as a model card: what the guidelines ask for, where the page answers it, and what is left to write."""

from pipeline.performance.guidelines import CLAIM, EXTERNAL, INTERNAL, MAIN, TRIPOD_AI
from pipeline.performance.pages import Section, Table

ALL = "all of it"


def section(page, split):
    """Return the Section that maps the items of TRIPOD+AI and CLAIM to a Page with predictions of a `split`."""
    tested = {EXTERNAL if split == "external" else INTERNAL: MAIN}
    # A section of sentences only says what is missing.
    titles = [one.title for one in page.sections if one.tables or one.pictures or one.points or one.diagram]
    sentences = [
        "Two guidelines list what a paper on such a model reports. This page answers a part of it; the rest is for the "
        "authors to write. The topics below are in our words: for a journal, fill in the guidelines' own checklists."
    ]
    tables = []
    for guideline in (TRIPOD_AI, CLAIM):
        rows = [_row(item, titles, tested) for item in guideline.items]
        whole, part = sum(not row[3] for row in rows), sum(bool(row[2] and row[3]) for row in rows)
        sentences.append(
            f"{guideline.name} ({guideline.source}), {guideline.size}: this page answers {whole}, and {part} in part; "
            f"{len(rows) - whole - part} are left to write."
        )
        tables.append(Table(["item", "asks for", "on this page", "still to write"], rows, guideline.name))
    return Section("Model card: what is reported, and what is not", sentences, tables=tables)


def _row(item, titles, tested):
    """Return the cells of an Item's row, for the titles of a page's sections."""
    wanted = [tested.get(name, name) for name in item.sections]
    found = [title.partition(",")[0] for title in titles if any(title.startswith(name) for name in wanted)]
    if found:
        return item.number, item.topic, ", ".join(found), item.rest
    when = f", {item.rest}" if item.rest and not item.sections else ""
    return item.number, item.topic, "", ALL + when
