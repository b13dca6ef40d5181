"""The checks: each takes a method under test and raises ``BrokenPromiseError`` for what it does not keep."""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_leaves

from semibench import plugins
from semibench.harness.conformance import training
from semibench.harness.conformance.demands import backward, demand, trained
from semibench.harness.conformance.subject import CLASSES, HALFWAY, SIZE, VOID, Subject, draw, masked, padded
from semibench.methods.method import Batch, Method, StepOutput, Views
from semibench.methods.networks.base import Network

_LOGGED = ("event", "step", "learning_rate", "seconds", "data_seconds")


@dataclass(frozen=True)
class Check:
    """One promise, and how to see whether it is kept."""

    name: str
    promise: str
    verify: Callable[[Subject], None]
    may_refuse: bool = False  # an error of the family, which names the constraint, is an answer too
    of_every: bool = False  # of methods that train nothing, too


def _declares(subject: Subject) -> None:
    method, built = subject.method_class, subject.build()
    first = (sys.modules[method.__module__].__doc__ or "").partition("\n")[0]
    demand(len(first.split()) >= 3, f"the first line of the module, '{first}', does not say what the method is")
    config = method.Config.model_config
    demand(config.get("frozen") and config.get("extra") == "forbid", "Config is not frozen, or takes unknown keys")
    required = [name for name, field in method.Config.model_fields.items() if field.is_required()]
    demand(not required, f"Config has no default for {', '.join(required)}")
    demand(built.views.crops > 0 or built.views == Views(), "views asks for strong views or partners of no crop")
    groups = {group.name for group in built.parameter_groups()}
    for published in method.published.values():
        method.Config.model_validate(published.method)
        network = plugins.find_class(plugins.NETWORK, published.network["name"], Network)
        network.Config.model_validate({key: value for key, value in published.network.items() if key != "name"})
        unknown = set(published.recipe.optimizer.groups) - groups
        demand(not unknown, f"a published recipe names parameter groups that do not exist: {', '.join(unknown)}")


def _groups(subject: Subject) -> None:
    method = subject.build()
    groups = method.parameter_groups()
    if not method.trains:
        idle = not groups and not any(parameter.requires_grad for parameter in method.parameters())
        demand(idle, "it trains nothing and has parameters to train")
        return
    parameters = [parameter for group in groups for parameter in group.parameters]
    demand(groups and all(group.parameters for group in groups), "there is no parameter group, or an empty one")
    demand(len({group.name for group in groups}) == len(groups), "two parameter groups have one name")
    demand(len(set(map(id, parameters))) == len(parameters), "a parameter is in two groups")
    demand(all(parameter.requires_grad for parameter in parameters), "a frozen parameter is in a group")


def _steps(subject: Subject) -> None:
    method = subject.build()
    output = _learn(method, draw(method.views))
    names = [*output.losses, *output.scalars, *_LOGGED]
    demand(output.losses and len(set(names)) == len(names), f"losses and scalars need names of their own: {names}")
    for group in method.parameter_groups():
        gradients = [parameter.grad for parameter in group.parameters if parameter.grad is not None]
        demand(len(gradients) == len(group.parameters), f"part of the group '{group.name}' gets no gradient")
        demand(any(gradient.any() for gradient in gradients), f"every gradient of the group '{group.name}' is zero")


def _spares(subject: Subject) -> None:
    method = subject.build()
    learning = set(map(id, trained(method)))
    others = {name: p for name, p in method.named_parameters() if id(p) not in learning}
    before = {name: parameter.clone() for name, parameter in others.items()}
    _learn(method, draw(method.views))
    for name, parameter in others.items():
        demand(parameter.grad is None, f"{name} is in no group and gets a gradient")
        demand(torch.equal(parameter, before[name]), f"{name} is in no group and changes in a forward pass")


def _predicts(subject: Subject) -> None:
    method = subject.build().eval()
    demand(method.predictors(), "there is no predictor")
    for name, predictor in method.predictors().items():
        for size in (SIZE, (SIZE[0] + 1, SIZE[1] - 7)):
            with torch.no_grad():
                logits = predictor(torch.randn(2, 3, *size))
            expected = (2, len(CLASSES), *size)
            demand(logits.shape == expected, f"predictor '{name}' returns {tuple(logits.shape)}, not {expected}")
            demand(logits.isfinite().all(), f"the logits of predictor '{name}' are not finite")


def _repeats(subject: Subject) -> None:
    first = subject.build()
    second = deepcopy(first)
    outputs = []
    for seed, method in enumerate((first, second)):
        _without_dropout(method)  # the engine seeds torch's global state for layers; a method draws from its samples' seeds
        torch.manual_seed(seed)
        outputs.append(_learn(method, draw(method.views)))
    demand(_equal(outputs[0].losses, outputs[1].losses), "the same state and batch give other losses")
    gradients = [[parameter.grad for parameter in trained(method)] for method in (first, second)]
    demand(_equal(*gradients), "the same state and batch give other gradients")


