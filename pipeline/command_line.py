"""How every script reads its options, reports errors and ends.

Imports the standard library only, so that `--help` answers at once.
"""

import argparse
import atexit
import contextlib
import dataclasses
import difflib
import functools
import gc
import os
import signal
import sys
import warnings
from pathlib import Path

from pipeline import processes
from pipeline.defaults import MOST_PIXELS
from pipeline.errors import UserError
from pipeline.messages import MOST_LINES, command_text, one_line
from pipeline.readers import any_text, whole_number

EXPORT_PACKAGES = ("onnx", "onnxruntime", "onnxscript", "safetensors")  # only needed for -export
# What a command that was stopped needs to complete the work. The demo has nothing to keep.
GOES_ON_WITH = {"train_torchvision.py": "--resume", "demo.py": "--overwrite"}


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
        # allow_abbrev=False only forbids abbreviations with two dashes; with one dash they must be errors too.
        return []

    def parse_known_args(self, args=None, namespace=None):
        self._words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message):
        if message.startswith("the following arguments are required: ") and (unknown := self._unknown_options()):
            # One of these may be meant as the missing one.
            message = f"unrecognized arguments: {' '.join(unknown)}"
        if message.startswith("unrecognized arguments: "):
            message += self._nearest(message.split()[2])
        # argparse joins all spellings of an option; one is enough for the user.
        for action in self._actions:
            if action.option_strings:
                message = message.replace("/".join(action.option_strings), action.option_strings[0])
        fail(self.prog, [message.removeprefix("argument ") + "; see --help"])

    def _unknown_options(self):
        known = self._option_string_actions
        given = [word for word in self._words if word[:1] == "-" and word.lstrip("-")[:1].isalpha()]
        return [word for word in given if word.partition("=")[0] not in known]

    def _nearest(self, word):
        """Return a hint: which option a misspelt one may mean, or what is wrong with a word that is not an option."""
        if not word.startswith("-"):
            return " (a name with spaces needs quotes)"
        names = {name.lstrip("-").lower(): name for action in self._actions for name in action.option_strings[:1]}
        nearest = difflib.get_close_matches(word.lstrip("-").lower(), names, n=1, cutoff=0.6)
        return f"; did you mean {names[nearest[0]]}?" if nearest else ""


def add_option(group, name, *other_names, **settings):
    """Add an option under `name` and its other spellings, each with one dash and with two; or a positional argument.

    Without a `type`, its value is any text that is not empty.
    """
    names = [name, *other_names]
    options = [spelling for spelling in names if spelling.startswith("-")]
    swapped = [spelling[1:] if spelling.startswith("--") else "-" + spelling for spelling in options]
    if settings.get("action", "store") in ("store", "append", "extend"):
        settings["type"] = _with_message(settings.get("type") or any_text)
    return group.add_argument(*names, *swapped, **settings)


def add_choices(groups, config_class, default_text=lambda field: ""):
    """Add an option for each field of a dataclass that carries an Option.

    Args:
        groups: {name: argument group}; a field's option goes into the group that it names.
        config_class: the dataclass, see pipeline.options.
        default_text: function that returns what the help of a field says about its default.

    The value of an option that is not given is None, that of a flag False.
    """
    for field in dataclasses.fields(config_class):
        if "option" not in field.metadata:
            continue
        option = field.metadata["option"]
        settings = {"dest": field.name, "help": option.help + default_text(field)}
        if isinstance(field.default, bool):
            settings |= {"action": "store_true" if option.flag else Switch}
        else:
            count = len(field.default) if field.default and isinstance(field.default, tuple) else option.count
            letter = {int: "N", float: "X"}.get(type(field.default))
            adding = "append" if count is None else "extend"
            settings |= {"nargs": count, "choices": option.values, "type": option.read}
            settings |= {"metavar": option.metavar or letter, "action": adding if option.again else "store"}
        add_option(groups[option.group], option.name, *option.other_names, **settings)


class Switch(argparse.Action):
    """An option without a value that can be turned off too: `--normalize`, `--no-normalize`, with one dash or two."""

    def __init__(self, option_strings, dest, **settings):
        name = option_strings[0].lstrip("-")
        self.opposites = [f"--no-{name}", f"-no-{name}"]
        super().__init__([*option_strings, *self.opposites], dest, nargs=0, **settings)

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, option_string not in self.opposites)


