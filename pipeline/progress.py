"""Progress bars, and work done by several threads under one."""

import collections
import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from pipeline import processes

try:
    import resource
except ImportError:  # Windows
    resource = None

# A thread has one file open at a time; the rest is for everything else that is open.
FILES_PER_THREAD = 16

# tqdm's own thread only redraws bars that hang, and is one more thread that a system may not let start.
tqdm.monitor_interval = 0


def progress_bar(iterable=None, silent=False, **settings):
    """Return a tqdm bar on standard error, only shown on a terminal, by the main process, and if it is not silent."""
    hidden = silent or not processes.is_main()
    return tqdm(iterable, disable=hidden or None, dynamic_ncols=True, **settings)


def print_line(text):
    """Print a line on standard output at once, above a progress bar if one is shown."""
    tqdm.write(text)
    sys.stdout.flush()


def map_in_threads(function, items, description=None):
    """Return `[function(item) for item in items]`, computed on all cores; a description adds a progress bar.

    Threads suffice: Pillow lets other threads run while it decodes and resizes. An exception, Ctrl-C included,
    ends the work at once instead of after the queue.
    """
    with contextlib.closing(stream_in_threads(function, items, len(items))) as results:
        return list(
            results if description is None else progress_bar(results, total=len(items), desc=description, unit="image")
        )


def stream_in_threads(function, items, ahead):
    """Yield `function(item)` for each item in order, computed on all cores, at most `ahead` items in advance.

    If the system lets no other thread start, everything is computed in this one.
    """
    thread_count = available_threads(os.cpu_count() or 1)
    if thread_count == 0:
        yield from map(function, items)
        return
    executor = ThreadPoolExecutor(max_workers=thread_count)
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def available_threads(most):
    """Return how many threads the system lets start (limits on processes count them too) and has open files for."""
    if resource is not None:
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if open_files != resource.RLIM_INFINITY:
            most = min(most, max(1, open_files // FILES_PER_THREAD))
    end, started = threading.Event(), []
    try:
        for _ in range(most):
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        pass
    finally:
        end.set()
        for thread in started:
            thread.join()
    return len(started)
