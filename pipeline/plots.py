"""How pictures look and are written: colours, fonts, names, PNG files."""

import contextlib
import warnings

import numpy as np
from matplotlib import font_manager, style
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from pipeline import files
from pipeline.messages import printable, shortened

# Okabe and Ito's colours, which colour-blind readers can tell apart too (jfly.uni-koeln.de/color).
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = "osD^vP*"
TITLE = {"weight": "bold", "size": "medium"}
NARROW = 20  # ratio of the limits up to which a logarithmic axis is narrow
# Longer names do not fit beside an axis.
NAME_LENGTH = 18

# Fonts of the large systems for the letters that matplotlib's own lacks.
FONTS = (
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Arial Unicode MS",
    "Noto Sans",
)


@contextlib.contextmanager
def own_style():
    """Draw with matplotlib's defaults, whatever the user's settings, and names as they are.

    No name is read as a formula ("$x$"), and letters that no font has become boxes, without a warning. Create figures
    with matplotlib.figure.Figure, never with pyplot, which would start the user's backend.
    """
    installed = set(font_manager.get_font_names())
    fonts = ["DejaVu Sans", *(font for font in FONTS if font in installed)]
    settings = {"text.parse_math": False, "font.family": fonts}
    with style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def titled(axes, title):
    """Write the title of a picture that has no legend above it."""
    axes.set_title(title, loc="left", **TITLE)


def legend_above(axes, title, **layout):
    """Add the legend above the axes, where it hides no point, and the picture's title above the legend."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0, frameon=False, fontsize="small", title=title,
        title_fontproperties=TITLE, alignment="left", **layout,
    )  # fmt: skip


def plain_log_scale(axes, name, ticks=None):
    """Give the axis x or y, after all is drawn, a logarithmic scale with numbers written out (0.00001).

    They are at `ticks`, or at 1, 2, 5, 10 and so on, in a narrow range also at 3, 4, 6, ...
    """
    axes.set(**{f"{name}scale": "log"})
    axis = getattr(axes, f"{name}axis")
    low, high = getattr(axes, f"get_{name}lim")()
    steps = (1, 2, 5) if high / low > NARROW else range(1, 10)
    axis.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(subs=steps))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    axis.set_minor_locator(NullLocator())


def plain_number(value):
    """Write a number without an exponent."""
    return np.format_float_positional(float(f"{value:.6g}"), trim="-")


def shown_name(name):
    """Return a name as pictures show it: on one line, and without its middle if it is long.

    Classes often begin alike: Cherry_(including_sour)___healthy and Cherry_(including_sour)___Powdery_mildew.
    """
    return shortened(printable(name), NAME_LENGTH)


def text_color(background):
    """Return black or white, whichever contrasts more with a colour (red, green, blue and more, each 0 to 1).

    By relative luminance: W3C, Web Content Accessibility Guidelines 2.1, so that the contrast is 4.5 or more.
    """
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def save_figure(figure, path):
    """Write a figure as PNG, whole or not at all."""
    with files.whole_file(path) as temporary:
        mark = {"Software": files.MARK}
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight", metadata=mark)
