"""What a method is told about its run."""

from semibench.harness.build import build_method
from semibench.harness.configure import Request, resolve
from semibench.methods.method import Task
from semibench.methods.supervised import Supervised
from semibench.protocols.protocol import load


def test_a_method_is_told_the_name_of_the_data_set_not_of_the_protocol(monkeypatch) -> None:
    told: list[Task] = []
    build = Supervised.__init__
    monkeypatch.setattr(Supervised, "__init__", lambda self, config, task: (told.append(task), build(self, config, task))[1])
    protocol = load("shapes-48")
    build_method(resolve(Request("supervised", protocol)).configuration, protocol.dataset_class(), weights={})
    assert [task.dataset for task in told] == ["shapes"]
