"""How every script reads its options, reports errors and ends.

Imports the standard library only, so that `--help` answers at once.
"""

import argparse
import contextlib
import functools
import os
import re
import shlex
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from pipeline import processes
from pipeline.errors import UserError

FAULTS_SHOWN = 20


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser whose options take one dash or two, with one-line errors and exit status 2."""

    def __init__(self, script, description, example):
        super().__init__(
            prog=Path(script).name,
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        add_option(self, "--help", "-h", action="help", help="show this and exit")

    def _get_option_tuples(self, option_string):
        # allow_abbrev ends abbreviations with two dashes only; here a misspelt option with one must be an error too.
        return []

    def error(self, message):
        # argparse joins all spellings of an option; the person needs the leading one.
        for action in self._actions:
            if action.option_strings:
                message = message.replace("/".join(action.option_strings), action.option_strings[0])
        fail(self.prog, [message.removeprefix("argument ") + "; see --help"])


def add_option(group, name, *other_names, **settings):
    """Add an option under `name` and its other spellings, each with one dash and with two."""
    names = [name, *other_names]
    swapped = [spelling[1:] if spelling.startswith("--") else "-" + spelling for spelling in names]
    return group.add_argument(*names, *swapped, **settings)


def add_pixel_limit(group):
    """Add the option that limits the size of image files."""
    add_option(
        group,
        "-max_pixels",
        metavar="N",
        type=positive_integer,
        default=89_478_485,
        help="width x height of the largest image that is read; others are treated as damaged "
        "(default: 89478485, Pillow's)",
    )


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows the leading spelling of each option only."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action):
        if not action.option_strings or action.nargs == 0:
            return action.option_strings[0] if action.option_strings else super()._format_action_invocation(action)
        arguments = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{action.option_strings[0]} {arguments}"


def positive_integer(text):
    """Read a whole number of at least 1 from an option."""
    if not re.fullmatch(r"\+?[0-9]{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999999")
    return int(text)


def positive_integer_or_none(text):
    """Read a whole number of at least 1, or the word none, from an option."""
    return text if text == "none" else positive_integer(text)


def sample_count(text):
    """Read a whole number of at least 2 from an option."""
    if positive_integer(text) == 1:
        raise argparse.ArgumentTypeError("one sample cannot disagree with itself; give 2 or more")
    return int(text)


def seed_number(text):
    """Read a seed, a whole number from 0 to 2**32 - 1 (what NumPy takes), from an option."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 4294967295")
    return int(text)


def fold_count(text):
    """Read the number of folds of a cross-validation, 2 to 100, from an option."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 2 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 2 to 100")
    return int(text)


def hash_distance(text):
    """Read how many of 256 bits may differ, 0 to 64, from an option; beyond that unrelated images are near."""
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 64")
    return int(text)


def fold_choice(text):
    """Read a fold's number from 0, or "all", from an option."""
    if text == "all":
        return text
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a fold's number, from 0, nor all")
    return int(text)


def positive_number(text):
    """Read a finite number above 0 from an option."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def number_from_zero(text):
    """Read a finite number that is 0 or above from an option."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return number


def share_number(text):
    """Read a number from 0 to below 1 from an option."""
    number = number_from_zero(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share, from 0 to below 1")
    return number


def held_out_proportion(text):
    """Read a proportion between 0 and 0.5 as an exact fraction: 0.1 is 1/10, not the float beside it."""
    try:
        proportion = Fraction(text)
    except (ValueError, ZeroDivisionError):
        proportion = Fraction(0)
    if not 0 < proportion < Fraction(1, 2):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number above 0 and below 0.5 (the share of validation and of test images each)"
        )
    return proportion


def folder_path(text):
    """Read a folder's path, less the trailing quote or separator that Windows shells leave of "C:\\data\\"."""
    return Path(text.rstrip("\"'").rstrip("/\\") or text)


class Terminated(BaseException):
    """SIGTERM arrived."""


def entry_point(main):
    """Wrap a script's `main(argv)`: one line a fault and exit 2, exit 130 and 143 on Ctrl-C and SIGTERM."""

    @functools.wraps(main)
    def run(argv=None):
        arguments = sys.argv[1:] if argv is None else [str(argument) for argument in argv]
        script = Path(main.__globals__["__file__"]).name
        if sys.stdout.errors == "strict":
            # A file name may hold letters that the terminal's encoding lacks.
            sys.stdout.reconfigure(errors="backslashreplace")
        with _sigterm_raises(), _one_process_prints():
            try:
                main(arguments)
                sys.stdout.flush()
            except UserError as error:
                fail(script, error.faults)
            except BrokenPipeError:
                # The reader of a pipe (head, say) has seen enough.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(141)
            except OSError as error:
                if error.errno is None:
                    raise
                place = f"{error.filename}: " if error.filename is not None else ""
                fail(script, [f"{place}{error.strerror}; mend this and run the same command again"])
            except (KeyboardInterrupt, Terminated) as stop:
                if processes.is_main():
                    print(f"\n{script}: stopped; to go on: {_command_to_go_on(script, arguments)}", file=sys.stderr)
                sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)

    return run


def fail(script, faults):
    """Print each fault as `SCRIPT: error: ...` on standard error and exit with 2."""
    for fault in faults[:FAULTS_SHOWN]:
        print(f"{script}: error: {_one_line(fault)}", file=sys.stderr)
    if len(faults) > FAULTS_SHOWN:
        print(f"{script}: error: {len(faults)} faults in all, the first {FAULTS_SHOWN} shown", file=sys.stderr)
    sys.exit(2)


def note(message):
    """Print a remark that the person should see, on standard error beside the results."""
    if processes.is_main():
        print(f"note: {_one_line(message)}", file=sys.stderr)


def command_text(*words):
    """Join words to a command line that can be copied into this system's shell."""
    words = [str(word) for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _one_line(text):
    # A file name may hold anything: keep each message on its line, and printable in any terminal.
    encoding = sys.stderr.encoding or "utf-8"
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _command_to_go_on(script, arguments):
    # train alone has something to resume; there a second --overwrite would throw the finished epochs away.
    if script == "train_torchvision.py":
        arguments = [word for word in arguments if word.lstrip("-") not in ("overwrite", "resume")] + ["--resume"]
    program = ["python"]
    if processes.count() > 1:
        # How machines find one another is not known here.
        several = ["..."] if processes.count() > processes.count_here() else []
        program = ["torchrun", *several, f"--nproc_per_node={processes.count_here()}"]
    return command_text(*program, sys.argv[0], *arguments)


@contextlib.contextmanager
def _one_process_prints():
    # Faults are printed by every process: one may have what the others have not.
    if processes.is_main():
        yield
    else:
        with open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere, contextlib.redirect_stdout(nowhere):
            yield


@contextlib.contextmanager
def _sigterm_raises():
    def handler(signum, frame):
        raise Terminated

    try:
        previous = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not in the main thread, where no handler can be set
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
