"""What the layers of `torch.nn` do when they are called, as operations of the table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class ModuleCall(NamedTuple):
    """The operation that a call of a module is."""

    operation: str
    settings: tuple[str, ...] = ()
    """Parameters of the constructor, in their order, which are operands of the operation; `_` stands for one that is
    none."""
    arguments: tuple[str, ...] = ("input",)
    """Parameters of the call."""


_PREDICTION = ("input", "target")
_REDUCTION = ("size_average", "reduce", "reduction")

_PLAIN = {
    "Sigmoid": "sigmoid",
    "LogSigmoid": "logsigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "ReLU6": "relu6",
    "SiLU": "silu",
    "Mish": "mish",
    "SELU": "selu",
    "Hardsigmoid": "hardsigmoid",
    "Hardswish": "hardswish",
    "Softsign": "softsign",
    "Tanhshrink": "tanhshrink",
    "PReLU": "prelu",
    "RReLU": "rrelu",
    "Softmax2d": "softmax",
    "Identity": "alias",
    "Flatten": "flatten",
    "Unflatten": "unflatten",
    "PixelShuffle": "pixel_shuffle",
    "PixelUnshuffle": "pixel_unshuffle",
    "ChannelShuffle": "channel_shuffle",
    "Unfold": "pad",
    "Fold": "fold",
    "LayerNorm": "layer_norm",
    "RMSNorm": "rms_norm",
    "GroupNorm": "group_norm",
    "SyncBatchNorm": "batch_norm",
    "LocalResponseNorm": "local_response_norm",
    "Dropout": "dropout",
    "AlphaDropout": "alpha_dropout",
    "FeatureAlphaDropout": "feature_alpha_dropout",
    "Linear": "linear",
    "LazyLinear": "linear",
    "Embedding": "embedding",
    "EmbeddingBag": "embedding_bag",
    "RNN": "rnn",
    "GRU": "gru",
    "LSTM": "lstm",
    "RNNCell": "rnn_cell",
    "GRUCell": "gru_cell",
    "LSTMCell": "lstm_cell",
    "Transformer": "network",
    "TransformerEncoder": "network",
    "TransformerDecoder": "network",
    "TransformerEncoderLayer": "network",
    "TransformerDecoderLayer": "network",
    "ZeroPad1d": "pad",
    "ZeroPad2d": "pad",
    "ZeroPad3d": "pad",
}
"""Without settings that matter."""

_PADDED = ("ReflectionPad", "ReplicationPad", "CircularPad")
"""Paddings with what is there already."""

_SET: dict[str, ModuleCall] = {
    "Softmax": ModuleCall("softmax", ("dim",)),
    "Softmin": ModuleCall("softmin", ("dim",)),
    "LogSoftmax": ModuleCall("log_softmax", ("dim",)),
    "LeakyReLU": ModuleCall("leaky_relu", ("negative_slope", "_")),
    "ELU": ModuleCall("elu", ("alpha", "_")),
    "CELU": ModuleCall("celu", ("alpha", "_")),
    "GELU": ModuleCall("gelu", ("approximate",)),
    "GLU": ModuleCall("glu", ("dim",)),
    "Softplus": ModuleCall("softplus", ("beta", "threshold")),
    "Hardtanh": ModuleCall("hardtanh", ("min_val", "max_val", "_")),
    "Hardshrink": ModuleCall("hardshrink", ("lambd",)),
    "Softshrink": ModuleCall("softshrink", ("lambd",)),
    "Threshold": ModuleCall("threshold", ("threshold", "value", "_")),
    "Upsample": ModuleCall("interpolate", ("size", "scale_factor", "mode", "align_corners")),
    "CosineSimilarity": ModuleCall("cosine_similarity", ("dim", "eps"), ("x1", "x2")),
    "PairwiseDistance": ModuleCall("pairwise_distance", ("p", "eps", "keepdim"), ("x1", "x2")),
    "L1Loss": ModuleCall("l1_loss", _REDUCTION, _PREDICTION),
    "MSELoss": ModuleCall("mse_loss", _REDUCTION, _PREDICTION),
    "SmoothL1Loss": ModuleCall("smooth_l1_loss", (*_REDUCTION, "beta"), _PREDICTION),
    "HuberLoss": ModuleCall("huber_loss", ("reduction", "delta"), _PREDICTION),
    "CrossEntropyLoss": ModuleCall(
        "cross_entropy",
        ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"),
        _PREDICTION,
    ),
    "NLLLoss": ModuleCall("nll_loss", ("weight", "size_average", "ignore_index", "reduce", "reduction"), _PREDICTION),
    "BCELoss": ModuleCall("binary_cross_entropy", ("weight", *_REDUCTION), _PREDICTION),
    "BCEWithLogitsLoss": ModuleCall(
        "binary_cross_entropy_with_logits", ("weight", *_REDUCTION, "pos_weight"), _PREDICTION
    ),
    "KLDivLoss": ModuleCall("kl_div", (*_REDUCTION, "log_target"), _PREDICTION),
    "GaussianNLLLoss": ModuleCall("gaussian_nll_loss", (), (*_PREDICTION, "var")),
    "PoissonNLLLoss": ModuleCall(
        "poisson_nll_loss", ("log_input", "full", "size_average", "eps", "reduce", "reduction"), _PREDICTION
    ),
    "CTCLoss": ModuleCall(
        "ctc_loss", ("blank", "reduction", "zero_infinity"), ("log_probs", "targets", "input_lengths", "target_lengths")
    ),
    "SoftMarginLoss": ModuleCall("soft_margin_loss", _REDUCTION, _PREDICTION),
    "MultiLabelSoftMarginLoss": ModuleCall("multilabel_soft_margin_loss", ("weight", *_REDUCTION), _PREDICTION),
    "MultiLabelMarginLoss": ModuleCall("multilabel_margin_loss", _REDUCTION, _PREDICTION),
    "MultiMarginLoss": ModuleCall("multi_margin_loss", ("p", "margin", "weight", *_REDUCTION), _PREDICTION),
    "HingeEmbeddingLoss": ModuleCall("hinge_embedding_loss", ("margin", *_REDUCTION), _PREDICTION),
    "MarginRankingLoss": ModuleCall("margin_ranking_loss", ("margin", *_REDUCTION), ("input1", "input2", "target")),
    "CosineEmbeddingLoss": ModuleCall("cosine_embedding_loss", ("margin", *_REDUCTION), ("input1", "input2", "target")),
    "TripletMarginLoss": ModuleCall(
        "triplet_margin_loss", ("margin", "p", "eps", "swap"), ("anchor", "positive", "negative")
    ),
    "Bilinear": ModuleCall("bilinear", (), ("input1", "input2")),
    "MultiheadAttention": ModuleCall("multihead_attention", (), ("input", "key", "value")),
}


def _by_dimension() -> dict[str, ModuleCall]:
    found = {}
    for dimension in ("1d", "2d", "3d"):
        for name, operation in (
            ("Conv", "conv"),
            ("LazyConv", "conv"),
            ("ConvTranspose", "conv_transpose"),
            ("MaxPool", "max_pool"),
            ("AvgPool", "avg_pool"),
            ("AdaptiveMaxPool", "adaptive_max_pool"),
            ("AdaptiveAvgPool", "adaptive_avg_pool"),
            ("LPPool", "lp_pool"),
            ("Dropout", "dropout"),
        ):
            found[f"{name}{dimension}"] = ModuleCall(operation + dimension)
        found[f"BatchNorm{dimension}"] = found[f"LazyBatchNorm{dimension}"] = ModuleCall("batch_norm")
        found[f"InstanceNorm{dimension}"] = ModuleCall("instance_norm")
        found[f"ConstantPad{dimension}"] = ModuleCall("pad", ("_", "value"))
        found.update({f"{name}{dimension}": ModuleCall("repeat") for name in _PADDED})
    return found


MODULES: Mapping[str, ModuleCall] = MappingProxyType(
    {
        f"torch.nn.{name}": call
        for name, call in {
            **{name: ModuleCall(operation) for name, operation in _PLAIN.items()},
            **_SET,
            **_by_dimension(),
        }.items()
    }
)
"""By the canonical path of the class."""

_LEARNING = """
linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d embedding embedding_bag
batch_norm layer_norm group_norm rms_norm prelu rnn gru lstm rnn_cell gru_cell lstm_cell network multihead_attention
"""
LEARNING = frozenset(_LEARNING.split())
"""Operations of modules with weights: a gradient flows from their results even where none flows into what they get."""
