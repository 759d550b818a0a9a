"""Networks, in torch alone: stems, joins, blocks and what is built of them."""

from reslab.nn.cnn import PlainCNN
from reslab.nn.joins import AddJoin, Join, NoJoin, PadJoin
from reslab.nn.resnet import ResNet

__all__ = ["AddJoin", "Join", "NoJoin", "PadJoin", "PlainCNN", "ResNet"]
