"""What every method must keep, checked for each one that is found: adding a method adds its checks."""

from semibench import plugins
from semibench.harness.conformance.testing import conformance_test, processes_test

NAMES = tuple(plugins.summaries(plugins.METHOD))

test_every_method_conforms = conformance_test(*NAMES)
test_every_method_trains_alike_in_two_processes = processes_test(*NAMES)
