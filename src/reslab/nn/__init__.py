"""Networks, in torch alone: stems, joins, blocks and what is built of them."""

from reslab.nn.cnn import baseline_cnn
from reslab.nn.joins import AddJoin, NoJoin
from reslab.nn.resnet import ResNet, mini_resnet, resnet18

__all__ = ["AddJoin", "NoJoin", "ResNet", "baseline_cnn", "mini_resnet", "resnet18"]
