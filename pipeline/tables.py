"""Plain-text tables for the terminal, which Markdown renders too."""


def format_table(headers, rows):
    """Return a table with one line a row; columns that hold numbers are aligned to the right."""
    rows = list(rows)
    columns = [[str(header), *(str(row[i]) for row in rows)] for i, header in enumerate(headers)]
    widths = [max(2, *map(len, column)) for column in columns]  # a rule of one character is no Markdown
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(headers))]

    def line(cells):
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    header, *body = zip(*columns, strict=True)
    return "\n".join(line(cells) for cells in (header, rule, *body))


def _is_number(cell):
    return isinstance(cell, (int, float)) or str(cell).rstrip("%").replace(".", "", 1).lstrip("-").isdigit()
