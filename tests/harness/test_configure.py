"""From request to configuration."""

import json
import tomllib
from pathlib import Path

import pytest

from semibench import plugins
from semibench.errors import UsageError
from semibench.harness.configure import Configuration, Request, Resolved, backbone, resolve
from semibench.methods.method import Method
from semibench.methods.networks.base import Network
from semibench.methods.supervised import Supervised
from semibench.protocols.protocol import load
from semibench.protocols.recipe import Published
from semibench.records import flatten


def ask(*settings: str, file: Path | None = None, method: str = "fixmatch") -> Resolved:
    return resolve(Request(method, load("shapes-48"), seed=3, file=file, settings=settings))


def test_nothing_set_by_hand_gives_the_protocol_s_division() -> None:
    resolved = ask()
    assert resolved.configuration.division == "controlled"
    assert resolved.configuration.recipe == load("shapes-48").recipe
    assert resolved.configuration.seed == 3


def test_a_value_set_by_hand_makes_the_division_custom() -> None:
    assert ask("recipe.steps=7").configuration.division == "custom"
    assert ask("method.threshold=0.5").configuration.division == "custom"


def test_setting_a_value_to_what_it_already_is_changes_nothing() -> None:
    steps = load("shapes-48").recipe.steps
    assert ask(f"recipe.steps={steps}").configuration.division == "controlled"


def test_how_a_run_is_carried_out_does_not_touch_the_division() -> None:
    resolved = ask("run.workers=0", "run.checkpoint_every=5")
    assert resolved.configuration.division == "controlled"
    assert resolved.deciding() == ask().deciding()


def test_the_command_line_wins_over_the_file_and_the_file_over_the_protocol(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("recipe.steps = 5\nrecipe.optimizer.lr = 0.5\n")
    resolved = ask("recipe.steps=6", file=file)
    assert resolved.configuration.recipe.steps == 6
    assert resolved.configuration.recipe.optimizer.lr == 0.5
    assert resolved.origins["recipe.steps"] == "--set"
    assert resolved.origins["recipe.optimizer.lr"] == "mine.toml"
    assert resolved.origins["recipe.crop"] == "protocol shapes-48"


def test_the_toml_of_a_configuration_gives_the_same_configuration_back(tmp_path: Path) -> None:
    resolved = ask("recipe.steps=6", "method.threshold=0.8")
    file = tmp_path / "resolved.toml"
    file.write_text(resolved.to_toml())
    assert ask(file=file).configuration.model_dump() == resolved.configuration.model_dump()
    assert "recipe.steps = 6 # --set" in resolved.to_toml()
    assert tomllib.loads(resolved.to_toml())["method"]["name"] == "fixmatch"


def test_every_value_of_the_toml_has_an_origin() -> None:
    assert 'recipe.clip_norm = "none" # protocol shapes-48' in ask().to_toml()
    assert all(" # " in line for line in ask().to_toml().splitlines())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("recipe.stepz=3", r"unknown key 'recipe\.stepz' in --set\. Nearest: steps"),
        ("recipes.steps=3", r"unknown key 'recipes' in --set\. Nearest: recipe"),
        ("method.treshold=0.5", r"unknown key 'method\.treshold' in --set\. Nearest: threshold"),
        ("network.encodr=tiny", r"unknown key 'network\.encodr' in --set\. Nearest: encoder"),
        ("recipe.steps=many", r"recipe\.steps = 'many' in --set is not valid"),
        ("recipe.steps", r"--set recipe\.steps is not of the form key=value"),
        ("network=3", r"network = 3 in --set is not a section"),
        ("recipe=3", r"recipe = 3 in --set is not valid"),
        ("network.name=deeplabv3plu", r"network 'deeplabv3plu' not found; nearest: deeplabv3plus"),
    ],
)
def test_a_wrong_setting_is_an_error_with_the_nearest_key(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ask(setting)


def test_an_unknown_method_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="method 'fixmach' not found; nearest: fixmatch"):
        ask(method="fixmach")


def test_a_file_of_another_method_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "resolved.toml"
    file.write_text(ask().to_toml())
    with pytest.raises(UsageError, match="configuration of method 'fixmatch', not 'supervised'"):
        ask(file=file, method="supervised")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("recipe = {")
    with pytest.raises(UsageError, match=r"broken\.toml cannot be read"):
        ask(file=file)


