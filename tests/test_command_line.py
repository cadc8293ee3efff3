import importlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import command_line, messages
from pipeline.errors import UserError
from pipeline.readers import whole_number

SCRIPTS = [
    "partition_datasets.py",
    "organize_files.py",
    "train_torchvision.py",
    "test_torchvision.py",
    "calc_model_performance.py",
]
THIS_FILE = Path(__file__).name


@pytest.fixture
def parser():
    parser = command_line.ArgumentParser("/somewhere/script.py", "Do something.", "python script.py")
    command_line.add_option(parser, "-save", "-model_save_name", metavar="NAME", required=True)
    command_line.add_option(parser, "--use_GPU", action="store_true")
    command_line.add_option(parser, "-epochs", "-num_epochs", metavar="N", type=whole_number())
    return parser


@pytest.fixture
def ends(capsys):
    """Return end(main, *arguments): exit status and the lines on standard error of a main function, wrapped."""

    def end(main, *arguments):
        with pytest.raises(SystemExit) as stop:
            command_line.entry_point(main)(arguments)
        return stop.value.code, capsys.readouterr().err.splitlines()

    return end


# The names of one thing: a script that has it takes all of them.
NAMES = [
    {"proj_dir", "project_directory", "dir"},
    {"classes", "num_classes"},
    {"img_size", "img_shape"},
    {"save", "model_save_name"},
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_option_of_a_script_takes_one_dash_and_two_and_all_names_of_its_thing(script):
    for option in importlib.import_module(Path(script).stem).create_argparser()._actions:
        names = {spelling.lstrip("-") for spelling in option.option_strings}
        assert set(option.option_strings) == {dashes + name for dashes in ("-", "--") for name in names}
        assert all(names >= one_thing for one_thing in NAMES if names & one_thing), names


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-epochs", "x", "-save", "a"], "-epochs: 'x' is not a whole number from 1 to 999999999"),
        (["--num_epochs", "0", "-save", "a"], "-epochs: '0' is not a whole number from 1 to 999999999"),
        (["-save"], "-save: expected one argument"),
        (["-save", ""], "-save: is empty; perhaps a variable is not set"),
        ([], "the following arguments are required: -save"),
        (["-save", "a", "-epoch", "3"], "unrecognized arguments: -epoch 3; did you mean -epochs?"),
        (["-save", "a", "--epoch=3"], "unrecognized arguments: --epoch=3; did you mean -epochs?"),
        (["-save", "a", "--use_gpu"], "unrecognized arguments: --use_gpu; did you mean --use_GPU?"),
        (["-savee", "a"], "unrecognized arguments: -savee; did you mean -save?"),
        (["-sav=-1"], "unrecognized arguments: -sav=-1; did you mean -save?"),
        (["-save", "my", "scans"], "unrecognized arguments: scans (a name with spaces needs quotes)"),
    ],
)
def test_a_wrong_option_is_one_line_under_its_leading_name(parser, capsys, arguments, line):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"script.py: error: {line}; see --help\n"


@pytest.mark.parametrize(
    ("script", "arguments", "name", "values"),
    [
        ("calc_model_performance", ["P", "R", "-prevalence", "0.1", "-prevalence", "0.2"], "prevalence", [0.1, 0.2]),
        ("calc_model_performance", ["P", "R", "-compare", "a", "-compare", "b"], "compare", ["a", "b"]),
        ("partition_datasets", ["-dir", "D", "-files", "a", "b", "-files", "c"], "files", ["a", "b", "c"]),
        ("train_torchvision", ["-dir", "D", "-batch_size", "4", "8", "-batch_size", "2"], "batch_size", [2]),
    ],
)
def test_a_list_that_is_given_again_is_longer_but_a_sweep_is_another(script, arguments, name, values):
    parsed = importlib.import_module(script).create_argparser().parse_intermixed_args(arguments)
    assert getattr(parsed, name) == values


