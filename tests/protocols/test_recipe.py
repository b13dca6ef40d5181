import pytest

from semibench.errors import UsageError
from semibench.protocols.recipe import Recipe

RECIPE = {
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0},
    "schedule": {"name": "poly"},
    "steps": 10,
    "batch": {"labeled": 4, "unlabeled": 8},
    "crop": [8, 8],
    "augmentation": {},
    "normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
}


def parse(**changes):
    return Recipe.parse({**RECIPE, **changes}, "the test")


def in_epochs(**epochs):
    return parse(steps=None, epochs=epochs)


def test_a_length_in_steps_is_taken_as_it_is():
    assert parse().total_steps(100, 1000) == 10


def test_steps_win_over_epochs():
    assert parse(epochs={"count": 3, "over": "labeled"}).total_steps(100, 1000) == 10


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        pytest.param({"count": 3, "over": "labeled"}, 3 * 2, id="labelled list, incomplete batch dropped"),
        pytest.param({"count": 3, "over": "labeled", "rounding": "ceil"}, 3 * 3, id="labelled list, incomplete batch kept"),
        pytest.param({"count": 2, "over": "unlabeled"}, 2 * 12, id="unlabelled list"),
    ],
)
def test_a_length_in_epochs_follows_the_named_list(epochs, expected):
    assert in_epochs(**epochs).total_steps(n_labeled=10, n_unlabeled=100) == expected


def test_a_list_shorter_than_a_batch_still_takes_a_step_per_epoch():
    assert in_epochs(count=5, over="labeled").total_steps(n_labeled=2, n_unlabeled=100) == 5


def test_where_nothing_is_unlabelled_epochs_are_over_the_labelled_list():
    assert in_epochs(count=2, over="unlabeled").total_steps(n_labeled=100, n_unlabeled=0) == 2 * 25


def test_a_recipe_without_a_length_is_refused():
    with pytest.raises(UsageError, match="give steps or epochs"):
        parse(steps=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"batch": {"labeled": 0, "unlabeled": 8}}, "batch.labeled = 0", id="empty batch"),
        pytest.param({"crop": [0, 8]}, "crop.0 = 0", id="empty crop"),
        pytest.param({"augmentation": {"flip": 1.5}}, "augmentation.flip = 1.5", id="probability above one"),
        pytest.param({"precision": "fp8"}, "precision = 'fp8'", id="unknown precision"),
        pytest.param({"optimizer": {"name": "lion"}}, "optimizer = .*lion", id="unknown optimizer"),
        pytest.param({"accumulation": 3}, r"accumulation = 3 does not divide batch\.labeled = 4", id="unequal parts"),
        pytest.param(
            {"optimizer": {"name": "sgd", "lr": 1, "momentum": 0, "nesterov": True, "weight_decay": 0}},
            "optimizer = .*nesterov needs a momentum",
            id="nesterov without momentum",
        ),
        pytest.param(
            {"optimizer": {"name": "adamw", "lr": 1, "betas": [0.9, 1], "weight_decay": 0}},
            "betas.1 = 1",
            id="average that stays",
        ),
        pytest.param({"stepps": 3}, "unknown key 'stepps'.*Nearest: steps", id="misspelt key"),
        pytest.param({"schedule": {"name": "poly", "power": float("nan")}}, "schedule.power = nan", id="not a number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(changes, message):
    with pytest.raises(UsageError, match=message):
        parse(**changes)


def test_color_operations_are_told_apart_by_name():
    strong = [{"name": "blur", "probability": 0.5, "radius": [0.1, 2.0]}, {"name": "grayscale", "probability": 0.2}]
    operations = parse(augmentation={"strong": strong}).augmentation.strong
    assert [type(operation).__name__ for operation in operations] == ["Blur", "Grayscale"]


def test_a_recipe_survives_being_written_and_read():
    recipe = parse(augmentation={"scale": {"side": "long", "low": 0.5, "high": 2.0}, "flip": 0.5})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