def test_a_method_without_a_published_recipe_says_so() -> None:
    with pytest.raises(UsageError, match="no published recipe for shapes"):
        resolve(Request("supervised", load("shapes-48"), division="published"))


def test_none_takes_a_value_back() -> None:
    assert ask("recipe.clip_norm=1.5", "recipe.clip_norm=none").configuration.recipe.clip_norm is None


PARTS = {
    "method": {name: plugins.find_class(plugins.METHOD, name, Method).Config for name in plugins.summaries(plugins.METHOD)},
    "network": {name: plugins.find_class(plugins.NETWORK, name, Network).Config for name in plugins.summaries(plugins.NETWORK)},
}
WITH_WORD = [
    (section, name, key)
    for section, parts in PARTS.items()
    for name, config in parts.items()
    for key, field in config.model_fields.items()
    if "'none'" in repr(field.annotation)
]


def test_some_options_have_the_word_none_among_their_values() -> None:
    assert {("method", "cwbass", "decay"), ("network", "vlg", "trained")} <= set(WITH_WORD)


@pytest.mark.parametrize(("section", "name", "key"), WITH_WORD)
def test_the_word_none_is_a_value_where_it_is_among_them(section: str, name: str, key: str, tmp_path: Path) -> None:
    method = name if section == "method" else "supervised"
    named = [f"network.name={name}"] if section == "network" else []
    resolved = ask(*named, f"{section}.{key}=none", method=method)
    assert getattr(getattr(resolved.configuration, section), key) == "none"
    file = tmp_path / "resolved.toml"
    file.write_text(resolved.to_toml())
    assert ask(file=file, method=method).configuration.model_dump() == resolved.configuration.model_dump()


def test_no_option_of_the_recipe_the_rule_or_how_a_run_is_carried_out_has_it() -> None:
    assert '"none"' not in json.dumps(Configuration.model_json_schema())


# Another network, and another optimizer.


def test_another_network_keeps_the_options_that_it_can_have_with_their_origins() -> None:
    resolved = resolve(Request("semivl", load("cityscapes-100"), settings=("network.name=deeplab_clip",)))
    network = resolved.configuration.network.model_dump()
    assert (network["name"], network["image_size"], network["renormalize"]) == ("deeplab_clip", (801, 801), True)
    published = resolved.origins["recipe.crop"]
    origins = {key: resolved.origins[f"network.{key}"] for key in ("name", "image_size", "renormalize", "channels", "encoder")}
    assert origins == {
        "name": "--set",
        "image_size": published,
        "renormalize": published,
        "channels": "default",
        "encoder": "default",
    }


def test_another_network_keeps_the_protocol_s_encoder() -> None:
    resolved = ask("network.name=deeplabv3")
    assert resolved.configuration.network.model_dump()["encoder"] == "tiny"
    assert resolved.origins["network.encoder"] == "protocol shapes-48"


def test_another_network_keeps_what_a_file_says_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('network = {name = "vlg", trained = "none", image_size = [32, 32], class_chunk = 2}')
    resolved = ask("network.name=deeplab_clip", file=file)
    network = resolved.configuration.network.model_dump()
    assert (network["encoder"], network["trained"], network["image_size"]) == ("tiny", "none", (32, 32))
    assert resolved.origins["network.trained"] == "mine.toml"


def test_what_is_set_by_hand_must_be_an_option_of_the_network_that_is_taken() -> None:
    with pytest.raises(UsageError, match=r"unknown key 'network\.low_channel' in --set"):
        ask("network.low_channel=3", "network.name=deeplab_clip")


def test_another_optimizer_leaves_no_origin_of_the_one_before() -> None:
    adamw = [f"recipe.optimizer.{setting}" for setting in ("name=adamw", "lr=1e-3", "weight_decay=0.01")]
    sgd = [f"recipe.optimizer.{setting}" for setting in ("name=sgd", "lr=0.1", "momentum=0.9", "weight_decay=0")]
    origins = ask("recipe.optimizer.nesterov=true", *adamw, *sgd).origins
    assert (origins["recipe.optimizer.momentum"], origins["recipe.optimizer.nesterov"]) == ("--set", "default")


def test_flattening_keeps_empty_tables() -> None:
    assert list(flatten({"a": {"b": {}}})) == [("a.b", {})]


