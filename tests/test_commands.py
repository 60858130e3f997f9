"""Every command can be found: each entry point stands in a README, and each command the READMEs name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("features", "spark_jobs", "streaming", "model", "serving", "dags", "infra")
READMES = [ROOT / "README.md", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("README.md")))]
TEXT = "\n".join(path.read_text() for path in READMES)
NAMED = sorted({name for name in re.findall(r"python -m ((?:\w+\.)*\w+)", TEXT) if name.split(".")[0] in ROOMS})


def entry_points():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if '__name__ == "__main__"' in path.read_text():
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


@pytest.mark.parametrize("module", list(entry_points()))
def test_an_entry_point_is_in_a_readme(module):
    assert module in TEXT or f"{module.split('.')[-1]}.py" in TEXT, f"name `python -m {module}` in its room's README"


@pytest.mark.parametrize("module", NAMED)
def test_a_command_of_a_readme_exists(module):
    path = ROOT.joinpath(*module.split("."))
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
