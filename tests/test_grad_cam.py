"""Where a network looks: Grad-CAM, held against what follows for networks of which it is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import nn

from browser import opened
from predicted import predict, results
from processes import run
from reslab.analysis.grad_cam import grad_cam, last_maps
from reslab.config import compose, instantiate
from reslab.errors import UserError
from reslab.evaluation.looks import overlaid
from reslab.nn.blocks import Head
from reslab.predicting.engine import Engine
from reslab.preprocess import Normalization, Preprocessing

CPU = torch.device("cpu")


class Linear(nn.Module):
    """Maps are sums of an image's channels, and logits sums of the maps' means."""

    def __init__(self, mixed: np.ndarray, shares: np.ndarray) -> None:
        super().__init__()
        self.maps = nn.Conv2d(mixed.shape[1], mixed.shape[0], 1, bias=False)
        self.maps.weight.data = torch.from_numpy(mixed).float()[..., None, None]
        self.head = Head(mixed.shape[0], len(shares), 0.0)
        self.head.classifier.weight.data = torch.from_numpy(shares).float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.maps(images))


def test_of_a_linear_network_it_is_the_share_of_each_place_in_the_logit():
    random = np.random.default_rng(0)
    mixed, shares = random.normal(size=(5, 3)), random.normal(size=(4, 5))
    images = random.normal(size=(6, 3, 7, 7)).astype(np.float32)
    classes = np.array([0, 1, 2, 3, 0, 2])
    network = Linear(mixed, shares)
    layer = last_maps(network, torch.from_numpy(images[:1]))
    assert layer is network.maps
    found = grad_cam(network, layer, torch.from_numpy(images), torch.from_numpy(classes)).numpy()
    # d logit / d map is share / 49 at every place: what is left is the logit's own sum, place by place
    summed = np.einsum("bk,kc,bchw->bhw", shares[classes], mixed, images.astype(float)).clip(0)
    expected = summed / summed.max((1, 2), keepdims=True)
    assert (expected == 0).any(), "some places speak against the class"
    np.testing.assert_allclose(found, expected, atol=1e-5)


class Twice(nn.Module):
    """The same ReLU before a stride and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.first = nn.ReLU(), nn.Conv2d(3, 6, 1)
        self.second, self.head = nn.Conv2d(6, 2, 1, stride=2), Head(2, 4, 0.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.relu(self.second(self.relu(self.first(images)))))


def test_of_a_module_that_is_met_twice_the_last_maps_count():
    network, images, classes = Twice(), torch.randn(5, 3, 8, 8), torch.tensor([0, 1, 2, 3, 0])
    layer = last_maps(network, images[:1])
    assert layer is network.relu
    with torch.no_grad():
        maps = network.relu(network.second(network.relu(network.first(images))))
        weights = network.head.classifier.weight[classes]
        heat = torch.einsum("bk,bkhw->bhw", weights, maps).relu()
    heat = F.interpolate(heat[:, None], (8, 8), mode="bilinear")[:, 0]
    expected = heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)
    assert expected.count_nonzero() > 50
    torch.testing.assert_close(grad_cam(network, layer, images, classes), expected)


def test_where_all_speaks_against_the_class_there_is_no_heat():
    network = Linear(np.ones((1, 1)), np.array([[-1.0], [1.0]]))
    images = torch.ones(2, 1, 4, 4)
    found = grad_cam(network, network.maps, images, torch.tensor([0, 1]))
    assert found[0].count_nonzero() == 0
    assert found[1].unique().tolist() == [1]


def test_a_class_that_is_seen_in_one_corner_is_found_there():
    """By a network that knows nothing but brightness: the corner in which that is."""
    network = Linear(np.eye(2), np.eye(2))
    images = torch.zeros(2, 2, 8, 8)
    images[0, 0, :2, :2] = images[0, 1, 5:, 5:] = images[1, 1, 3, 6] = 1
    found = grad_cam(network, network.maps, images[[0, 0, 1]], torch.tensor([0, 1, 1]))
    assert found[0].nonzero().amax(0).tolist() == [1, 1]
    assert found[1].nonzero().amin(0).tolist() == [5, 5]
    assert found[2].nonzero().tolist() == [[3, 6]]


