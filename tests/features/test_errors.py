"""How an entry point ends."""

import pytest

from features.errors import ArtefactError, exit_code


def test_a_program_that_ends_well_is_0():
    assert exit_code(lambda: "done") == 0


def test_a_fault_of_ours_is_its_code_and_its_message_on_stderr(capsys):
    def refuse():
        raise ArtefactError("half a folder: write it again")
    assert exit_code(refuse) == 5
    assert capsys.readouterr().err == "half a folder: write it again\n"


def test_any_other_fault_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 / 0)
