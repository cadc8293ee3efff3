"""Which class a positive finding means."""

from pipeline.errors import UserError


def resolve_positive_class(class_names, asked=None, recorded=None):
    """Return the name of the positive class; None for more than two classes, which are taken in turn.

    `asked` (-positive_class) goes before `recorded` (in a checkpoint or predictions file), and that before the
    last class. Raises UserError for a name that is no class, or where `asked` has no meaning.
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
