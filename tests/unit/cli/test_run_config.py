from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from shc.cli.options import ConfigOption  # noqa: TC001 - Typer reads the annotation
from shc.cli.run_config import _yaml, write_run_yaml
from shc.featurize.errors import ShcError


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


app = typer.Typer(rich_markup_mode=None)


@app.command()
def paint(
    things: list[Path],
    *,
    config: ConfigOption = None,
    colour: Colour = Colour.RED,
    n_coats: Annotated[int, typer.Option("--n-coats", min=1)] = 1,
    dry: Annotated[bool, typer.Option("--dry")] = False,
) -> None:
    typer.echo(f"{[str(thing) for thing in things]} {colour.value} {n_coats} {dry} {config is not None}")


@app.command()
def wash(*, config: ConfigOption = None, minutes: float = 1.5) -> None:
    typer.echo(f"{minutes} {config is not None}")


inner = typer.Typer(rich_markup_mode=None)
app.add_typer(inner, name="tools")


@inner.command()
def sharpen(*, config: ConfigOption = None, angle: int = 30) -> None:
    typer.echo(f"{angle} {config is not None}")


@inner.command()
def clean() -> None:
    typer.echo("clean")


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def config_file(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_verbs_of_a_verb_have_sections_in_its_section(tmp_path: Path) -> None:
    path = config_file(tmp_path, "about: {shc: '1'}\npaint: {things: [a]}\ntools: {sharpen: {angle: 20}}\n")
    assert run("tools", "sharpen", "--config", path).stdout == "20 True\n"
    assert run("tools", "sharpen", "--config", path, "--angle", "5").stdout == "5 True\n"
    assert run("paint", "--config", path).stdout == "['a'] red 1 False True\n"
    for text, wrong in (
        ("tools: {shrpen: {angle: 20}}\n", "'shrpen' (there are: clean, sharpen)"),
        ("tools: {about: {angle: 20}}\n", "'about' (there are: clean, sharpen)"),
        ("sharpen: {angle: 20}\n", "'sharpen' (there are: paint, tools, wash)"),
        ("tools: {sharpen: 20}\n", "section 'sharpen' must map options to values"),
        ("tools: 20\n", "section 'tools' must map options to values"),
    ):
        result = run("tools", "sharpen", "--config", config_file(tmp_path, text))
        assert result.exit_code == 2
        assert wrong in " ".join(result.stderr.split())


def test_a_section_gives_the_defaults_of_its_verb_only(tmp_path: Path) -> None:
    path = config_file(tmp_path, "paint: {things: [a, b], colour: blue, n_coats: 3, dry: true}\nwash: {minutes: 4}\n")
    assert run("paint", "--config", path).stdout == "['a', 'b'] blue 3 True True\n"
    assert run("wash", "--config", path).stdout == "4.0 True\n"


def test_explicit_options_win_wherever_they_stand(tmp_path: Path) -> None:
    path = config_file(tmp_path, "paint: {things: [a], colour: blue, n-coats: 3}\n")
    assert run("paint", "c", "--n-coats", "2", "--config", path).stdout == "['c'] blue 2 False True\n"


@pytest.mark.parametrize(
    "text", ["", "about: {shc: 1}\n", "wash: {minutes: 3}\n", "paint:\n", "paint: {colour: null}\n"]
)
def test_what_is_not_given_keeps_its_default(tmp_path: Path, text: str) -> None:
    assert run("paint", "x", "--config", config_file(tmp_path, text)).stdout == "['x'] red 1 False True\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paint: {coats: 3}\n", "no option 'coats'"),
        ("paint: {config: other.yaml}\n", "no option 'config'"),
        ("pain: {n_coats: 3}\n", "no verb is called 'pain'"),
        ("n_coats: 3\n", "no verb is called 'n_coats'"),
        ("paint: [1, 2]\n", "must map options to values"),
        ("- paint\n", "one section per verb"),
        ("paint: {n_coats: many}\n", "--n-coats"),
        ("paint: {n_coats: 0}\n", "--n-coats"),
        ("paint: {colour: green}\n", "green"),
        ("paint: {colour: [\n", "run.yaml"),
    ],
)
def test_a_wrong_file_is_a_usage_error_that_says_why(tmp_path: Path, text: str, message: str) -> None:
    result = run("paint", "x", "--config", config_file(tmp_path, text))
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    result = run("wash", "--config", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml" in result.stderr


def test_reading_without_a_yaml_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    result = run("wash", "--config", config_file(tmp_path, "wash: {minutes: 4}\n"))
    assert isinstance(result.exception, ShcError)
    assert "pyyaml" in result.exception.message


def test_a_written_run_is_repeated_and_accepted_by_the_other_verbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.yaml"
    odd_name = "\u00e9\udc80\u2028'\""
    params = {
        "things": [Path("a b"), Path(odd_name)],
        "colour": Colour.BLUE,
        "config": Path("c"),
        "dry": True,
    }
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "yaml", None)
        write_run_yaml(path, "paint", {**params, "n_coats": None})
    assert run("paint", "--config", path).stdout == f"{['a b', odd_name]} blue 1 True True\n"
    assert run("wash", "--config", path).stdout == "1.5 True\n"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(content) == {"about", "paint"}
    assert set(content["paint"]) == {"things", "colour", "dry"}
    assert {"shc", "date", "python", "cpus"} <= set(content["about"])
    assert list(tmp_path.iterdir()) == [path]


@given(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False))),
    )
)
def test_scalars_and_lists_survive_yaml(value: object) -> None:
    assert yaml.safe_load(f"key: {_yaml(value)}\n") == {"key": value}


def test_nan_survives_yaml() -> None:
    assert math.isnan(yaml.safe_load(_yaml(math.nan)))


def test_other_values_are_refused() -> None:
    with pytest.raises(TypeError, match="dict"):
        _yaml({"a": 1})
