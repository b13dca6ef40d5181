"""Published settings of every method: they name what the catalogue has."""

import pytest

from semibench import plugins
from semibench.harness.configure import Request, resolve
from semibench.methods.method import Method
from semibench.protocols.protocol import load

PROTOCOLS = {"voc": "voc-92", "cityscapes": "cityscapes-186@cps", "coco": "coco-232"}
METHODS = {name: plugins.find_class(plugins.METHOD, name, Method) for name in plugins.summaries(plugins.METHOD)}
SETTINGS = [(name, dataset) for name, method in METHODS.items() for dataset in method.published if dataset in PROTOCOLS]


@pytest.mark.parametrize(("name", "dataset"), SETTINGS)
def test_published_settings_are_resolved_without_data_under_their_own_rule(name: str, dataset: str) -> None:
    protocol, published = load(PROTOCOLS[dataset]), METHODS[name].published[dataset]
    configuration = resolve(Request(name, protocol, division="published")).configuration
    assert configuration.division == "published"
    assert configuration.recipe == published.recipe
    assert configuration.evaluation == protocol.rule(published.rule)