@pytest.mark.parametrize("spelling", ["-h", "-help", "--help"])
def test_help_shows_the_leading_names_alone(parser, capsys, spelling):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args([spelling])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert "-save NAME" in text and "--use_GPU" in text
    assert "model_save_name" not in text and "--save" not in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_of_a_script_says_what_it_reads_and_writes_and_imports_nothing_slow(script, run_script, slow_imports):
    text = run_script(script, "--help", PYTHONSAFEPATH="1").stdout  # Python then leaves the script's folder out
    for part in ("\nreads:  ", "\nwrites: ", f"\nexample:\n  python {script} "):
        assert part in text
    assert slow_imports(script, "--help") == set()


@pytest.mark.parametrize(("count", "lines"), [(1, 1), (20, 20), (21, 21), (50, 21)])
def test_at_most_twenty_faults_are_shown_and_then_their_count(ends, count, lines):
    def main(argv):
        raise UserError(*(f"file, line {number}: wrong" for number in range(count)))

    code, errors = ends(main)
    assert code == 2
    assert len(errors) == lines
    assert errors[: min(count, 20)] == [
        f"{THIS_FILE}: error: file, line {number}: wrong" for number in range(min(count, 20))
    ]
    if count > 20:
        assert errors[20] == f"{THIS_FILE}: error: {count} faults in all, the first 20 shown"


def test_a_fault_stays_on_one_line_whatever_the_file_is_called(ends):
    def main(argv):
        raise UserError("a\nb\x1b[31m\udcff: wrong")

    assert ends(main) == (2, [rf"{THIS_FILE}: error: a\nb\x1b[31m\udcff: wrong"])


def test_what_the_operating_system_refuses_is_one_line(ends, tmp_path):
    def main(argv):
        Path(argv[0]).read_bytes()

    missing = tmp_path / "missing"
    code, errors = ends(main, missing)
    assert code == 2
    assert errors == [
        f"{THIS_FILE}: error: {missing}: No such file or directory; fix this and run the same command again"
    ]


