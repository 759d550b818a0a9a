"""Networks, in torch alone: stems, joins, blocks and what is built of them."""

from reslab.nn.cnn import PlainCNN
from reslab.nn.joins import AddJoin, Join, NoJoin, PadJoin
from reslab.nn.resnet import ResNet
from reslab.nn.whitening import yet_to_learn

__all__ = ["AddJoin", "Join", "NoJoin", "PadJoin", "PlainCNN", "ResNet", "yet_to_learn"]