@pytest.mark.parametrize(
    ("key", "option"),
    [
        ("seed", "--seed"),
        ("protocol", "--protocol"),
        ("division", "--division"),
        ("method", "--method"),
        ("method.name", "--method"),
    ],
)
def test_what_has_an_option_of_its_own_cannot_be_set_by_hand(key: str, option: str) -> None:
    with pytest.raises(UsageError, match=rf"--set {key} cannot be set by hand\. Use {option}\."):
        ask(f"{key}=3")


@pytest.mark.parametrize(
    ("setting", "known"),
    [
        ("zzz=1", "Known: evaluation, method, network, recipe, run."),
        ("method.zzz=1", "Known: mining, partner, threshold."),
    ],
    ids=["section", "method"],
)
def test_what_has_an_option_of_its_own_is_not_among_the_known_keys(setting: str, known: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(setting)
    assert caught.value.next_step == known


def test_a_section_of_a_file_that_is_not_a_table_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    for line in ("method = 3", "network = 3"):
        file.write_text(line)
        with pytest.raises(UsageError, match=f"{line} in mine.toml is not a section with a name"):
            ask(file=file)


def test_a_value_that_was_taken_away_stays_away_when_the_toml_is_read_back(tmp_path: Path) -> None:
    resolved = ask("recipe.steps=none", 'recipe.epochs={count = 2, over = "labeled"}', "evaluation.every=none")
    file = tmp_path / "resolved.toml"
    file.write_text(resolved.to_toml())
    assert ask(file=file).configuration.model_dump() == resolved.configuration.model_dump()


# Evaluation rules and parts of a data set.


def test_another_rule_of_the_data_set_is_taken_as_it_is_with_its_origin() -> None:
    protocol = load("cityscapes-100")
    resolved = resolve(Request("supervised", protocol, rule="sliding-769"))
    assert resolved.configuration.evaluation == protocol.rule("sliding-769")
    assert resolved.configuration.division == "controlled"
    assert resolved.origins["evaluation.window"] == "rule 'sliding-769' of cityscapes"


def test_a_rule_that_the_data_set_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="evaluation rule 'whoel' not found; nearest: whole"):
        resolve(Request("supervised", load("shapes-48"), rule="whoel"))


@pytest.mark.parametrize(("rule", "taken"), [(None, "sliding-798"), ("whole", "whole")], ids=["published", "named"])
def test_a_published_recipe_names_its_rule_unless_another_is_asked_for(
    rule: str | None, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = load("cityscapes-100")
    published = Published(source="the test", recipe=protocol.recipe, network=protocol.network, rule="sliding-798")
    monkeypatch.setattr(Supervised, "published", {"cityscapes": published})
    resolved = resolve(Request("supervised", protocol, division="published", rule=rule))
    assert resolved.configuration.evaluation == protocol.rule(taken)
    assert resolved.configuration.division == "published"


@pytest.mark.parametrize(("protocol", "encoder"), [("shapes-16", "tiny"), ("voc-92", "ViT-B-16")])
def test_a_network_that_a_method_is_about_takes_the_protocol_s_values_where_it_may_have_them(
    protocol: str, encoder: str
) -> None:
    network = resolve(Request("zeroshot", load(protocol))).configuration.network.model_dump()
    assert network == {"name": "maskclip", "encoder": encoder, "renormalize": False, "image_size": None}


def test_a_part_of_the_data_set_makes_the_division_custom() -> None:
    resolved = ask("run.partial=true")
    assert resolved.configuration.division == "custom"
    assert resolved.origins["run.partial"] == "--set"
    assert ask("run.partial=false").configuration.division == "controlled"


@pytest.mark.parametrize(("method", "division"), [("zeroshot", "custom"), ("supervised", "controlled")])
def test_a_method_on_another_backbone_than_the_protocol_s_has_no_controlled_row(method: str, division: str) -> None:
    request = Request(method=method, protocol=load("voc-92"), division="controlled")
    assert resolve(request).configuration.division == division


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({"name": "deeplabv3plus", "encoder": "tiny"}, "tiny"),
        ({"name": "vlg", "encoder": "tiny"}, "CLIP tiny"),  # another encoder, of the same size
        ({"name": "maskclip", "encoder": "ViT-B-16"}, "CLIP ViT-B-16"),
        ({"name": "d2_deeplab", "encoder": "tiny"}, "Detectron2 tiny"),
        ({"name": "deeplabv3plus"}, "deeplabv3plus"),  # a network that has but one encoder is called by its own name
    ],
)
def test_different_encoders_have_different_names_in_tables(network: dict[str, str], expected: str) -> None:
    assert backbone(network) == expected
