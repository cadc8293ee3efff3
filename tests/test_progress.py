import io
import os
import sys
import threading
import time

import pytest

from pipeline import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return pretend(): standard error, from now on a terminal whose text can be read."""

    def pretend():
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        return terminal

    return pretend


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_results_come_in_the_order_of_the_items(capsys):
    assert progress.map_in_threads(lambda number: number**2, range(50), "squares") == [n**2 for n in range(50)]
    assert progress.map_in_threads(str, [], "nothing") == []
    assert capsys.readouterr() == ("", "")  # no bar where there is no terminal


def test_an_error_ends_the_work_at_once():
    done = []

    def work(number):
        if number == 0:
            raise ValueError(number)
        threading.Event().wait(0.005)
        done.append(number)

    with pytest.raises(ValueError):
        progress.map_in_threads(work, range(1000), "work")
    assert len(done) < 500


def test_a_bar_is_shown_on_a_terminal(terminal):
    screen = terminal()
    progress.map_in_threads(str, range(3), "reading")
    assert "reading: 100%" in screen.getvalue()


def test_of_several_processes_the_main_one_alone_shows_a_bar(terminal, launched):
    screen = terminal()
    launched(1, 2)
    assert progress.map_in_threads(str, range(3), "reading") == ["0", "1", "2"]
    assert screen.getvalue() == ""
    launched(0, 2)
    progress.map_in_threads(str, range(3), "reading")
    assert "reading: 100%" in screen.getvalue()


@pytest.mark.parametrize("ahead", [0, 1, 7, 100])
def test_a_stream_keeps_the_order_of_the_items(ahead):
    def work(number):
        time.sleep(0.002 * (number % 3))  # so that threads end in another order than they begin
        return number**2

    assert list(progress.stream_in_threads(work, range(20), ahead)) == [number**2 for number in range(20)]
    assert list(progress.stream_in_threads(work, [], ahead)) == []


@pytest.mark.parametrize("ahead", [0, 3])
def test_a_stream_does_so_many_items_in_advance_and_no_more(two_cores, ahead):
    done = []
    for number, _ in enumerate(progress.stream_in_threads(done.append, range(12), ahead), start=1):
        expected = min(number + ahead, 12)
        wait_for(done, expected)
        time.sleep(0.005)  # in which the threads could do more
        assert len(done) == expected


def test_an_error_ends_a_stream_at_its_place_and_its_threads(two_cores):
    done, before = [], threading.active_count()

    def work(number):
        if number == 3:
            raise ValueError(number)
        done.append(number)
        return number

    stream = progress.stream_in_threads(work, range(1000), 5)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError):
        next(stream)
    assert len(done) <= 3 + 5
    assert threading.active_count() == before


def test_a_stream_that_nobody_reads_any_more_ends_its_threads_at_once(two_cores):
    done, before = [], threading.active_count()

    def work(number):
        time.sleep(0.02)
        done.append(number)

    stream = progress.stream_in_threads(work, range(1000), 200)
    next(stream)
    assert threading.active_count() > before
    stream.close()
    assert threading.active_count() == before
    assert len(done) < 100


def wait_for(done, count):
    for _ in range(1000):
        if len(done) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(done)} items done after ten seconds, not {count}")


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_as_many_threads_work_as_the_system_lets_start(monkeypatch, allowed):
    start, running = threading.Thread.start, threading.active_count()

    def start_some(thread):
        if threading.active_count() - running >= allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(threading.Thread, "start", start_some)
    assert progress.available_threads(4) == allowed
    assert progress.map_in_threads(lambda number: number**2, range(20), "squares") == [n**2 for n in range(20)]
    assert list(progress.stream_in_threads(str, range(5), 3)) == list("01234")


@pytest.mark.skipif(progress.resource is None, reason="this system limits no open files")
@pytest.mark.parametrize(("limit", "expected"), [(20, 1), (32, 2), (1024, 4), (-1, 4)])
def test_few_open_files_are_for_few_threads(monkeypatch, limit, expected):
    monkeypatch.setattr(progress.resource, "getrlimit", lambda which: (limit, limit))
    assert progress.available_threads(4) == expected


def test_bars_start_no_thread(terminal):
    terminal()
    before = threading.active_count()
    with progress.progress_bar(total=2) as bar:
        bar.update()
        assert threading.active_count() == before
