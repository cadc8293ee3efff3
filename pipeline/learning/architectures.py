"""The names of the classification models that can be trained; known without importing torch, which takes seconds."""

import difflib
import functools
import importlib.util
import re
from pathlib import Path

from pipeline.errors import UserError

# The short names that the published commands use.
ALIASES = {"vgg": "vgg11_bn", "densenet": "densenet121"}
EFFICIENTNET_LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")  # see efficientnet_lite.py


def resolve_architecture(name):
    """Return torchvision's own name for an architecture; UserError with the nearest names if there is none."""
    known = [*torchvision_names(), *EFFICIENTNET_LITE]
    resolved = ALIASES.get(name.lower(), name.lower())
    if resolved in known:
        return resolved
    nearest = difflib.get_close_matches(resolved, [*known, *ALIASES], n=5, cutoff=0.4)
    raise UserError(
        f"-architecture {name}: torchvision has no such classification model; nearest: {', '.join(nearest) or 'none'}"
    )


@functools.cache
def torchvision_names():
    """Return the sorted names of torchvision's models, read from its source files.

    They are those of torchvision.models.list_models(module=torchvision.models).
    """
    package = importlib.util.find_spec("torchvision")
    if package is None:
        raise ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
    sources = [path.read_text(encoding="utf-8") for path in Path(package.origin).parent.glob("models/*.py")]
    registered = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)", re.MULTILINE)
    return sorted(name for text in sources for name in registered.findall(text))