def _with_message(read):
    """Return a reader whose error message argparse shows: it hides that of a plain ValueError."""

    @functools.wraps(read)
    def read_option(text):
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read_option


def add_pixel_limit(group):
    """Add the option that limits the size of image files."""
    add_option(
        group,
        "-max_pixels",
        metavar="N",
        type=whole_number(),
        default=MOST_PIXELS,
        help="width x height of the largest image that is read; larger ones are treated as damaged "
        f"(default: {MOST_PIXELS}, Pillow's)",
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


class Terminated(BaseException):
    """SIGTERM arrived."""


def entry_point(main):
    """Wrap a script's `main(argv)`: one line per fault and exit 2, exit 130 and 143 on Ctrl-C and SIGTERM."""

    @functools.wraps(main)
    def run(argv=None):
        arguments = sys.argv[1:] if argv is None else [str(argument) for argument in argv]
        script = Path(main.__globals__["__file__"]).name
        if argv is None:
            _look_for_garbage_less_often()
        _open_closed_streams()
        if sys.stdout.errors == "strict":
            # A file name may hold letters that the terminal's encoding lacks.
            sys.stdout.reconfigure(errors="backslashreplace")
        with _sigterm_raises(), _one_process_prints(), warnings.catch_warnings():
            # What Pillow and pydicom warn about (odd metadata, many pixels) does not matter, or image_files raises an
            # error. The filter is set once and not around each call, because threads share it.
            warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
            try:
                main(arguments)
                sys.stdout.flush()
            except UserError as error:
                fail(script, error.faults)
            except ModuleNotFoundError as error:
                fail_for_missing(script, error)
            except BrokenPipeError:
                # The reader of a pipe (head, say) has seen enough.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(141)
            except OSError as error:
                if error.errno is None:
                    raise
                place = f"{error.filename}: " if error.filename is not None else ""
                more = "".join(f" with {option}" for option in _lacking(script, arguments))
                fail(script, [f"{place}{error.strerror}; fix this and run the same command again{more}"])
            except (KeyboardInterrupt, Terminated) as stop:
                if processes.is_main():
                    print(f"\n{script}: stopped; to go on: {_command_to_go_on(script, arguments)}", file=sys.stderr)
                sys.exit(130 if isinstance(stop, KeyboardInterrupt) else 143)

    return run


def _look_for_garbage_less_often():
    """Spare the searches through the objects of torch and pandas, of which none is garbage: half a second of importing
    and most of a second at the end of the process, which gives all memory back anyway."""
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)


def _open_closed_streams():
    """Give the script somewhere to print if it was started without (pythonw, cron, `>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8", errors="replace"))


def fail_for_missing(script, error):
    """Print one line for a package that is not installed, and exit with 2; raise the error if the module is ours."""
    package = error.name.partition(".")[0]
    if package == "pipeline":
        raise error
    needed = " ".join(EXPORT_PACKAGES) if package in EXPORT_PACKAGES else "-r requirements.txt"
    activate = r".venv\Scripts\activate" if os.name == "nt" else ". .venv/bin/activate"
    fail(
        script,
        [
            f"the package {error.name} is not installed for {sys.executable}; activate the environment "
            f"({activate}), or run: pip install {needed}"
        ],
    )


def fail(script, faults):
    """Print each fault as `SCRIPT: error: ...` on standard error and exit with 2."""
    for fault in faults[:MOST_LINES]:
        print(f"{script}: error: {one_line(fault)}", file=sys.stderr)
    if len(faults) > MOST_LINES:
        print(f"{script}: error: {len(faults)} faults in all, the first {MOST_LINES} shown", file=sys.stderr)
    sys.exit(2)


def _lacking(script, arguments):
    """Return the option, in a list, that the script needs to go on, unless the arguments have it."""
    option = GOES_ON_WITH.get(script)
    return [option] if option and not {option, option[1:]} & set(arguments) else []


def _command_to_go_on(script, arguments):
    arguments = [*arguments, *_lacking(script, arguments)]
    program = ["python"]
    if processes.count() > 1:
        # How the machines find one another is not known here.
        several = ["..."] if processes.count() > processes.count_here() else []
        program = ["torchrun", *several, f"--nproc_per_node={processes.count_here()}"]
    return command_text(*program, sys.argv[0], *arguments)


@contextlib.contextmanager
def _one_process_prints():
    # Faults are printed by every process: one may have faults that the others do not have.
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
    except ValueError:  # only the main thread can set a handler
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
