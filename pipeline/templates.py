"""Pages from jinja2 templates."""

from pathlib import Path

import jinja2

from pipeline.messages import printable


def rendered(template, **values):
    """Return the text of a template, given by its path, with names that cannot act on a terminal or browser."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(template).parent, encoding="utf-8"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(Path(template).name).render(values)
