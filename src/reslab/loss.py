"""What the images of each class count by in the training loss."""

from collections.abc import Callable

from torch import Tensor


def balanced(labels: Tensor, num_classes: int) -> Tensor:
    """Weights `[K]` by which all classes of labels `[N]` count alike, and an image 1 on average.

    They are N / (K n_k), as scikit-learn's of that name.
    """
    counts = labels.bincount(minlength=num_classes)
    return len(labels) / (num_classes * counts.clamp(min=1).float())


# By the name that configurations have for it.
CLASS_WEIGHTS: dict[str, Callable[[Tensor, int], Tensor]] = {"balanced": balanced}
