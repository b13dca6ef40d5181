import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet18

from semibench.errors import DataError, UsageError
from semibench.hashing import digest_file
from semibench.methods.networks._weights import load_weights
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.methods.networks.vlg import Vlg

REAL = Path(__file__).resolve().parents[4] / "shared" / "weights" / "mobilenet_v2_imagenet_from_coral_qat.pth"


def build(encoder: str = "tiny", output_stride: int = 8, n_classes: int = 5, seed: int = 0) -> DeepLabV3Plus:
    torch.manual_seed(seed)
    config = DeepLabV3Plus.Config(encoder=encoder, output_stride=output_stride, rates=(1, 2), channels=16, low_channels=8)
    return DeepLabV3Plus(config, n_classes)


def real_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and running statistics, without counters."""
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def agree(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(real_tensors(one).values(), real_tensors(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# What fits.


def test_a_file_of_an_encoder_fills_the_encoder_and_leaves_the_decoder(tmp_path):
    source, network, untouched = build(seed=1), build(), build()
    save_file(source.encoder.state_dict(), tmp_path / "encoder.safetensors")
    report = load_weights(network, tmp_path / "encoder.safetensors")
    assert agree(network.encoder, source.encoder)
    assert agree(network.pyramid, untouched.pyramid)
    assert (report.matched, report.missing, report.unexpected) == (len(real_tensors(source.encoder)), (), ())


def test_the_report_names_the_file_and_its_digest(tmp_path):
    path = tmp_path / "encoder.pth"
    torch.save(build().encoder.state_dict(), path)
    report = load_weights(build(), path)
    assert (report.name, report.sha256) == ("encoder.pth", digest_file(path))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda state: state, id="bare"),
        pytest.param(lambda state: {"state_dict": state, "epoch": 3}, id="state_dict"),
        pytest.param(lambda state: {"model": {f"module.{name}": t for name, t in state.items()}}, id="distributed"),
        pytest.param(lambda state: {"method": {f"network.{name}": t for name, t in state.items()}, "step": 9}, id="semibench"),
    ],
)
def test_a_file_of_a_whole_network_fills_the_network(tmp_path, wrap):
    source, network = build(seed=1), build()
    torch.save(wrap(source.state_dict()), tmp_path / "network.pth")
    report = load_weights(network, tmp_path / "network.pth")
    assert agree(network, source)
    assert (report.missing, report.unexpected) == ((), ())


def test_a_torchvision_resnet_fits_and_its_head_is_unexpected(tmp_path):
    source, network = resnet18(), build("resnet18", 32)
    torch.save(source.state_dict(), tmp_path / "resnet18.pth")
    report = load_weights(network, tmp_path / "resnet18.pth")
    assert torch.equal(network.encoder.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert (report.missing, report.unexpected) == ((), ("fc.weight", "fc.bias"))


def check_mobilenet(path: Path) -> None:
    """Compare the encoder's maps with torchvision's own network, up to its last convolution."""
    reference, network = mobilenet_v2().eval(), build("mobilenetv2", 32).eval()
    reference.load_state_dict(torch.load(path, weights_only=True))
    report = load_weights(network, path)
    assert report.missing == ()
    assert {name.partition(".")[0] for name in report.unexpected} == {"features", "classifier"}
    assert len(report.unexpected) == 7  # the last convolution and its norm, the classifier
    image = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(1))
    low, high = network.encode(image)
    assert torch.equal(low, reference.features[:4](image))
    assert torch.equal(high, reference.features[:18](image))


def test_a_torchvision_mobilenet_gives_the_features_that_torchvision_gives(tmp_path):
    torch.manual_seed(2)
    torch.save(mobilenet_v2().state_dict(), tmp_path / "mobilenet.pth")
    check_mobilenet(tmp_path / "mobilenet.pth")


@pytest.mark.skipif(not REAL.exists(), reason=f"no shared/weights/{REAL.name} beside the repository")
def test_a_real_imagenet_mobilenet_gives_the_features_that_torchvision_gives():
    check_mobilenet(REAL)


def test_a_timm_mobilenet_fits_by_its_own_names(tmp_path):
    source, network = build("mobilenetv2", 32, seed=1), build("mobilenetv2", 16)
    torch.save(source.encoder.state_dict(), tmp_path / "timm.pth")
    assert load_weights(network, tmp_path / "timm.pth").missing == ()
    assert agree(network.encoder, source.encoder)


# What does not fit.


def test_tensors_that_the_file_lacks_are_missing(tmp_path):
    state = build().encoder.state_dict()
    del state["shallow.0.0.0.weight"]
    torch.save(state, tmp_path / "part.pth")
    assert load_weights(build(), tmp_path / "part.pth").missing == ("encoder.shallow.0.0.0.weight",)


def test_another_shape_is_reported_with_both_shapes_and_not_loaded(tmp_path):
    torch.save(build(n_classes=21).state_dict(), tmp_path / "voc.pth")
    report = load_weights(build(n_classes=5), tmp_path / "voc.pth")
    assert report.missing == ("classifier.weight", "classifier.bias")
    assert report.unexpected == (
        "classifier.weight (21, 16, 1, 1) (in the network (5, 16, 1, 1))",
        "classifier.bias (21,) (in the network (5,))",
    )


def test_a_file_that_fits_nowhere_is_refused_with_names_of_both_sides(tmp_path):
    torch.save({f"blocks.{index}.attention": torch.zeros(4) for index in range(5)}, tmp_path / "vit.pth")
    message = r"vit\.pth fits nowhere: it has blocks\.0\.attention, .*, \.\.\., the network has encoder\..* Give weights of"
    network, untouched = build(), build()
    with pytest.raises(DataError, match=message):
        load_weights(network, tmp_path / "vit.pth")
    assert agree(network, untouched)


# What cannot be read.


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(truncate, id="truncated"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_text("<html>404 not found</html>" * 9), id="a web page"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, damage):
    path = tmp_path / name
    save_file({"weight": torch.zeros(99)}, path) if path.suffix == ".safetensors" else torch.save({"w": torch.zeros(99)}, path)
    damage(path)
    with pytest.raises(DataError, match=rf"weight file {name} cannot be read.* compare its size and digest with its source"):
        load_weights(build(), path)


def test_a_file_that_needs_code_is_refused_and_says_for_what(tmp_path):
    torch.save({"state_dict": build().state_dict(), "args": argparse.Namespace(lr=1)}, tmp_path / "run.pth")
    with pytest.raises(DataError, match=r"run\.pth holds more than tensors \(argparse\.Namespace\).* save its state_dict"):
        load_weights(build(), tmp_path / "run.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(2)], ids=["list", "numbers", "a bare tensor"])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth holds no tensors by name"):
        load_weights(build(), tmp_path / "other.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.pth not found"):
        load_weights(build(), tmp_path / "absent.pth")


# A file for one part.


def build_with_contours(seed: int = 0) -> Vlg:
    torch.manual_seed(seed)
    return Vlg(Vlg.Config(encoder="tiny", conv_encoder="resnet18d", channels=16, rates=(1,)), n_classes=3)


def of_openmmlab(name: str) -> str:
    if name.startswith("layer"):
        return name
    return name.replace("bn1.", "stem.7.", 1) if name.startswith("bn1.") else name.replace("conv1.", "stem.", 1)


@pytest.mark.parametrize(
    "rename",
    [
        pytest.param(str, id="timm"),
        pytest.param(of_openmmlab, id="openmmlab"),
        pytest.param(lambda name: f"backbone.{of_openmmlab(name)}", id="openmmlab's checkpoints"),
        pytest.param(lambda name: f"conv_encoder.{name}", id="the network's own"),
    ],
)
def test_a_file_of_a_part_fills_that_part_alone(tmp_path, rename):
    source, network, untouched = build_with_contours(seed=1), build_with_contours(), build_with_contours()
    stored = {rename(name): tensor for name, tensor in source.conv_encoder.state_dict().items()}
    torch.save(stored | {"fc.weight": torch.zeros(2)}, tmp_path / "resnet.pth")
    report = load_weights(network, tmp_path / "resnet.pth", "conv_encoder")
    assert agree(network.conv_encoder, source.conv_encoder)
    assert agree(network.encoder, untouched.encoder)
    assert agree(network.decoder, untouched.decoder)
    found = (report.matched, report.missing, report.unexpected)
    assert found == (len(real_tensors(source.conv_encoder)), (), ("fc.weight",))


def test_what_of_a_part_is_not_in_its_file_is_missing(tmp_path):
    network = build_with_contours()
    torch.save({"bn1.weight": torch.zeros(64)}, tmp_path / "resnet.pth")
    report = load_weights(network, tmp_path / "resnet.pth", "conv_encoder")
    own = {f"conv_encoder.{name}" for name in real_tensors(network.conv_encoder)}
    assert set(report.missing) == own - {"conv_encoder.bn1.weight"}


def test_a_whole_network_s_file_fills_no_other_part(tmp_path):
    source, network, untouched = build_with_contours(seed=1), build_with_contours(), build_with_contours()
    torch.save(source.state_dict(), tmp_path / "network.pth")
    load_weights(network, tmp_path / "network.pth", "conv_encoder")
    assert agree(network.conv_encoder, source.conv_encoder)
    assert agree(network.encoder, untouched.encoder)


@pytest.mark.parametrize(("part", "advice"), [("decoder", "decoder.$"), ("conv_encoder", "or set network.conv_encoder to")])
def test_a_file_that_does_not_fit_a_part_is_refused_with_what_can_be_done(tmp_path, part, advice):
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=advice):
        load_weights(build_with_contours(), tmp_path / "other.pth", part)


def test_a_network_with_a_backbone_of_its_own_reads_its_own_file(tmp_path):
    source, network = build(seed=1), build()
    for seed, each in ((1, source), (0, network)):
        torch.manual_seed(seed)
        each.backbone = nn.Linear(2, 2)
    torch.save(source.state_dict(), tmp_path / "network.pth")
    report = load_weights(network, tmp_path / "network.pth")
    assert agree(network, source)
    assert (report.missing, report.unexpected) == ((), ())


def test_a_part_that_the_network_lacks_is_refused_with_those_it_has(tmp_path):
    with pytest.raises(UsageError, match="part of the network 'conv_encoder' not found; nearest: encoder"):
        load_weights(build(), tmp_path / "resnet.pth", "conv_encoder")
