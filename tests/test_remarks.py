from pipeline.messages import MOST_NAMES
from pipeline.remarks import Remarks


def test_a_remark_is_one_line_with_the_count_and_the_first_names(capsys):
    remarks = Remarks()
    for number in range(2000):
        remarks.add(f"{number}.png", ["odd"] * (number % 2) + ["rare"] * (number == 7))
    remarks.tell("new images")
    odd, rare = capsys.readouterr().err.splitlines()
    assert "odd" in odd and "1000 of 2000 new images" in odd and "1.png, 3.png" in odd
    assert f"and {1000 - MOST_NAMES} more" in odd and len(odd) < 120
    assert "1 of 2000" in rare and "7.png" in rare and "more" not in rare


def test_nothing_odd_is_nothing_told(capsys):
    remarks = Remarks()
    remarks.add("a.png", [])
    remarks.tell("images")
    assert capsys.readouterr().err == ""
