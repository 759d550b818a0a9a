"""What holds of splits, augmentation and loaders whatever they are given."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import CutMix, MixUp

from reslab.data import Augment, BrightnessJitter, Cutout, HorizontalFlip, RandomCrop
from reslab.data.loader import EvaluationLoader, TrainingLoader, generator_of
from reslab.data.splits import split, split_each
from reslab.preprocess import Normalization
from searched import examples

SEEDS = st.integers(0, 2**32 - 1)
# How many images each class has.
COUNTS = st.lists(st.integers(2, 40), min_size=2, max_size=8)


def labels_of(counts, order):
    labels = np.repeat(np.arange(len(counts)), counts)
    return torch.from_numpy(np.random.default_rng(order).permutation(labels))


def is_split(kept, out, number):
    """Disjoint, whole and sorted."""
    both = torch.cat([kept, out])
    assert torch.equal(both.sort().values, torch.arange(number))
    for part in (kept, out):
        assert torch.equal(part, part.sort().values)


@examples(100)
@given(COUNTS, st.data(), SEEDS, st.integers(0, 9))
def test_a_split_is_whole_disjoint_and_of_every_class_its_share(counts, data, seed, order):
    labels = labels_of(counts, order)
    held_out = data.draw(st.integers(len(counts), len(labels) - len(counts)))
    torch.manual_seed(order)
    np.random.seed(order)
    kept, out = split(labels, held_out, seed)
    is_split(kept, out, len(labels))
    assert len(out) == held_out
    shares = np.array(counts) * held_out / len(labels)
    assert (abs(np.bincount(labels[out], minlength=len(counts)) - shares) < 1).all()
    again = split(labels.clone(), held_out, seed)
    assert all(map(torch.equal, (kept, out), again))


@examples(100)
@given(COUNTS, st.floats(0.01, 0.9), SEEDS, st.integers(0, 9))
def test_a_split_of_each_class_takes_its_share_and_at_least_one(counts, share, seed, order):
    labels = labels_of(counts, order)
    kept, out = split_each(labels, share, seed)
    is_split(kept, out, len(labels))
    for count, taken in zip(counts, np.bincount(labels[out], minlength=len(counts))):
        assert taken == max(1, round(share * count))
    assert all(map(torch.equal, (kept, out), split_each(labels, share, seed)))


STEPS = st.one_of(
    st.builds(HorizontalFlip, st.floats(0, 1)),
    st.builds(RandomCrop, st.integers(1, 4), st.sampled_from(RandomCrop.MODES)),
    st.builds(Cutout, st.integers(1, 12), st.floats(0, 1)),
    st.builds(BrightnessJitter, st.floats(0, 1)),
)


def images_of(number, channels=1, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (number, channels, size, size), generator=generator).to(torch.uint8)


@examples(100)
@given(STEPS, st.integers(1, 9), st.integers(1, 3), st.integers(5, 9), SEEDS, st.data())
def test_an_augmentation_of_a_batch_is_that_of_each_image(step, number, channels, size, seed, data):
    """Shape, kind and range stay, but for brightness; nothing depends on what is beside an image."""
    images = images_of(number, channels, size, seed % 1000) / 255
    before = images.clone()
    drawn = step.draw(number, generator_of(seed))
    state = torch.get_rng_state()
    changed = step.apply(images, drawn)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    margin = step.delta if isinstance(step, BrightnessJitter) else 0
    assert -margin <= changed.min()
    assert changed.max() <= 1 + margin
    order = torch.tensor(data.draw(st.permutations(range(number))))
    assert torch.equal(step.apply(images[order], drawn[order]), changed[order])
    alone = [step.apply(image[None], one[None])[0] for image, one in zip(images, drawn)]
    assert torch.equal(torch.stack(alone), changed)


@examples(50)
@given(st.integers(1, 9), SEEDS)
def test_a_flip_of_a_flip_is_the_image(number, seed):
    images, step = images_of(number) / 255, HorizontalFlip(0.5)
    drawn = step.draw(number, generator_of(seed))
    assert torch.equal(step.apply(step.apply(images, drawn), drawn), images)


def loader_of(number, batch_size, seed, steps, mix):
    augment = Augment(mix=mix, **{f"step{at}": step for at, step in enumerate(steps)})
    labels = torch.arange(number) % 4
    plain = Normalization((0.5,), (0.25,))
    return TrainingLoader(images_of(number), labels, batch_size, plain, augment, seed)


MIXES = st.sampled_from([None, MixUp(alpha=1.0, num_classes=4), CutMix(alpha=1.0, num_classes=4)])


@examples(60)
@given(
    st.integers(2, 40),
    st.data(),
    SEEDS,
    st.lists(STEPS, max_size=3),
    MIXES,
    st.integers(0, 3),
)
def test_a_loader_that_is_resumed_at_any_step_gives_the_same_rest(
    number, data, seed, steps, mix, epoch
):
    """However often it is broken off, and whatever the epoch before it was."""
    batch_size = 2 * data.draw(st.integers(1, number // 2))  # CutMix and MixUp roll pairs
    whole = loader_of(number, batch_size, seed, steps, mix)
    whole.sampler.set_epoch(epoch)
    expected = list(whole)
    assert len(expected) == len(whole) == number // batch_size
    stops = sorted(data.draw(st.lists(st.integers(0, len(expected)), max_size=3)))
    state, given = None, []
    for stop in [*stops, len(expected)]:
        torch.manual_seed(stop)  # another process is at another state
        loader = loader_of(number, batch_size, seed, steps, mix)
        if state is not None:
            loader.load_state_dict(state)
        loader.sampler.set_epoch(epoch)
        batches = iter(loader)
        while len(given) < stop:
            given.append(next(batches))
        state = loader.state_dict() if len(given) else None
    for (images, labels), (their_images, their_labels) in zip(given, expected, strict=True):
        assert torch.equal(images, their_images)
        assert torch.equal(labels, their_labels)


@examples(60)
@given(st.integers(1, 40), st.data(), SEEDS, st.lists(STEPS, max_size=3), st.integers(0, 3))
def test_what_an_image_becomes_depends_on_seed_epoch_and_image_and_on_no_batch(
    number, data, seed, steps, epoch
):
    """Batches of any size are the same images in the same order, each changed alike."""

    def epoch_of(batch_size):
        loader = loader_of(number, batch_size, seed, steps, None)
        loader.sampler.set_epoch(epoch)
        return [(image, label) for images, labels in loader for image, label in zip(images, labels)]

    one, other = (epoch_of(data.draw(st.integers(1, number))) for _ in range(2))
    for (image, label), (theirs, their_label) in zip(one, other):
        assert torch.equal(image, theirs)
        assert label == their_label


@examples(60)
@given(st.integers(1, 40), st.integers(1, 50))
def test_evaluation_gives_every_image_once_in_order(number, batch_size):
    images = images_of(number)
    loader = EvaluationLoader(images, torch.arange(number), batch_size, Normalization((0,), (1,)))
    batches = list(loader)
    assert len(batches) == len(loader)
    assert torch.equal(torch.cat([labels for _, labels in batches]), torch.arange(number))
    seen = torch.cat([batch for batch, _ in batches])
    assert torch.allclose(seen, images / 255)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_flip_s_probability_is_that(share):
    drawn = HorizontalFlip(share).draw(20_000, generator_of(0))
    assert drawn.float().mean().item() == pytest.approx(share, abs=0.02)