def _leaves_alone(subject: Subject) -> None:
    method = subject.build()
    batch = draw(method.views)
    modes = {key: module.training for key, module in method.named_modules()}
    method(batch, HALFWAY)
    demand({key: module.training for key, module in method.named_modules()} == modes, "a forward pass changes a module's mode")
    demand(_equal(batch, draw(method.views)), "a forward pass writes into its batch")


def _round_trips(subject: Subject) -> None:
    first, second = subject.build(), subject.build(seed=1)
    first(draw(first.views), HALFWAY)
    first.after_step(HALFWAY)
    second.load_state_dict(deepcopy(first.state_dict()))
    demand(_equal(first.state_dict(), second.state_dict()), "the state is another after saving and loading")
    told = []
    for method in (first, second):
        torch.manual_seed(7)
        batch = draw(method.views)
        predictions = [] if method.trains else [predictor(batch.labeled.image) for predictor in method.predictors().values()]
        told.append([*method(batch, HALFWAY).losses.values(), *predictions])
    demand(_equal(*told), "what a method says depends on something that is not in the state")


def _resumes(subject: Subject) -> None:
    whole, resumed = training.interrupted(subject)
    same = _equal(whole.state_dict(), resumed.state_dict())
    demand(same, "a resumed training ends with other weights than an uninterrupted one")
    before, after = (next(iter(method.predictors().values())).state_dict() for method in (subject.build(), whole))
    demand(not _equal(before, after), "training leaves the first predictor as it was")


def _takes_uneven(subject: Subject) -> None:
    method = subject.build()
    _learn(method, draw(method.views, 3, 2))


def _takes_one(subject: Subject) -> None:
    method = subject.build(norm="frozen")  # statistics of one image are the network's affair, which refuses them itself
    _learn(method, draw(method.views, 1, 1))


def _ignores_padding(subject: Subject) -> None:
    method = subject.build()
    _learn(method, padded(draw(method.views)))


def _ignores_void(subject: Subject) -> None:
    method = subject.build()
    losses = _learn(method, masked(draw(method.views), VOID)).losses
    of_labels = losses if method.views.crops == 0 else {key: loss for key, loss in losses.items() if key == "supervised"}
    demand(of_labels, f"none of the losses is called 'supervised', as that of labelled images is: {', '.join(losses)}")
    wrong = [name for name, loss in of_labels.items() if loss != 0 or not loss.requires_grad]
    demand(not wrong, f"masks without any label give a loss that is not 0 or has no graph: {', '.join(wrong)}")


def _takes_one_class(subject: Subject) -> None:
    method = subject.build()
    _learn(method, masked(draw(method.views), 0))


def _halves_precision(subject: Subject) -> None:
    method = subject.build()
    with torch.autocast("cpu", torch.bfloat16):
        output = method(draw(method.views), HALFWAY)
    backward(method, output)
    demand(all(parameter.grad is not None for parameter in trained(method)), "a gradient is lost")


def _learn(method: Method, batch: Batch) -> StepOutput:
    """Do one forward and one backward pass; demand what ``backward`` does."""
    output: StepOutput = method(batch, HALFWAY)
    backward(method, output)
    return output


def _without_dropout(method: Method) -> None:
    for layer in method.modules():
        if isinstance(layer, _DropoutNd):
            layer.p = 0


def _equal(one: object, other: object) -> bool:
    leaves = tree_leaves(one), tree_leaves(other)
    return len(leaves[0]) == len(leaves[1]) and all(map(torch.equal, *leaves))


CHECKS = (
    Check(
        "contract", "it says what it is; its configuration and published settings are strict and fit", _declares, of_every=True
    ),
    Check("groups", "a parameter is trained in one group, and only if it is not frozen", _groups, of_every=True),
    Check("losses", "losses are finite scalars with names of their own, and reach every trained parameter", _steps),
    Check("teachers", "what is not trained, such as a teacher, gets no gradient and stays as it is", _spares),
    Check("predictors", "predictors return finite logits of the size of any image", _predicts, of_every=True),
    Check("determinism", "a step is a function of state and batch, but for dropout layers", _repeats),
    Check("traces", "a forward pass leaves modes and batch as they were", _leaves_alone),
    Check("state", "the state dict holds all that later steps depend on", _round_trips, of_every=True),
    Check("resume", "training moves the first predictor; resumed, it ends in the same bits", _resumes),
    Check("uneven", "there may be more labelled than unlabelled images, or fewer", _takes_uneven, may_refuse=True),
    Check("single", "there may be one image of each kind, if the network can normalize it", _takes_one, may_refuse=True),
    Check("padding", "unlabelled images that are all padding give finite losses", _ignores_padding, may_refuse=True),
    Check("void", "masks without any label give a supervised loss of 0, with a graph", _ignores_void, may_refuse=True),
    Check("one class", "classes without labelled pixels give finite losses", _takes_one_class, may_refuse=True),
    Check("bf16", "losses and gradients are finite in bfloat16", _halves_precision, may_refuse=True),
)
