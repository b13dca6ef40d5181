"""Results -> groups: one for each configuration, never two ways of measuring in one."""

import math
import random

import pytest

from semibench.errors import NotConformantError
from semibench.protocols.protocol import EvaluationRule
from semibench.reports.aggregate import group, spread
from semibench.reports.result import Digests, Teacher

DIGESTS = {"evaluation": "b" * 64, "recipe": "c" * 64, "truth": "d" * 64, "tensors": "e" * 64}
ALL_RIGHT = ((4, 0), (0, 4))  # mIoU 1


def test_seeds_make_one_group_with_mean_and_sample_standard_deviation(make_result):
    # mIoU 0.6, 0.6, 1.0: mean 2.2 / 3, squared distances 2 * 0.01778 + 0.07111, divided by 3 - 1
    results = [make_result(seed=0), make_result(seed=1), make_result(seed=2, confusion=ALL_RIGHT)]
    [one] = group(results)
    assert one.seeds == (0, 1, 2)
    assert one.miou.mean == pytest.approx(2.2 / 3)
    assert one.miou.std == pytest.approx(math.sqrt(0.16 / 3))


def test_a_single_value_has_no_spread():
    assert spread([0.5]) == (0.5, None)


@pytest.mark.parametrize(
    ("change", "configs"),
    [
        pytest.param({"config": {"threshold": 0.8}}, ("method.threshold=0.8", "method.threshold=0.95"), id="method"),
        pytest.param({"recipe": {"steps": 60, "lag": 1}}, ("recipe.lag=1", "recipe.lag=unset"), id="recipe"),
        pytest.param(
            {"network": {"name": "deeplab", "encoder": "resnet18", "stride": 8}},
            ("network.stride=8", "network.stride=unset"),
            id="network",
        ),
        pytest.param(
            {"evaluation": EvaluationRule(mode="whole", select_on="val", report_on="test", every=5)},
            ("evaluation.every=5", "evaluation.every=null"),
            id="evaluation",
        ),
    ],
)
def test_groups_with_the_same_label_are_told_apart_by_what_differs(make_result, change, configs):
    groups = group([make_result(), make_result(**change, run_id="f" * 64)])
    assert sorted(one.config for one in groups) == sorted(configs)


def test_groups_that_differ_in_much_are_told_apart_by_a_digest(make_result):
    groups = group([make_result(), make_result(config={f"option{i}": i for i in range(9)})])
    assert all(one.config.startswith("config ") for one in groups)
    assert len({one.config for one in groups}) == 2


@pytest.mark.parametrize("change", [{"method": "supervised"}, {"backbone": "resnet50"}, {"division": "custom"}])
def test_groups_with_labels_of_their_own_need_nothing_more(make_result, change):
    groups = group([make_result(), make_result(**change, run_id="f" * 64)])
    assert [one.config for one in groups] == ["", ""]


def _speeds(make_result, first, second, **change):
    """Images per second of two methods with one network, measured alike unless ``change`` says otherwise."""
    groups = group(
        [
            make_result(method="fixmatch", images_per_second=first),
            make_result(method="supervised", images_per_second=second, **change),
        ]
    )
    return [one.images_per_second for one in groups]


def test_speeds_of_one_network_that_are_far_apart_are_none(make_result):
    assert _speeds(make_result, 6.0, 8.9) == [6.0, 8.9]
    assert _speeds(make_result, 6.0, 9.1) == [None, None]


@pytest.mark.parametrize(
    "change",
    [{"machine": "Processor 2"}, {"threads": 1}, {"device": "cuda"}, {"compiled": True}, {"protocol": "voc-183"}],
    ids=lambda change: next(iter(change)),
)
def test_speeds_under_other_conditions_are_no_dispute(make_result, change):
    assert sorted(_speeds(make_result, 6.0, 60.0, **change)) == [6.0, 60.0]


@pytest.mark.parametrize("change", [{"parameters": 7}, {"macs": 7}], ids=lambda change: next(iter(change)))
def test_speeds_of_other_networks_are_no_dispute(make_result, change):
    cost = make_result(images_per_second=60.0).cost.model_copy(update=change)
    assert _speeds(make_result, 6.0, 60.0, cost=cost, macs=cost.macs) == [6.0, 60.0]


