import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import CutMix, MixUp
from torchvision.transforms.v2 import functional as transforms

from reslab.config import compose, instantiate
from reslab.data import Augment, BrightnessJitter, Cutout, HorizontalFlip, ImageData, RandomCrop
from reslab.data.loader import EvaluationLoader, TrainingLoader
from reslab.data.splits import split
from reslab.errors import UserError
from reslab.preprocess import Normalization

PLAIN = Normalization((0.0,), (1.0,))


def draw(step, n, seed=0):
    return step.draw(n, torch.Generator().manual_seed(seed))


def images_of(n=32, channels=3, size=12):
    return torch.rand(n, channels, size, size)


def test_flip_equals_flipping_image_by_image():
    images, step = images_of(), HorizontalFlip(0.5)
    drawn = draw(step, len(images))
    expected = [im.numpy()[:, :, ::-1] if d else im.numpy() for im, d in zip(images, drawn)]
    assert np.array_equal(step.apply(images, drawn).numpy(), np.stack(expected))
    assert 0 < drawn.sum() < len(images)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("constant", "constant"), ("reflect", "reflect")])
def test_crop_equals_padding_and_cutting_image_by_image(mode, numpy_mode):
    images, step = images_of(200), RandomCrop(4, mode)
    drawn = draw(step, len(images))
    expected = []
    for image, (y, x) in zip(images.numpy(), drawn.numpy()):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)), numpy_mode)
        expected.append(padded[:, y : y + 12, x : x + 12])
    assert np.array_equal(step.apply(images, drawn).numpy(), np.stack(expected))
    assert drawn.min() == 0
    assert drawn.max() == 8


@pytest.mark.parametrize("size", [1, 4, 7, 30])
def test_cutout_equals_covering_image_by_image(size):
    images, step = images_of(200), Cutout(size, fill=0.5)
    drawn = draw(step, len(images))
    expected = images.numpy().copy()
    for image, (y, x) in zip(expected, drawn.numpy()):
        top, left = int(y * 12) - size // 2, int(x * 12) - size // 2
        image[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0.5
    assert np.array_equal(step.apply(images, drawn).numpy(), expected)


def mixing_loader(mix, seed=0):
    """Image i is filled with i and has label i, so that a mixture tells what it is made of."""
    images = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 1, 8, 8)
    return TrainingLoader(images.contiguous(), torch.arange(40), 10, PLAIN, Augment(mix=mix), seed)


def test_mixup_mixes_images_and_labels_by_one_share():
    for images, shares in mixing_loader(MixUp(alpha=1.0, num_classes=40)):
        assert torch.allclose(shares.sum(1), torch.ones(10))
        expected = shares @ torch.arange(40.0) / 255
        assert torch.allclose(images, expected[:, None, None, None].expand_as(images), atol=1e-6)
        assert ((shares > 0).sum(1) == 2).all()


def test_cutmix_s_labels_are_the_shares_of_the_area():
    for images, shares in mixing_loader(CutMix(alpha=1.0, num_classes=40)):
        pixels = (images * 255).round().long().flatten(1)
        area = torch.stack([row.bincount(minlength=40) for row in pixels]) / 64
        assert torch.allclose(shares, area, atol=1e-6)


def test_mixing_depends_on_seed_epoch_and_batch_alone():
    def epoch(seed, number):
        loader = mixing_loader(MixUp(alpha=1.0, num_classes=40), seed)
        loader.sampler.set_epoch(number)
        return torch.stack([shares for _, shares in loader])

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = epoch(0, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(first, epoch(0, 3))
    assert not torch.equal(first, epoch(0, 4))
    assert not torch.equal(first, epoch(1, 3))
    largest = first.max(2).values[:, 0]
    assert len(largest.unique()) == 4, "each batch has a share of its own"


def test_brightness_equals_adding_image_by_image():
    images, step = images_of(500), BrightnessJitter(0.1)
    drawn = draw(step, len(images))
    expected = [image + float(d) for image, d in zip(images.numpy(), drawn)]
    assert np.allclose(step.apply(images, drawn).numpy(), np.stack(expected), atol=1e-7)
    assert -0.1 <= drawn.min() < -0.09
    assert 0.09 < drawn.max() <= 0.1


def test_resize_equals_pillow_s(monkeypatch):
    images = (torch.rand(8, 3, 28, 28) * 255).to(torch.uint8)
    for size in (16, 32):
        ours = transforms.resize(images, [size, size], antialias=True).numpy()
        for image, resized in zip(images.numpy(), ours):
            theirs = Image.fromarray(image.transpose(1, 2, 0)).resize((size, size), Image.BILINEAR)
            difference = np.asarray(theirs).astype(int).transpose(2, 0, 1) - resized
            assert np.abs(difference).max() <= 1


def loader_of(n=103, batch_size=10, seed=0, **steps):
    images = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 8, 8).contiguous()
    augment = Augment(**steps)
    return TrainingLoader(images, torch.arange(n), batch_size, PLAIN, augment, seed)