@pytest.mark.parametrize("model", ["mini_resnet", "baseline_cnn", "resnet20"])
def test_of_a_network_that_ends_in_a_mean_it_is_its_class_activation_map(model):
    """Zhou et al. 2016: the last maps, weighted by the classifier."""
    network = instantiate(compose([f"model={model}", "dataset=cifar10"]), "model").eval()
    images, classes = torch.randn(4, 3, 32, 32), torch.tensor([3, 0, 9, 3])
    with torch.no_grad():
        maps = network.stages(network.stem(images) if hasattr(network, "stem") else images)
        summed = torch.einsum("bk,bkhw->bhw", network.head.classifier.weight[classes], maps)
    heat = F.interpolate(summed.relu()[:, None], (32, 32), mode="bilinear")[:, 0]
    expected = heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-30)
    assert expected.count_nonzero() > 1000
    layer = last_maps(network, images[:1])
    torch.testing.assert_close(grad_cam(network, layer, images, classes), expected)
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_maps_of_one_place_are_passed_over():
    network = instantiate(compose(["model=resnet18", "dataset=digits"]), "model").eval()
    images = torch.randn(2, 1, 8, 8)  # which the last stage has but one place of
    layer = last_maps(network, images[:1])
    assert layer is network.stages[2]
    assert grad_cam(network, layer, images, torch.tensor([1, 2])).shape == (2, 8, 8)


def test_a_network_without_maps_is_refused():
    with pytest.raises(UserError, match="needs a layer that puts out maps"):
        last_maps(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.ones(1, 3, 2, 2))


@pytest.mark.parametrize(("bf16", "within"), [(False, 1e-4), (True, 0.1)])
def test_folded_it_is_the_same_in_batches_and_resized(bf16, within):
    network = instantiate(compose(["model=resnet20", "dataset=cifar10"]), "model").eval()
    prepare = Preprocessing(32, Normalization((0.5,) * 3, (0.3,) * 3))
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    classes = torch.tensor([1, 2, 3, 4, 5])
    expected = grad_cam(network, last_maps(network, prepare(images)), prepare(images), classes)
    engine = Engine(network, prepare, CPU, bf16=bf16, batch_size=2)
    before = engine(images)
    assert (engine.grad_cam(images, classes) - expected).abs().max() < within
    assert engine.grad_cam(images[..., ::2, ::2], classes).shape == (5, 32, 32)
    assert torch.equal(engine(images), before)


def test_an_overlay_is_the_picture_where_it_is_cold():
    image = torch.randint(0, 256, (1, 6, 6), dtype=torch.uint8)
    heat = torch.zeros(6, 6)
    heat[2, 3] = 1
    laid = overlaid(image, heat)
    cold = torch.ones(6, 6, dtype=torch.bool)
    cold[2, 3] = False
    assert torch.equal(laid[:, cold], image.expand(3, -1, -1)[:, cold])
    assert laid[0, 2, 3] > laid[2, 2, 3], "the hottest is yellow"


@pytest.mark.slow
def test_predict_draws_it_and_the_page_has_it_beside_each_picture(trained, tmp_path):
    finished = predict(trained, "pictures/3", "--grad-cam", "--output", str(tmp_path))
    drawn = tmp_path / "grad_cam.png"
    assert str(drawn) in finished.out
    with Image.open(drawn) as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    assert len(results(tmp_path)["images"]) > 20
    plain = predict(trained, "pictures/3", "--output", str(tmp_path))
    assert "grad_cam.png" not in plain.out
    assert not drawn.exists(), "an earlier one does not stay beside other answers"


@pytest.mark.slow
def test_in_the_page_it_is_at_the_picture_s_place(trained, tmp_path):
    picture = str(next((trained / "pictures/3").glob("*.png")))
    other = str(next((trained / "pictures/5").glob("*.png")))
    predict(trained, picture, other, "--grad-cam", "--output", str(tmp_path))
    with opened(tmp_path / "dashboard.html") as page:
        for kind in ("thumbnail", "look"):
            assert page.locator(f".{kind}").count() == 2
        first = page.locator(".thumbnail").first.evaluate("(one) => one.style.backgroundPosition")
        assert first == page.locator(".look").first.evaluate(
            "(one) => one.style.backgroundPosition"
        )
        sheets = page.locator(".thumbnail, .look").evaluate_all(
            "(all) => new Set(all.map((one) => getComputedStyle(one).backgroundImage)).size"
        )
        assert sheets == 2


@pytest.mark.slow
def test_of_an_export_nothing_but_the_answers_is_known(trained, tmp_path):
    exported = run(trained, "export", "digits", "--output", str(tmp_path / "exports"))
    assert exported.code == 0, exported.err
    (file,) = (tmp_path / "exports").rglob("*.onnx")
    picture = str(next((trained / "pictures/3").glob("*.png")))
    refused = run(
        trained, "predict", str(file), picture, "--grad-cam", "--output", str(tmp_path / "results")
    )
    assert refused.code == 1
    assert "is an export, of which nothing but the answers is known" in refused.err
    assert "Traceback" not in refused.err
