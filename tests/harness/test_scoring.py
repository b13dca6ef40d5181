"""A scorer: bound to a run, under its own rule or another of the protocol's."""

import pytest
from torch import nn

from semibench.errors import UsageError
from semibench.harness.configure import Request, resolve
from semibench.harness.progress import Meter
from semibench.harness.scoring import Scorer
from semibench.protocols.protocol import load


@pytest.fixture
def scorer() -> Scorer:
    protocol = load("cityscapes-100")
    return Scorer(resolve(Request("supervised", protocol)).configuration, protocol, nn.Identity(), "cpu", Meter(is_shown=False))


def test_without_a_name_the_rule_is_that_of_the_run(scorer: Scorer) -> None:
    assert scorer.under(rule=None, partial=False) == scorer


def test_another_rule_of_the_protocol_replaces_it(scorer: Scorer) -> None:
    assert scorer.under(rule="whole", partial=False).configuration.evaluation == scorer.protocol.rule("whole")
    with pytest.raises(UsageError, match="evaluation rule 'whoel' not found"):
        scorer.under(rule="whoel", partial=False)


def test_a_part_of_the_data_set_is_scored_when_it_is_asked_for(scorer: Scorer) -> None:
    assert scorer.under(rule=None, partial=True).configuration.run.partial
