"""The fast way from uint8 images to logits."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from reslab.analysis.fold import fold_batch_norms
from reslab.analysis.grad_cam import grad_cam, last_maps
from reslab.machine import compiled
from reslab.preprocess import Preprocessing, resized

BATCH_SIZE = 256


class Engine:
    """A network for inference: folded, channels last, in bf16 if asked, compiled if asked.

    A GPU, and a compiled network, compute batches of one shape, for which kernels are chosen once:
    what is missing of a last batch is filled up.

    Args:
        network: Network input to logits.
        preprocessing: Pixels to network input.
        device: Where to compute.
        bf16: Whether to compute in bf16; the logits are fp32 all the same.
        batch_size: Images computed at once.
        compile: Whether to compile the network, at the first call.

    Raises:
        UserError: Compiling is asked for, and there is no compiler for what torch generates.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        device: torch.device,
        *,
        bf16: bool,
        batch_size: int = BATCH_SIZE,
        compile: bool = False,
    ) -> None:
        folded = fold_batch_norms(network).to(memory_format=torch.channels_last)
        self.network, self.preprocessing = folded.to(device), preprocessing.to(device)
        self.device, self.batch_size = device, batch_size
        self.bf16 = bf16
        if bf16:  # once and for all: autocast would do it again for every batch
            for module in self.network.modules():
                if isinstance(module, nn.Conv2d):
                    module.to(torch.bfloat16)
        self._compute = compiled(self._logits, device) if compile else self._logits
        self._fills_up = compile or device.type == "cuda"

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits fp32 `[N, K]` on the CPU, of uint8 images `[N, C, H, W]` of any size."""
        return torch.cat([self._batch(batch) for batch in images.split(self.batch_size)]).cpu()

    def grad_cam(self, images: Tensor, classes: Tensor) -> Tensor:
        """Where the network finds classes `[N]` in uint8 images `[N, C, H, W]`: see `grad_cam`.

        On the CPU, float `[N, S, S]`, at the size that the network takes.

        Raises:
            UserError: No layer of the network puts out maps.
        """
        heats = []
        for batch, asked in zip(
            images.split(self.batch_size), classes.split(self.batch_size), strict=True
        ):
            prepared = self.preprocessing(batch.to(self.device))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                layer = last_maps(self.network, prepared[:1])
                heats.append(grad_cam(self.network, layer, prepared, asked).cpu())
        return torch.cat(heats)

    def _batch(self, images: Tensor) -> Tensor:
        number = len(images)
        images = resized(images.to(self.device), self.preprocessing.size)
        if self._fills_up and number < self.batch_size:
            images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, self.batch_size - number))
        logits = self._compute(images)[:number]
        return logits.clone() if self._fills_up else logits  # a CUDA graph writes there again

    def _logits(self, images: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network(self.preprocessing(images)).float()