def test_the_order_of_results_changes_nothing(make_result):
    results = [
        make_result(seed=seed, config={"threshold": threshold}, method=method)
        for seed in range(3)
        for threshold in (0.8, 0.9)
        for method in ("fixmatch", "supervised")
    ]
    shuffled = random.Random(0).sample(results, len(results))
    assert group(results) == group(shuffled)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"digest": "f" * 64}, "protocol (lists, class table, metric convention): aaaaaaaaaaaa", id="protocol"),
        pytest.param({"digests": Digests(**DIGESTS | {"truth": "f" * 64})}, "truth masks: dddddddddddd", id="truth"),
        pytest.param({"digests": Digests(**DIGESTS | {"evaluation": "f" * 64})}, "evaluation rule: bbbb", id="evaluation"),
    ],
)
def test_results_that_were_not_measured_alike_are_refused_by_name(make_result, change, what):
    usual, other = make_result(), make_result(method="supervised", **change)
    with pytest.raises(NotConformantError) as error:
        group([usual, other])
    message = str(error.value)
    assert what in message
    assert f"ffffffffffff in supervised/{other.run_id[:12]}" in message
    assert "--protocol" in message
    assert error.value.exit_code == 3


def test_digests_of_different_protocols_may_differ(make_result):
    assert len(group([make_result(), make_result(protocol="voc-183", digest="f" * 64)])) == 2


def test_long_lists_of_runs_are_cut_in_the_refusal(make_result):
    results = [make_result(seed=seed) for seed in range(5)] + [make_result(digest="f" * 64)]
    with pytest.raises(NotConformantError, match="and 2 more"):
        group(results)


def test_one_seed_under_two_names_is_refused(make_result):
    with pytest.raises(NotConformantError, match="the same configuration and seed 0"):
        group([make_result(), make_result(run_id="f" * 64)])


def test_the_same_label_maps_under_two_seeds_are_refused(make_result):
    fields = {"kind": "external", "division": "external", "cost": None, "macs": None}
    with pytest.raises(NotConformantError, match="the same label maps, under the seeds 0 and 1"):
        group([make_result(seed=seed, **fields) for seed in (0, 1)])


def test_speed_is_a_mean_over_seeds_on_one_device(make_result):
    [one] = group([make_result(seed=0, images_per_second=100.0), make_result(seed=1, images_per_second=80.0)])
    assert one.images_per_second == 90.0


def test_speeds_that_disagree_as_on_a_loaded_machine_have_no_mean(make_result):
    [one] = group([make_result(seed=0, images_per_second=100.0), make_result(seed=1, images_per_second=66.0)])
    assert one.images_per_second is None


@pytest.mark.parametrize(
    "change",
    [
        {"images_per_second": None},
        {"device": "cuda"},
        {"machine": "Processor 2"},
        {"threads": 1},
        {"processes": 2},
        {"compiled": True},
    ],
)
def test_speed_is_not_averaged_over_other_conditions_or_gaps(make_result, change):
    [one] = group([make_result(seed=0), make_result(seed=1, **change)])
    assert one.images_per_second is None


def taught_by(seed, configuration):
    return Teacher(
        role="deep", run_id=f"{seed:064x}", step=60, tensors=f"{seed + 9:064x}", method="cps", backbone="resnet101s",
        configuration=configuration * 64, seed=seed, miou=None,
    )  # fmt: skip


def test_students_share_a_row_when_their_teachers_differ_in_their_seed_alone(make_result):
    results = [make_result(seed=seed, teachers=(taught_by(seed, "1"),)) for seed in (0, 1)]
    assert [one.seeds for one in group(results)] == [(0, 1)]


def test_students_of_teachers_of_two_kinds_are_told_apart(make_result):
    results = [make_result(seed=seed, teachers=(taught_by(seed, kind),)) for seed, kind in ((0, "1"), (1, "2"))]
    assert [one.config for one in group(results)] == [
        "teachers.deep=cps resnet101s 1111111",
        "teachers.deep=cps resnet101s 2222222",
    ]
