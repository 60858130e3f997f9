import subprocess
import sys
from pathlib import Path

import pytest

from infra.datasets.__main__ import main


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GATESID_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def simulate(*more):
    return main(["prepare", "simulator", "--users", "20", "--items", "10", "--days", "2", "--events", "500", "--seed", "1",
                 *more])


def test_prepare_then_load_ends_with_the_path_written(home, clock, capsys):
    assert main(["prepare", "simulator", "--users", "20", "--items", "10", "--days", "2", "--events", "500"], clock) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(home / "data" / "simulator")
    assert main(["load", "simulator", "--from", "2026-11-20", "--as-of", "2026-11-22"], clock) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{home / 'lake' / 'events'}@2"


def test_from_defaults_to_the_day_before_as_of(home, clock, capsys):
    main(["prepare", "simulator", "--users", "20", "--items", "10", "--days", "2", "--events", "500"], clock)
    assert main(["load", "simulator", "--as-of", "2026-11-22"], clock) == 0
    assert "of 1 days" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["load", "simulator", "--as-of", "2026-11-22"], 5, "no data set at"),
    (["load", "simulator", "--from", "2026-11-23", "--as-of", "2026-11-22"], 3, "must be before"),
    (["load", "simulator", "--as-of", "22.11.2026"], 3, "YYYY-MM-DD"),
    (["prepare", "kuairand", "--path", "/nowhere"], 4, "expected impressions.parquet"),
    (["prepare", "own", "--events", "/nowhere.csv", "--items", "/nowhere.csv"], 4, "found nothing"),
    (["prepare", "simulator", "--users", "0"], 3, "users must be at least 1"),
    (["prepare", "complete_journey", "--path", "/nowhere"], 4, "does not exist"),
])
def test_a_fault_is_one_clear_message_and_its_exit_code(home, capsys, arguments, code, says):
    assert main(arguments) == code
    assert says in capsys.readouterr().err


def test_a_name_that_is_no_folder_name_is_bad_usage(home, capsys):
    with pytest.raises(SystemExit) as stopped:
        simulate("--out", "../elsewhere")
    assert stopped.value.code == 2


def test_help_shows_every_command_and_so_does_the_readme():
    done = subprocess.run([sys.executable, "-m", "infra.datasets", "--help"], capture_output=True, text=True, check=True)
    readme = (Path(__file__).resolve().parents[3] / "infra" / "datasets" / "README.md").read_text()
    for part in ("prepare complete_journey", "prepare kuairand", "prepare own --events", "prepare simulator", "validate own",
                 "load NAME --from"):
        assert part in done.stdout
        assert part in readme
