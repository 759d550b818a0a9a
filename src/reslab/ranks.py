"""The processes of one run on several devices: what they share, add up and agree on.

Each has a device and takes its share of every batch. What they have learned of it is added up after
every step, so that all of them hold one and the same network, to the bit, and the first can save
and write for all. torchrun starts them and says to each, by variables, which of how many it is. A
process that is alone has the whole share, and its own answer is what all agree on.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

LOST = os.EX_TEMPFAIL
PREPARATION = timedelta(days=1)  # for which the others wait: the first may fetch a data set

_control: Any = None  # the group by which the processors, not the devices, exchange what they know


class LostError(SystemExit):
    """Ends a process whose run has lost another one, which alone knows why."""

    def __init__(self) -> None:
        super().__init__(LOST)


def started() -> int:
    """How many processes torchrun has started for this process' run; 1 where it has not."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def local_rank() -> int:
    """Which of this machine's devices is this process', from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if number() > 1 else 0


def local_number() -> int:
    """How many processes the run has on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", number())) if number() > 1 else 1


def rank() -> int:
    """Which of the run's processes this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def number() -> int:
    """How many processes the run has."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


@contextmanager
def joined(*, on_gpus: bool) -> Iterator[None]:
    """Has the processes that torchrun started know each other, until they `part`."""
    global _control
    if started() > 1:
        with together():
            distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
            _control = distributed.new_group(backend="gloo", timeout=PREPARATION)
    try:
        yield
    finally:
        _leave()


def part() -> None:
    """Ends what the processes do together: from now on each is alone."""
    wait()
    _leave()


def _leave() -> None:
    global _control
    _control = None
    if distributed.is_initialized():
        distributed.destroy_process_group()


def share(total: int) -> slice:
    """Which of so many images in a row are this process', as many as any other's, or one less."""
    start, stop = (total * at // number() for at in (rank(), rank() + 1))
    return slice(start, stop)


def add_up(tensors: Sequence[Tensor]) -> None:
    """Has each tensor be the sum of all processes', to the bit the same in all.

    One exchange of one flat tensor: the order of what is added up, on which the bits depend with
    more than two, is the same at every step, after a resume too.
    """
    if number() == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    with together():
        distributed.all_reduce(flat)
    for tensor, summed in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(summed.view(tensor.shape))


def merge(network: nn.Module, part: float | Tensor, numbers: Sequence[Tensor]) -> None:
    """Makes of what each process has learned from its share what the whole batch teaches.

    Gradients become the sum of all processes' times their `part`, and BatchNorm's statistics the
    mean, so that there is one network to save. A parameter without a gradient has one of zeros: in
    another process it may have been used. The `numbers` are added up by the way.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients: Any = [parameter.grad for parameter in parameters]
    statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    torch._foreach_mul_(gradients, part)
    if statistics:
        torch._foreach_mul_(statistics, 1 / number())
    add_up([*gradients, *statistics, *numbers])


def spread(tensors: Sequence[Tensor]) -> None:
    """Has each tensor be the first process'."""
    for tensor in tensors if number() > 1 else ():
        with together():
            distributed.broadcast(tensor, 0)


def largest(*numbers: int) -> list[int]:
    """The largest of each number among the processes: what is true of one is said of all."""
    found = torch.tensor(numbers)
    if number() > 1:
        with together():
            distributed.all_reduce(found, distributed.ReduceOp.MAX, group=_control)
    return found.tolist()


def wait() -> None:
    """Returns when all processes have come here."""
    largest(0)


def gathered(value: Any) -> list[Any]:
    """A plain value or tensors on the processor, of each process in turn."""
    values = [value] * number()
    if number() > 1:
        with together():
            distributed.all_gather_object(values, value, group=_control)
    return values


def told(value: Any = None) -> Any:
    """What the first process says; the others wait for it."""
    values = [value]
    if number() > 1:
        with together():
            distributed.broadcast_object_list(values, 0, group=_control)
    return values[0]


@contextmanager
def together() -> Iterator[None]:
    """What torch says when another process is gone ends this one too."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "/gloo/" in str(error):
            with contextlib.suppress(RuntimeError):
                _leave()
            raise LostError from error
        raise
