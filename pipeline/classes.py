"""What the scripts ask of class names: how many there are, and which one is the positive class."""

from pipeline.errors import UserError
from pipeline.file_names import as_cp1252, caseless
from pipeline.messages import note


def require_class_count(class_names, expected):
    """Raise UserError if the user expects another number of classes than there are (None: any)."""
    if expected is not None and expected != len(class_names):
        raise UserError(
            f"-num_classes {expected}: the folder has {len(class_names)} classes "
            f"({', '.join(class_names)}); give -num_classes {len(class_names)} or correct the folder"
        )


def find_class(name, class_names):
    """Return the class that a name means, ignoring case if only one class then matches; None if there is none.

    Bytes of a folder's name that are not UTF-8 are read as cp1252, as in a user's table.
    """
    same = [known for known in class_names if caseless(as_cp1252(known)) == caseless(as_cp1252(name))]
    return name if name in same else same[0] if len(same) == 1 else None


def resolve_positive_class(class_names, asked, recorded=None):
    """Return the name of the positive class; None for more than two classes, which are taken in turn.

    `asked` (-positive_class) takes precedence over `recorded` (in a checkpoint or predictions file), and that over
    the last class. Raises UserError for a name that is not a class, or if `asked` has no meaning.
    """
    if asked is not None and asked not in class_names:
        raise UserError(f"-positive_class {asked}: no such class; the classes are {', '.join(class_names)}")
    if len(class_names) != 2:
        if asked is not None:
            raise UserError(
                f"-positive_class {asked}: with {len(class_names)} classes each is taken in turn, one against the "
                "rest; leave the option out"
            )
        return None
    return asked or (recorded if recorded in class_names else class_names[-1])


def tell_other_positive_class(positive_class, recorded, path):
    """Print a note if the positive class (None: each in turn) is not the one recorded in a file."""
    if recorded not in (None, positive_class):
        chosen = "each class in turn" if positive_class is None else f"positive class {positive_class!r}"
        note(f"{chosen} instead of {recorded!r}, which {path} names")
