import threading

import pytest

from pipeline import progress


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
