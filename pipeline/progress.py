"""Progress bars, and work done by several threads under one."""

import collections
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from pipeline import processes


def progress_bar(iterable=None, **settings):
    """Return a tqdm bar on standard error, shown on a terminal only, by one process only."""
    return tqdm(iterable, disable=None if processes.is_main() else True, dynamic_ncols=True, **settings)


def print_line(text):
    """Print a line on standard output at once, above a progress bar if one is shown."""
    tqdm.write(text)
    sys.stdout.flush()


def map_in_threads(function, items, description=None):
    """Return `[function(item) for item in items]`, computed on all cores; with a description under a progress bar.

    Threads suffice: Pillow lets other threads run while it decodes and resizes. An exception, Ctrl-C included,
    ends the work at once instead of after the queue.
    """
    executor = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        results = executor.map(function, items)
        return list(
            results if description is None else progress_bar(results, total=len(items), desc=description, unit="image")
        )
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def stream_in_threads(function, items, ahead):
    """Yield `function(item)` for each item in order, computed on all cores, at most `ahead` items in advance."""
    executor = ThreadPoolExecutor(max_workers=os.cpu_count())
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
