"""Reading settings: what counts, and what an error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_lint.config import SETTING_NAMES, ConfigError, Settings, SettingsResolver, load_settings
from pipeline_lint.diagnostic import Confidence


def test_every_key_is_read(project):
    folder = project(
        {
            "pyproject.toml": """
                [tool.pipeline-lint]
                select = ["TRN2"]
                extend-select = ["TRN101"]
                ignore = ["TRN204"]
                unfixable = ["TRN202"]
                min-confidence = "possible"
                exclude = ["vendor/"]
                respect-gitignore = false
                force-exclude = true
                local-rules = ["lint"]
                baseline = "known.json"
                output-format = "concise"
                unsafe-fixes = true
                cache-dir = ".cache"
                per-file-ignores = { "tests/*" = ["TRN1"] }
                [tool.pipeline-lint.tuple-returning-getitem]
                allow-pairs = true
            """
        }
    )
    settings = load_settings(folder / "pyproject.toml")
    assert settings == Settings(
        select=("TRN2",),
        extend_select=("TRN101",),
        ignore=("TRN204",),
        unfixable=("TRN202",),
        min_confidence=Confidence.POSSIBLE,
        exclude=("vendor/",),
        respect_gitignore=False,
        force_exclude=True,
        local_rules=("lint",),
        baseline="known.json",
        output_format="concise",
        unsafe_fixes=True,
        cache_dir=".cache",
        per_file_ignores=(("tests/*", ("TRN1",)),),
        rule_options=(("tuple-returning-getitem", (("allow-pairs", True),)),),
        root=folder,
        origin=folder / "pyproject.toml",
    )
    named = (folder / "pyproject.toml").read_text()
    assert all(name in named for name in SETTING_NAMES)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("selct = []", "unknown key `tool.pipeline-lint.selct`; did you mean `select`?"),
        ('select = "TRN2"', "`tool.pipeline-lint.select` must be a list of strings, found a string"),
        ("select = [1]", "`tool.pipeline-lint.select` must be a list of strings, found a list"),
        ("unsafe-fixes = 1", "`tool.pipeline-lint.unsafe-fixes` must be true or false, found a number"),
        ("min-confidence = 'sure'", "must be one of certain, likely, possible, found 'sure'"),
        ("output-format = 'jsn'", "found 'jsn'; did you mean `json`?"),
        ("per-file-ignores = []", "must be a table of pattern = [rules], found a list"),
        ("per-file-ignores = {'a.py' = 'TRN1'}", "pattern `a.py`, must be a list of strings"),
        ("baseline = 3", "must be a string, found a number"),
        ("select = [", "not valid TOML"),
        ("[tool.pipeline-lint.some-rule]\nx = {a = 1}", "`some-rule.x` must be a string, a number"),
    ],
)
def test_an_error_names_file_key_and_the_nearest_known_key(project, toml, message):
    folder = project({"pyproject.toml": f"[tool.pipeline-lint]\n{toml}\n"})
    with pytest.raises(ConfigError) as error:
        load_settings(folder / "pyproject.toml")
    assert message in str(error.value)
    assert str(folder / "pyproject.toml") in str(error.value)


def test_a_missing_configuration_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such configuration file"):
        load_settings(Path("nowhere.toml"))


def test_a_file_of_its_own_has_no_prefix(project):
    folder = project({"pipeline-lint.toml": 'select = ["TRN1"]\n[log-of-sigmoid]\nx = 1\n'})
    settings = load_settings(folder / "pipeline-lint.toml")
    assert settings.select == ("TRN1",)
    assert settings.options_of("log-of-sigmoid") == {"x": 1}


def test_the_nearest_configuration_counts_and_others_are_not_merged(project):
    folder = project(
        {
            "pyproject.toml": '[tool.pipeline-lint]\nselect = ["TRN1"]\nignore = ["TRN104"]\n',
            "part/pipeline-lint.toml": 'select = ["TRN2"]\n',
            "part/deep/pyproject.toml": "[project]\nname = 'no table of ours'\n",
        }
    )
    resolver = SettingsResolver()
    assert resolver.for_path(folder / "a.py").select == ("TRN1",)
    assert resolver.for_path(folder / "part/deep/a.py").select == ("TRN2",)
    assert resolver.for_path(folder / "part/deep/a.py").ignore == ()
    assert resolver.for_path(folder / "part").root == folder / "part"


def test_the_command_line_replaces_select_and_adds_to_ignore(project):
    folder = project({"pyproject.toml": '[tool.pipeline-lint]\nselect = ["TRN1"]\nignore = ["TRN104"]\n'})
    settings = SettingsResolver(overrides={"select": ("TRN2",), "ignore": ("TRN201",)}).for_path(folder)
    assert settings.select == ("TRN2",)
    assert settings.ignore == ("TRN104", "TRN201")


def test_isolated_reads_no_file(project):
    folder = project({"pyproject.toml": "[tool.pipeline-lint]\nnonsense = 1\n"})
    assert SettingsResolver(isolated=True).for_path(folder).select == ()


def test_a_given_configuration_counts_everywhere(project):
    folder = project({"pyproject.toml": "[tool.pipeline-lint]\nselect = ['TRN1']\n", "other.toml": "select = ['TRN2']"})
    assert SettingsResolver(config=folder / "other.toml").for_path(folder / "a.py").select == ("TRN2",)


def test_configuration_is_read_anew_after_forgetting(project):
    folder = project({"pyproject.toml": "[tool.pipeline-lint]\nselect = ['TRN1']\n"})
    resolver = SettingsResolver()
    assert resolver.for_path(folder).select == ("TRN1",)
    project({"pyproject.toml": "[tool.pipeline-lint]\nselect = ['TRN2']\n"})
    assert resolver.for_path(folder).select == ("TRN1",)
    resolver.forget()
    assert resolver.for_path(folder).select == ("TRN2",)
