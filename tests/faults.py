"""Runs scripts in processes that meet with a fault, without importing torch again for each of them."""

import contextlib
import importlib
import io
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}

# Each process starts as a copy of one that has imported everything; scripts leave most imports to their main.
MODULES = [".".join(path.relative_to(SCRIPTS).with_suffix("").parts) for path in (SCRIPTS / "pipeline").rglob("*.py")]
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["torchvision", *sorted(MODULES)])


@dataclass(frozen=True)
class Ended:
    """How a script's process ended."""

    status: int  # as the shell has it; -9: killed
    seconds: float
    changes: int = 0  # how often it has changed the files in the project; 0 and no errors if it was killed
    errors: str = ""  # what it has written on standard error


def run(
    project,
    script,
    arguments,
    *,
    before_change=None,
    send=signal.SIGKILL,
    kill_after_seconds=None,
    largest_file=None,
):
    """Run a script's main in a process and return how it Ended.

    Before its change of number `before_change` to the files in the project folder it is sent a signal; after
    `kill_after_seconds` it is killed. No file that it writes can grow beyond `largest_file` bytes, as on a disk that is
    full.
    """
    receiver, sender = processes.Pipe(duplex=False)
    conditions = (str(project), before_change, send, largest_file)
    process = processes.Process(target=_run, args=(script, [*map(str, arguments)], conditions, sender))
    process.start()
    sender.close()
    receiver.recv()  # it has started
    started = time.perf_counter()
    said = None
    if receiver.poll(kill_after_seconds):
        with contextlib.suppress(EOFError):
            said = receiver.recv()
    if said is None:
        process.kill()
    process.join()
    return Ended(process.exitcode, time.perf_counter() - started, *(said or ()))


def _run(script, arguments, conditions, sender):
    project, before_change, send, largest_file = conditions
    sys.path.insert(0, str(SCRIPTS))
    sys.dont_write_bytecode = True  # which would change the file system too, the first time only
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job in the background
    main = importlib.import_module(Path(script).stem).main
    changes = 0

    def watch(event, details):
        nonlocal changes
        if event in ("socket.connect", "socket.getaddrinfo"):
            os._exit(99)  # no script uses the network
        if event in CHANGES or (event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            if isinstance(details[0], int):
                return  # an open file, which was counted when it was opened
            if os.path.commonpath([project, os.path.abspath(os.fsdecode(details[0]))]) != project:
                return  # a cache of matplotlib's, say
            changes += 1
            if changes == before_change:
                os.kill(os.getpid(), send)

    sys.argv = [str(SCRIPTS / script)]
    errors = io.StringIO()
    sender.send("started")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(errors):
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        sys.addaudithook(watch)
        status = 0
        try:
            main(arguments)
        except SystemExit as stop:
            status = stop.code or 0
        except Exception:
            status = 1
            traceback.print_exc()
    sender.send((changes, errors.getvalue()))
    sys.exit(status)