def labels_of(loader):
    return torch.cat([labels for _, labels in loader])


def test_an_epoch_shows_every_image_once_but_for_the_last_partial_batch():
    labels = labels_of(loader_of())
    assert len(labels) == 100
    assert len(labels.unique()) == 100


def test_images_keep_their_labels():
    for images, labels in loader_of():
        assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels)


def test_order_and_augmentation_depend_on_seed_and_epoch_alone():
    def epoch(seed, number):
        loader = loader_of(seed=seed, crop=RandomCrop(2), jitter=BrightnessJitter(0.1))
        loader.sampler.set_epoch(number)
        return torch.cat([images for images, _ in loader])

    torch.manual_seed(1)
    first = epoch(0, 3)
    torch.manual_seed(2)
    assert torch.equal(first, epoch(0, 3))
    assert not torch.equal(first, epoch(0, 4))
    assert not torch.equal(first, epoch(1, 3))


@pytest.mark.parametrize("position", [0, 1, 7, 9])
def test_a_loader_goes_on_from_its_state(position):
    reference = list(loader_of(crop=RandomCrop(2), flip=HorizontalFlip()))
    interrupted = loader_of(crop=RandomCrop(2), flip=HorizontalFlip())
    batches = iter(interrupted)
    for _ in range(position):
        next(batches)
    resumed = loader_of(crop=RandomCrop(2), flip=HorizontalFlip())
    resumed.load_state_dict(interrupted.state_dict())
    rest = list(resumed)
    assert len(rest) == len(reference) - position
    for (images, labels), (expected, expected_labels) in zip(rest, reference[position:]):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("position", [3, 10])
def test_a_state_of_one_epoch_does_not_shorten_the_next(position):
    """Also where Lightning ends an epoch early, by `limit_train_batches`."""
    loader = loader_of()
    batches = iter(loader)
    for _ in range(position):
        next(batches)
    again = loader_of()
    again.load_state_dict(loader.state_dict())
    again.sampler.set_epoch(1)
    assert len(labels_of(again)) == 100


def test_evaluation_keeps_order_and_every_image():
    images = torch.arange(23, dtype=torch.uint8)[:, None, None, None].expand(23, 1, 4, 4)
    loader = EvaluationLoader(images, torch.arange(23), 5, PLAIN)
    assert torch.equal(labels_of(loader), torch.arange(23))
    assert [len(labels) for _, labels in loader] == [5, 5, 5, 5, 3]
    assert len(loader) == 5


def test_split_is_stratified_disjoint_whole_and_its_own_seed_s():
    labels = torch.randint(10, (1000,))
    kept, out = split(labels, 200, seed=0)
    assert torch.equal(torch.cat([kept, out]).sort().values, torch.arange(1000))
    share = labels.bincount() / 1000
    assert ((labels[out].bincount() / 200 - share).abs() < 0.006).all()
    torch.manual_seed(5)
    assert torch.equal(split(labels, 200, seed=0)[1], out)
    assert not torch.equal(split(labels, 200, seed=1)[1], out)


def digits(**arguments) -> ImageData:
    overrides = [f"dataset.{key}={value}" for key, value in arguments.items()]
    data = instantiate(compose(["dataset=digits", *overrides]), "dataset")
    data.setup()
    return data


def test_digits_are_scikit_learn_s_split_three_ways_without_overlap():
    from sklearn.datasets import load_digits

    data = digits(size=8)
    assert [len(data.train_labels), len(data.val_labels), len(data.test_labels)] == [1257, 180, 360]
    ours = torch.cat([data.train_images, data.val_images, data.test_images]).numpy()[:, 0]
    theirs = np.rint(load_digits().images * 255 / 16)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs.astype(np.uint8)))


def test_the_test_split_of_digits_depends_on_no_seed():
    assert torch.equal(digits().test_images, digits(seed=3, split_seed=4).test_images)
    assert not torch.equal(digits().val_images, digits(split_seed=4).val_images)
    assert torch.equal(digits().val_images, digits(seed=3).val_images)


def test_statistics_are_numpy_s_over_training_and_validation_images():
    data = digits()
    pixels = torch.cat([data.train_images, data.val_images]).numpy() / 255
    assert data.normalization.mean.item() == pytest.approx(pixels.mean(), abs=1e-6)
    assert data.normalization.std.item() == pytest.approx(pixels.std(), abs=1e-6)