def test_a_bug_keeps_its_traceback(run_python):
    result = run_python(
        "from pipeline import command_line\n__file__ = 'x.py'\n"
        "@command_line.entry_point\ndef main(argv): {}['missing']\nmain()"
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback") and result.stderr.endswith("KeyError: 'missing'\n")


def test_a_note_is_one_line_on_standard_error(capsys):
    messages.note("left\nout")
    assert capsys.readouterr() == ("", "note: left\\nout\n")


def test_the_handler_of_sigterm_is_put_back():
    before = signal.getsignal(signal.SIGTERM)
    during = []
    command_line.entry_point(lambda argv: during.append(signal.getsignal(signal.SIGTERM)))([])
    assert signal.getsignal(signal.SIGTERM) is before
    assert during != [before]


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither signal for another process")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_script_in_order_and_says_how_to_go_on(tmp_path, number, code):
    script = tmp_path / "some script.py"
    script.write_text(
        "import time\n"
        "from pipeline import command_line\n"
        "@command_line.entry_point\n"
        "def main(argv):\n"
        "    try:\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('tidied')\n"
        "main()\n"
    )
    command = [sys.executable, str(script), "-dir", "a b"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert output == "tidied\n"
    assert errors == f"\nsome script.py: stopped; to go on: python '{script}' -dir 'a b'\n"


@pytest.mark.parametrize(
    ("script", "given", "words"),
    [
        ("train_torchvision.py", [], "-out D --resume"),
        ("train_torchvision.py", ["-resume"], "-out D -resume"),
        ("train_torchvision.py", ["--overwrite"], "-out D --overwrite --resume"),
        ("demo.py", [], "-out D --overwrite"),
        ("demo.py", ["-overwrite"], "-out D -overwrite"),
    ],
)
def test_training_goes_on_with_resume_and_the_demo_begins_again(monkeypatch, ends, script, given, words):
    def main(argv):
        raise KeyboardInterrupt

    monkeypatch.setitem(globals(), "__file__", script)
    monkeypatch.setattr(sys, "argv", [script])
    code, errors = ends(main, "-out", "D", *given)
    assert code == 130
    assert errors == ["", f"{script}: stopped; to go on: python {script} {words}"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, command_line.Terminated])
@pytest.mark.parametrize(
    ("count", "count_here", "torchrun"),
    [(2, 2, "torchrun --nproc_per_node=2"), (8, 4, "torchrun ... --nproc_per_node=4")],
)
def test_the_command_to_go_on_starts_as_many_processes(monkeypatch, ends, launched, stop, count, count_here, torchrun):
    def main(argv):
        raise stop

    monkeypatch.setitem(globals(), "__file__", "train_torchvision.py")
    monkeypatch.setattr(sys, "argv", ["some folder/train_torchvision.py"])
    code = 130 if stop is KeyboardInterrupt else 143
    launched(0, count, count_here)
    command = f"{torchrun} 'some folder/train_torchvision.py' -dir D --resume"
    assert ends(main, "-dir", "D") == (code, ["", f"train_torchvision.py: stopped; to go on: {command}"])
    launched(1, count, count_here)
    assert ends(main, "-dir", "D") == (code, [])


def test_of_several_processes_the_main_one_alone_prints(capsys, launched):
    @command_line.entry_point
    def main(argv):
        print("a result")
        messages.note("a remark")

    launched(1, 2)
    main([])
    assert capsys.readouterr() == ("", "")
    print("after")  # no more held back
    assert capsys.readouterr() == ("after\n", "")
    launched(0, 2)
    main([])
    assert capsys.readouterr() == ("a result\n", "note: a remark\n")


def test_a_process_that_prints_nothing_takes_any_letter(run_python):
    code = (
        "from pipeline import command_line\n__file__ = 'x.py'\n"
        "@command_line.entry_point\ndef main(argv): print('caf\\xe9 \\udcff', flush=True)\nmain()"
    )
    variables = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2", "PYTHONUTF8": "0", "LC_ALL": "POSIX"}
    result = run_python(code, PYTHONCOERCECLOCALE="0", **variables)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("number", [0, 1])
def test_faults_are_printed_by_every_process(ends, launched, number):
    def main(argv):
        raise UserError("file: wrong")

    launched(number, 2)
    assert ends(main) == (2, [f"{THIS_FILE}: error: file: wrong"])


@pytest.mark.skipif(os.name == "nt", reason="Windows reports a closed pipe otherwise")
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    code = "from pipeline import command_line\n__file__ = 'x.py'\n@command_line.entry_point\ndef main(argv):\n"
    code += "    for _ in range(100000): print('line')\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, "")


def test_letters_that_the_terminal_lacks_are_escaped(run_python):
    code = (
        "from pipeline import command_line, messages\n__file__ = 'x.py'\n"
        "@command_line.entry_point\ndef main(argv): print('caf\\xe9'); messages.note('caf\\xe9')\nmain()"
    )
    result = run_python(code, PYTHONIOENCODING="ascii:strict")
    assert (result.returncode, result.stdout, result.stderr) == (0, "caf\\xe9\n", "note: caf\\xe9\n")


@pytest.mark.skipif(os.name == "nt", reason="the quoting is that of POSIX shells")
def test_a_printed_command_can_be_copied():
    words = ["python", "a b.py", "-dir", "it's", 3]
    assert shlex.split(messages.command_text(*words)) == ["python", "a b.py", "-dir", "it's", "3"]


def test_a_missing_package_is_one_line_that_says_how_to_get_it(run_python):
    code = (
        "from pipeline import command_line\n__file__ = 'x.py'\n"
        "@command_line.entry_point\ndef main(argv):\n    import no_such_package\nmain()"
    )
    result = run_python(code)
    assert result.returncode == 2
    assert result.stderr.startswith("x.py: error: the package no_such_package is not installed for ")
    assert len(result.stderr.splitlines()) == 1 and "pip install -r requirements.txt" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="the shell is a POSIX one")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_script_without_an_output_works(tmp_path, closed):
    code = (
        "from pipeline import command_line, messages\n__file__ = 'x.py'\n"
        "@command_line.entry_point\ndef main(argv):\n    print('x')\n    messages.note('y')\n"
        f"    open({str(tmp_path / 'done')!r}, 'w')\nmain()"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {closed}"
    assert subprocess.run(["sh", "-c", command], cwd=ROOT, check=False).returncode == 0
    assert (tmp_path / "done").exists()


def test_a_very_long_line_is_cut(ends):
    def main(argv):
        raise UserError("x" * 10_000_000)

    _, (line,) = ends(main)
    assert len(line) < 1100
