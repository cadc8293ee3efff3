"""Runs scripts in processes that are killed at a chosen moment, without importing torch anew for each of them."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}

# Each process starts as a copy of one that has imported everything.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["killing", "train_torchvision", "test_torchvision", "torchvision", "sklearn.metrics"])


@dataclass(frozen=True)
class Ended:
    """How a script's process ended."""

    status: int  # as the shell has it; -9: killed
    seconds: float
    changes: int  # how often it has changed the file system, 0 if it was killed


def run(script, arguments, *, kill_before_change=None, kill_after_seconds=None):
    """Run a script's main in a process; SIGKILL it before its change of this number, or after so many seconds."""
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_run, args=(script, [*map(str, arguments)], kill_before_change, sender))
    process.start()
    sender.close()
    receiver.recv()  # it has started
    started = time.perf_counter()
    process.join(kill_after_seconds)
    if process.is_alive():
        process.kill()
        process.join()
    seconds = time.perf_counter() - started
    with contextlib.suppress(EOFError):
        return Ended(process.exitcode, seconds, receiver.recv())
    return Ended(process.exitcode, seconds, 0)


def _run(script, arguments, kill_before_change, sender):
    sys.path.insert(0, str(SCRIPTS))
    main = importlib.import_module(Path(script).stem).main
    changes = 0

    def watch(event, details):
        nonlocal changes
        if event in CHANGES or (event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            changes += 1
            if changes == kill_before_change:
                os.kill(os.getpid(), signal.SIGKILL)

    sender.send("started")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        sys.addaudithook(watch)
        status = 0
        try:
            main(arguments)
        except SystemExit as stop:
            status = stop.code or 0
    sender.send(changes)
    sys.exit(status)
