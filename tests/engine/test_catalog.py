"""Finding rules and selecting them."""

from __future__ import annotations

import pytest

from pipeline_lint.config import ConfigError, Settings, load_settings
from pipeline_lint.engine.catalog import all_rules, builtin_rules, find_rule, selected_rules

LOCAL_RULE = '''
from pipeline_lint.rule import Finding, Rule

class PrintedLoss(Rule):
    """The loss is printed."""
    code = "LOC001"
    options = {"word": "loss"}
    def check(self, source):
        return iter(())
'''


def codes(**settings) -> set[str]:
    return {rule.code for rule in selected_rules(Settings(**settings))}


def test_every_rule_is_found_once_and_by_code_or_name():
    rules = builtin_rules()
    assert len({rule.code for rule in rules}) == len({rule.rule_name() for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert find_rule(rule.code.lower(), Settings()) is find_rule(rule.rule_name(), Settings()) is rule


def test_the_default_rules_run_when_nothing_is_selected():
    assert codes() == {rule.code for rule in builtin_rules() if rule.is_default}


@pytest.mark.parametrize(
    ("settings", "inside", "outside"),
    [
        ({"select": ("TRN2",)}, {"TRN201", "TRN202"}, {"TRN101", "TRN902"}),
        ({"select": ("numerics",)}, {"TRN201", "TRN202"}, {"TRN101"}),
        ({"select": ("log-of-sigmoid",)}, {"TRN201"}, {"TRN202"}),
        ({"select": ("trn201",)}, {"TRN201"}, {"TRN202"}),
        ({"select": ("ALL",), "ignore": ("TRN2",)}, {"TRN101"}, {"TRN201"}),
        ({"ignore": ("TRN201",)}, {"TRN202", "TRN101"}, {"TRN201"}),
        ({"select": ("TRN2",), "ignore": ("TRN201",)}, {"TRN202"}, {"TRN201"}),
        ({"select": ("TRN201",), "ignore": ("TRN2",)}, {"TRN201"}, {"TRN202"}),
        ({"select": ("TRN1",), "extend_select": ("TRN201",)}, {"TRN101", "TRN201"}, {"TRN202"}),
        ({"select": ("TRN201",), "ignore": ("TRN201",)}, set(), {"TRN201"}),
    ],
)
def test_the_more_specific_selector_wins(settings, inside, outside):
    chosen = codes(**settings)
    assert inside <= chosen
    assert not outside & chosen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"select": ("TRN406x",)}, "`select` names no rule: `TRN406x`; did you mean `TRN406`?"),
        ({"ignore": ("log-of-sigmod",)}, "`ignore` names no rule: `log-of-sigmod`; did you mean `log-of-sigmoid`?"),
        ({"per_file_ignores": (("a.py", ("TRN999",)),)}, "`per-file-ignores.a.py` names no rule: `TRN999`"),
        ({"rule_options": (("log-of-sigmod", ()),)}, "unknown key `tool.pipeline-lint.log-of-sigmod`; did you mean"),
        ({"rule_options": (("log-of-sigmoid", (("x", 1),)),)}, "rule `log-of-sigmoid` has no option `x`"),
        (
            {"rule_options": (("tuple-returning-forward", (("output-style", "tuple"),)),)},
            'must be "constants", "literals", "typed-dict" or "dataclass", found \'tuple\'',
        ),
        (
            {"rule_options": (("tuple-returning-getitem", (("allow-pair", True),)),)},
            "has no option `allow-pair`; did you mean `allow-pairs`?",
        ),
        (
            {"rule_options": (("tuple-returning-getitem", (("allow-pairs", "yes"),)),)},
            "option `allow-pairs` of rule `tuple-returning-getitem` must be like its default False, found 'yes'",
        ),
    ],
)
def test_a_wrong_selector_or_option_is_named_with_the_nearest_right_one(settings, message):
    with pytest.raises(ConfigError) as error:
        selected_rules(Settings(**settings))
    assert message in str(error.value)


def test_an_unknown_rule_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"no rule `TRN2001`; did you mean `TRN201`\?"):
        find_rule("TRN2001", Settings())


def test_local_rules_are_found_in_files_and_folders_with_their_options(project):
    folder = project(
        {
            "lint/loop/printed_loss.py": LOCAL_RULE,
            "pipeline-lint.toml": 'local-rules = ["lint"]\nselect = ["LOC001"]\n[printed-loss]\nword = "cost"\n',
        }
    )
    (rule,) = selected_rules(load_settings(folder / "pipeline-lint.toml"))
    assert rule.rule_name() == "printed-loss"
    assert rule.topic() == "loop"
    assert rule.settings == {"word": "cost"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nonsense_that_is_not_there", "the local rule fails to import: ModuleNotFoundError"),
        ("x = 1", "holds no rule"),
        (LOCAL_RULE.replace("LOC001", "TRN201"), "`TRN201` is taken by"),
        (LOCAL_RULE.replace('code = "LOC001"', ""), "rule `printed-loss` has no `code`"),
        (LOCAL_RULE.replace("PrintedLoss", "LogOfSigmoid"), "`log-of-sigmoid` is taken by"),
    ],
)
def test_a_broken_local_rule_is_named(project, code, message):
    folder = project({"lint/broken.py": code})
    with pytest.raises(ConfigError) as error:
        all_rules(Settings(local_rules=("lint",), root=folder))
    assert message in str(error.value)
    assert "broken.py" in str(error.value)


def test_a_missing_local_rule_is_named(project):
    with pytest.raises(ConfigError, match="`local-rules` names `nowhere`, which does not exist"):
        all_rules(Settings(local_rules=("nowhere",), root=project()))