def test_a_recipe_s_constants_replace_the_statistics():
    data = digits(mean=0.5, std=0.25)
    assert data.normalization.mean.flatten().tolist() == [0.5]
    assert data.normalization.std.flatten().tolist() == [0.25]


@pytest.mark.parametrize(
    ("field", "value"), [("batch_size", 0), ("size", 0), ("val_size", 0), ("split_seed", -1)]
)
def test_numbers_out_of_range_are_refused_by_name(field, value):
    from reslab.errors import UserError

    with pytest.raises(UserError, match=field):
        digits(**{field: value})


def test_mnist_has_its_published_statistics(data_dir):
    data = instantiate(compose(["dataset=mnist", f"data_dir={data_dir}"]), "dataset")
    data.prepare_data()
    data.setup()
    sizes = [len(data.train_labels), len(data.val_labels), len(data.test_labels)]
    assert sizes == [55_000, 5_000, 10_000]
    assert data.normalization.mean.item() == pytest.approx(0.1307, abs=5e-5)
    assert data.normalization.std.item() == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.slow
def test_cifar10_has_its_published_statistics_and_torchvision_s_images(data_dir):
    from torchvision.datasets import CIFAR10

    data = instantiate(compose(["dataset=cifar10", f"data_dir={data_dir}"]), "dataset")
    data.prepare_data()
    data.setup()
    mean, std = data.normalization.mean.flatten(), data.normalization.std.flatten()
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=6e-5)
    assert std.tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=6e-5)
    assert torch.equal(data.val_labels.bincount(), torch.full((10,), 500))
    image, label = CIFAR10(data_dir, train=False)[1234]
    assert np.array_equal(data.test_images[1234].numpy(), np.asarray(image).transpose(2, 0, 1))
    assert data.test_labels[1234] == label
    assert data.class_names[label] == CIFAR10(data_dir, train=False).classes[label]


class Mirror:
    """A user's own step, which says what it does."""

    mirrors = True

    def draw(self, num_images, generator):
        return torch.ones(num_images)

    def apply(self, images, drawn):
        return images.flip(-1)


@pytest.mark.parametrize(
    ("steps", "mirrors"),
    [
        ({}, False),
        ({"crop": RandomCrop(), "brightness": BrightnessJitter()}, False),
        ({"crop": RandomCrop(), "flip": HorizontalFlip()}, True),
        ({"flip": HorizontalFlip(0)}, False),
        ({"own": Mirror()}, True),
    ],
)
def test_augmentation_says_whether_it_mirrors(steps, mirrors):
    assert Augment(**steps).mirrors == mirrors


def test_the_test_set_can_stand_for_the_validation_set_and_that_is_said():
    asked = ["dataset.val_size=null", "dataset.validate_on_test=true"]
    data, usual = (instantiate(compose(more), "dataset") for more in (asked, []))
    for one in (data, usual):
        one.setup()
    assert torch.equal(data.val_images, usual.test_images)
    assert torch.equal(data.val_labels, usual.test_labels)
    assert len(data.train_labels) == len(usual.train_labels) + len(usual.val_labels)
    assert [remark.text for remark in data.remarks if remark.warns] == [
        "the test set is the validation set too: the epoch is chosen on what is reported"
    ]
    with pytest.raises(UserError, match=r"validate_on_test needs val_size=null, got 180"):
        instantiate(compose(asked[1:]), "dataset")


def test_the_first_epochs_have_small_images_as_pillow_makes_them_and_validation_never_has():
    """Of the same augmented images as without: what is drawn does not depend on the size."""
    asked = ["augment=crop_flip", "augment.crop.padding=2", "dataset.batch_size=300"]
    small = [*asked, "dataset.small_size=5", "dataset.small_epochs=2"]
    ours, whole = (instantiate(compose(more), "dataset") for more in (small, asked))
    ours.setup()
    whole.setup()
    for epoch, side in enumerate([5, 5, 16]):
        loaders = ours.train_dataloader(), whole.train_dataloader()
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
        for (images, labels), (large, same_labels) in zip(*loaders, strict=True):
            assert images.shape == (300, 1, side, side)
            assert torch.equal(labels, same_labels)
            if side == 16:
                assert torch.equal(images, large)
                continue
            for image, other in zip(images[:20, 0].numpy(), large[:20, 0].numpy()):
                expected = Image.fromarray(other, mode="F").resize((side, side), Image.BILINEAR)
                assert np.abs(image - np.asarray(expected)).max() < 1e-4
    assert {images.shape[2] for images, _ in ours.val_dataloader()} == {16}
    assert {images.shape[2] for images, _ in ours.predict_dataloader()} == {16}
