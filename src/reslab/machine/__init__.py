"""The machine: its devices and kernels, and what else keeps it busy."""

from reslab.machine.device import choose_device, describe_hardware, supports_bf16
from reslab.machine.kernels import check_compiler, compiled, configure_kernels, lay_out
from reslab.machine.others import others_cpu_seconds

__all__ = [
    "check_compiler",
    "choose_device",
    "compiled",
    "configure_kernels",
    "describe_hardware",
    "lay_out",
    "others_cpu_seconds",
    "supports_bf16",
]
