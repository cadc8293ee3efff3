"""The one exception for everything that the user at the shell can fix."""


class UserError(Exception):
    """One or more faults in an option, a file or the machine, each a line that says what to do.

    The scripts print every fault after their own name and exit with 2; anything else that is raised is a
    bug of ours and keeps its traceback.
    """

    def __init__(self, *faults):
        super().__init__("\n".join(faults))
        self.faults = faults


def require_none(faults):
    """Raise UserError, with one line per fault, if there are any."""
    if faults := dict.fromkeys(faults):
        raise UserError(*faults)
