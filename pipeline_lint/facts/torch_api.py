"""The names by which torch can be called, and the parameters of its common operations.

A small table of our own, so that nothing needs torch to be installed; the tests compare it with torch itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Signature(NamedTuple):
    """How the arguments of an operation are bound; `input` is the tensor that it is applied to."""

    positional: tuple[str, ...]
    keyword_only: frozenset[str]
    rest: str | None
    """The parameter that takes all further positional arguments: `dims` of `x.permute(*dims)`."""

    @property
    def keywords(self) -> frozenset[str]:
        """Parameters that may be given by name."""
        return self.keyword_only.union(self.positional)


@functools.lru_cache(maxsize=4096)
def canonical(path: str) -> str:
    """The documented path of what torch offers under several.

    `torch.nn.modules.activation.Sigmoid` is `torch.nn.Sigmoid`. Paths outside torch, and those that are their
    own, come back unchanged.
    """
    if not path.startswith("torch."):
        return path
    for pattern, replacement in _MOVED:
        path, num_moved = pattern.subn(replacement, path)
        if num_moved:
            break
    return path


@functools.cache
def signatures(namespace: str) -> Mapping[str, Signature]:
    """Signatures by name: of the functions of a module such as `torch.special`, or of the methods of `torch.Tensor`.

    A module that is not in the table has none.
    """
    letter = NAMESPACES.get(namespace)
    found: dict[str, Signature] = {}
    if letter is None:
        return found
    for line in _SIGNATURES.strip().splitlines():
        letters, _, rest = line.partition(" ")
        if letter not in letters:
            continue
        names, _, parameters = rest.partition("(")
        signature = _parse(parameters.rstrip(")"))
        found.update(dict.fromkeys(names.split(), signature))
    return MappingProxyType(found)


def operation_name(namespace: str, name: str) -> str:
    """The one name of an operation that torch spells in several ways: `torch.special.expit` is `sigmoid`."""
    if namespace == "torch.linalg" and name == "norm":
        return "linalg_norm"
    return _SYNONYMS.get(name, name)


@functools.cache
def star_exports(module: str) -> frozenset[str] | None:
    """Names that `from module import *` is known to bring; None for a module of which nothing is known."""
    if module == "torch.nn":
        return frozenset(_NN_CLASSES.split()) | {"functional", "init", "utils", "parallel", "modules"}
    if module == "torch":
        return frozenset(signatures("torch")) | {
            "nn",
            "optim",
            "cuda",
            "Tensor",
            "autograd",
            "special",
            "linalg",
            "amp",
        }
    return frozenset(signatures(module)) or None


def _parse(parameters: str) -> Signature:
    positional: list[str] = []
    keyword_only: list[str] = []
    rest = None
    target = positional
    for parameter in filter(None, parameters.split(", ")):
        if parameter == "*":
            target = keyword_only
        elif parameter.startswith("*"):
            rest = parameter[1:]
            target = keyword_only
        else:
            target.append(parameter)
    return Signature(tuple(positional), frozenset(keyword_only), rest)


NAMESPACES: Mapping[str, str] = {
    "torch": "t",
    "torch.Tensor": "m",
    "torch.nn.functional": "f",
    "torch.special": "s",
    "torch.linalg": "l",
}

_SUBMODULE_NAMES = """
amp autograd backends cuda cuda.amp distributed distributions fft func jit linalg nn nn.functional nn.init nn.modules
nn.parallel nn.utils nn.utils.rnn optim optim.lr_scheduler random special utils utils.data
"""
SUBMODULES: frozenset[str] = frozenset(f"torch.{name}" for name in _SUBMODULE_NAMES.split())
"""What `import torch` alone makes reachable."""

_PACKAGES = """
abc argparse builtins collections contextlib cv2 dataclasses enum functools jax logging math numpy os pandas pathlib PIL
scipy sklearn tensorflow torch typing typing_extensions
"""
KNOWN_PACKAGES: frozenset[str] = frozenset(_PACKAGES.split())
"""Packages that are not looked for among the files of a project."""

LIGHTNING_ROOTS: tuple[str, ...] = ("lightning.pytorch", "lightning", "pytorch_lightning")

_NN_CLASSES = """
Module ModuleDict ModuleList Parameter ParameterDict ParameterList Sequential Identity Linear Bilinear LazyLinear
Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d BatchNorm1d BatchNorm2d BatchNorm3d
SyncBatchNorm LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d LocalResponseNorm RMSNorm Dropout
Dropout1d Dropout2d Dropout3d AlphaDropout Embedding EmbeddingBag RNN LSTM GRU RNNCell LSTMCell GRUCell
MultiheadAttention Transformer TransformerEncoder TransformerDecoder TransformerEncoderLayer TransformerDecoderLayer
Sigmoid Softmax Softmax2d LogSigmoid LogSoftmax Softmin Softplus Softsign Tanh ReLU ReLU6 LeakyReLU PReLU RReLU ELU
CELU SELU GELU SiLU Mish GLU Hardtanh Hardsigmoid Hardswish Threshold Flatten Unflatten Fold Unfold PixelShuffle
PixelUnshuffle Upsample MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d AdaptiveAvgPool1d
AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d ZeroPad2d ReflectionPad2d
ReplicationPad2d ConstantPad2d CosineSimilarity PairwiseDistance L1Loss MSELoss CrossEntropyLoss NLLLoss BCELoss
BCEWithLogitsLoss KLDivLoss SmoothL1Loss HuberLoss CTCLoss GaussianNLLLoss PoissonNLLLoss CosineEmbeddingLoss
HingeEmbeddingLoss MarginRankingLoss TripletMarginLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss DataParallel
AdaptiveLogSoftmaxWithLoss
"""

MODULE_ROOTS: frozenset[str] = frozenset(
    {
        *(f"torch.nn.{name}" for name in _NN_CLASSES.split() if not name.startswith("Parameter")),
        "torch.jit.ScriptModule",
        "gpytorch.Module",
        "mmcv.runner.BaseModule",
        "mmengine.model.BaseModel",
        "mmengine.model.BaseModule",
        "pyro.nn.PyroModule",
        "pyro.nn.module.PyroModule",
        *(
            f"{root}{module}.LightningModule"
            for root in LIGHTNING_ROOTS
            for module in ("", ".core", ".core.lightning", ".core.module")
        ),
    }
)
"""Classes whose `forward` is a model's."""

MAP_DATASET_ROOTS: frozenset[str] = frozenset(
    {
        *(f"torch.utils.data.{name}" for name in ("Dataset", "TensorDataset", "ConcatDataset", "Subset")),
        "torch_geometric.data.Dataset",
        "torchvision.datasets.VisionDataset",
        "torchvision.datasets.vision.VisionDataset",
        "torchvision.datasets.DatasetFolder",
        "torchvision.datasets.folder.DatasetFolder",
        "torchvision.datasets.ImageFolder",
        "torchvision.datasets.folder.ImageFolder",
    }
)
ITERABLE_DATASET_ROOTS: frozenset[str] = frozenset(
    f"torch.utils.data.{name}" for name in ("IterableDataset", "IterDataPipe", "ChainDataset")
)

_TUPLE_MODULE_NAMES = """
RNNBase RNN LSTM GRU RNNCellBase LSTMCell GRUCell RNNCell MultiheadAttention AdaptiveMaxPool1d AdaptiveMaxPool2d
AdaptiveMaxPool3d MaxPool1d MaxPool2d MaxPool3d FractionalMaxPool2d AdaptiveLogSoftmaxWithLoss
"""
TUPLE_MODULES: frozenset[str] = frozenset(f"torch.nn.{name}" for name in _TUPLE_MODULE_NAMES.split())
"""Modules of torch whose own `forward` gives a tuple, so that a subclass has to."""

_MOVED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^torch\.nn\.modules\.(?:\w+\.)?(?=[A-Z])", "torch.nn."),
        (r"^torch\.nn\.parallel\.(?:data_parallel\.)?(?=DataParallel$)", "torch.nn."),
        (r"^torch\.nn\.parallel\.distributed\.", "torch.nn.parallel."),
        (r"^torch\.nn\.parameter\.(?=[A-Z])", "torch.nn."),
        (
            r"^torch\.utils\.data\.(?:dataset|dataloader|sampler|distributed|datapipes\.datapipe)\.(?=[A-Z])",
            "torch.utils.data.",
        ),
        (r"^torch\.optim\.(?!lr_scheduler\.|swa_utils\.)\w+\.(?=[A-Z])", "torch.optim."),
        (r"^torch\.autograd\.(?:function|variable|anomaly_mode|grad_mode)\.(?=\w)", "torch.autograd."),
        (r"^torch\.amp\.(?:autocast_mode|grad_scaler)\.", "torch.amp."),
        (r"^torch\.cuda\.amp\.(?:autocast_mode|grad_scaler)\.", "torch.cuda.amp."),
        (r"^torch\.(?:_tensor|tensor)\.(?=Tensor\b)", "torch."),
        (r"^torch\.jit\._script\.(?=ScriptModule$)", "torch.jit."),
        (r"^torch\.functional\.", "torch."),
    )
)

_SYNONYMS: Mapping[str, str] = {
    "absolute": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "expit": "sigmoid",
    "gammaln": "lgamma",
    "ger": "outer",
    "greater": "gt",
    "greater_equal": "ge",
    "inverse": "inv",
    "less": "lt",
    "less_equal": "le",
    "moveaxis": "movedim",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "psi": "digamma",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "true_divide": "div",
}

_SIGNATURES = """
t abs absolute acos arccos acosh arccosh asin arcsin asinh arcsinh atan arctan atanh arctanh(input, *, out)
m abs absolute acos arccos acosh arccosh asin arcsin asinh arcsinh atan arctan atanh arctanh(input)
t angle ceil cos cosh floor frac log log10 log2 neg negative positive reciprocal rsqrt sgn sign sin sinh(input, *, out)
m angle ceil cos cosh floor frac log log10 log2 neg negative positive reciprocal rsqrt sgn sign sin sinh(input)
t sqrt square tan tanh trunc sigmoid exp msort(input, *, out)
m sqrt square tan tanh trunc sigmoid exp msort(input)
ts digamma erf erfc erfinv exp2 expm1 log1p sinc(input, *, out)
m digamma erf erfc erfinv exp2 expm1 log1p sinc lgamma(input)
t lgamma(input, *, out)
s entr expit log_ndtr ndtr ndtri gammaln psi i0 i1 erfcx(input, *, out)
tm isfinite isinf isnan logdet slogdet numel t(input)
tm relu relu_(input)
t selu_(input)
f sigmoid tanh logsigmoid softsign tanhshrink relu_(input)
f relu relu6 silu selu hardsigmoid hardswish mish(input, inplace)
f elu celu(input, alpha, inplace)
f leaky_relu(input, negative_slope, inplace)
f hardtanh(input, min_val, max_val, inplace)
f gelu(input, *, approximate)
f softplus(input, beta, threshold)
f glu(input, dim)
m softmax log_softmax(input, dim, dtype)
t softmax log_softmax(input, dim, dtype, *, out)
s softmax log_softmax(input, dim, *, dtype)
f softmax log_softmax softmin(input, dim, _stacklevel, dtype)
f gumbel_softmax(logits, tau, hard, eps, dim)
ts logsumexp(input, dim, keepdim, *, out)
m logsumexp(input, dim, keepdim)
t logcumsumexp(input, dim, *, out)
m logcumsumexp(input, dim)
t logaddexp logaddexp2 atan2 arctan2 hypot maximum minimum fmax fmin(input, other, *, out)
m logaddexp logaddexp2 atan2 arctan2 hypot maximum minimum fmax fmin(input, other)
ts xlogy(input, other, *, out)
m xlogy(input, other)
s xlog1py(input, other, *, out)
ts logit(input, eps, *, out)
m logit(input, eps)
t add sub subtract(input, other, *, alpha, out)
m add sub subtract(input, other, *, alpha)
t mul multiply fmod remainder floor_divide true_divide(input, other, *, out)
m mul multiply fmod remainder floor_divide true_divide(input, other)
t div divide(input, other, *, rounding_mode, out)
m div divide(input, other, *, rounding_mode)
t pow float_power(input, exponent, *, out)
m pow float_power(input, exponent)
t eq ne ge gt le lt greater greater_equal less less_equal not_equal logical_and logical_or(input, other, *, out)
m eq ne ge gt le lt greater greater_equal less less_equal not_equal logical_and logical_or(input, other)
t logical_not(input, *, out)
m logical_not(input)
t clamp clip(input, min, max, *, out)
m clamp clip(input, min, max)
t clamp_min(input, min, *, out)
m clamp_min(input, min)
t clamp_max(input, max, *, out)
m clamp_max(input, max)
t nan_to_num(input, nan, posinf, neginf, *, out)
m nan_to_num(input, nan, posinf, neginf)
t round(input, *, decimals, out)
m round(input, *, decimals)
t lerp(input, end, weight, *, out)
m lerp(input, end, weight)
t addcdiv addcmul(input, tensor1, tensor2, *, value, out)
m addcdiv addcmul(input, tensor1, tensor2, *, value)
t sum prod mean nansum nanmean(input, dim, keepdim, *, dtype, out)
m sum prod mean nansum nanmean(input, dim, keepdim, *, dtype)
t amax amin(input, dim, keepdim, *, out)
m amax amin(input, dim, keepdim)
t all any argmax argmin(input, dim, keepdim, *, out)
m all any argmax argmin(input, dim, keepdim)
t max min(input, dim_or_other, keepdim, *, dim, other, out)
m max min(input, dim_or_other, keepdim, *, dim, other)
t median nanmedian(input, dim, keepdim, *, out)
m median nanmedian(input, dim, keepdim)
t quantile(input, q, dim, keepdim, *, interpolation, out)
m quantile(input, q, dim, keepdim, *, interpolation)
t var std(input, dim, unbiased, keepdim, *, correction, out)
m var std(input, dim, unbiased, keepdim, *, correction)
t var_mean std_mean(input, dim, unbiased, keepdim, *, correction)
t cumsum cumprod(input, dim, *, dtype, out)
m cumsum cumprod(input, dim, *, dtype)
t count_nonzero(input, dim)
m count_nonzero(input, dim)
t norm(input, p, dim, keepdim, out, dtype)
m norm(input, p, dim, keepdim, dtype)
l norm(input, ord, dim, keepdim, *, dtype, out)
l vector_norm(input, ord, dim, keepdim, *, dtype, out)
l matrix_norm(input, ord, dim, keepdim, *, dtype, out)
l det inv slogdet svdvals eigvals(input, *, out)
l vecdot cross(input, other, *, dim, out)
t dist(input, other, p)
m dist(input, other, p)
tf cosine_similarity(x1, x2, dim, eps)
tf pairwise_distance(x1, x2, p, eps, keepdim)
t cdist(x1, x2, p, compute_mode)
f normalize(input, p, dim, eps, out)
t matmul mm bmm(input, other, *, out)
m matmul mm bmm(input, other)
t dot mv outer(input, other, *, out)
m dot mv outer(input, other)
t baddbmm(input, batch1, batch2, *, beta, alpha, out)
t einsum(equation, *operands)
t where(condition, input, other, *, out)
tm masked_fill(input, mask, value)
t masked_select(input, mask, *, out)
m masked_select(input, mask)
tm masked_scatter(input, mask, source)
t cat concat concatenate stack(tensors, dim, *, out)
t index_select(input, dim, index, *, out)
m index_select(input, dim, index)
t gather(input, dim, index, *, sparse_grad, out)
m gather(input, dim, index, *, sparse_grad)
t scatter scatter_add(input, dim, index, src, *, value, reduce, out)
m scatter scatter_add(input, dim, index, src, *, value, reduce)
t take_along_dim(input, indices, dim, *, out)
m take_along_dim(input, indices, dim)
tm unsqueeze unbind(input, dim)
tm squeeze(input, dim)
tm transpose(input, dim0, dim1)
tm swapaxes swapdims(input, dim0, dim1)
tm flatten(input, start_dim, end_dim)
t permute(input, dims)
t reshape(input, shape)
m view reshape(input, *shape)
m permute(input, *dims)
m expand(input, *size)
m repeat(input, *repeats)
m expand_as view_as reshape_as type_as(input, other)
t flip(input, dims)
m flip(input, *dims)
tm chunk(input, chunks, dim)
tm split(input, split_size_or_sections, dim)
tm narrow(input, dim, start, length)
tm select(input, dim, index)
tm roll(input, shifts, dims)
t triu tril(input, diagonal, *, out)
m triu tril(input, diagonal)
t topk(input, k, dim, largest, sorted, *, out)
m topk(input, k, dim, largest, sorted)
t sort(input, dim, descending, *, stable, out)
m sort(input, dim, descending, *, stable)
tm detach(input)
t clone(input, *, memory_format)
m clone contiguous float double half bfloat16(input, *, memory_format)
m cpu(input, *, memory_format)
m to(input, *arguments, dtype, device, non_blocking, copy, memory_format)
m item tolist numpy(input)
m requires_grad_(input, requires_grad)
m fill_(input, value)
m copy_(input, src, non_blocking)
m zero_(input)
m uniform_(input, from, to, *, generator)
m normal_(input, mean, std, *, generator)
t full(size, fill_value, *, dtype, device, requires_grad, layout, out)
t full_like(input, fill_value, *, dtype, device, requires_grad, layout, memory_format)
t zeros ones rand randn(*size, generator, dtype, device, requires_grad, layout, pin_memory, out)
t zeros_like ones_like rand_like randn_like(input, *, dtype, device, requires_grad, layout, memory_format)
t tensor as_tensor(data, *, dtype, device, requires_grad, pin_memory)
t arange(start_or_end, end, step, *, start, dtype, device, requires_grad, layout, out)
t linspace(start, end, steps, *, dtype, device, requires_grad, layout, out)
t bernoulli(input, *, generator, out)
m bernoulli(input, *, generator)
t multinomial(input, num_samples, replacement, *, generator, out)
m multinomial(input, num_samples, replacement, *, generator)
f cross_entropy(input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing)
f nll_loss(input, target, weight, size_average, ignore_index, reduce, reduction)
f binary_cross_entropy(input, target, weight, size_average, reduce, reduction)
f binary_cross_entropy_with_logits(input, target, weight, size_average, reduce, reduction, pos_weight)
f mse_loss l1_loss(input, target, size_average, reduce, reduction, weight)
f smooth_l1_loss(input, target, size_average, reduce, reduction, beta)
f huber_loss(input, target, reduction, delta, weight)
f kl_div(input, target, size_average, reduce, reduction, log_target)
f gaussian_nll_loss(input, target, var, full, eps, reduction)
f poisson_nll_loss(input, target, log_input, full, size_average, eps, reduce, reduction)
f linear(input, weight, bias)
tf conv1d conv2d conv3d(input, weight, bias, stride, padding, dilation, groups)
f layer_norm(input, normalized_shape, weight, bias, eps)
f rms_norm(input, normalized_shape, weight, eps)
f group_norm(input, num_groups, weight, bias, eps)
f batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
f instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
f dropout(input, p, training, inplace)
f embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
f one_hot(input, num_classes)
f pad(input, pad, mode, value)
f interpolate(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
f adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d(input, output_size)
f avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
f scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, *, scale, enable_gqa)
t deg2rad rad2deg bitwise_not isneginf isposinf(input, *, out)
m deg2rad rad2deg bitwise_not isneginf isposinf(input)
s exp2 expm1 log1p i0e i1e bessel_j0 bessel_j1(input, *, out)
t bitwise_and bitwise_or bitwise_xor logical_xor copysign ldexp(input, other, *, out)
m bitwise_and bitwise_or bitwise_xor logical_xor copysign ldexp(input, other)
t isclose allclose(input, other, rtol, atol, equal_nan)
m isclose allclose(input, other, rtol, atol, equal_nan)
tm equal(input, other)
t rsub(input, other, *, alpha)
t heaviside(input, values, *, out)
m heaviside(input, values)
f threshold(input, threshold, value, inplace)
f hardshrink softshrink(input, lambd)
f prelu(input, weight)
f rrelu(input, lower, upper, training, inplace)
t aminmax(input, *, dim, keepdim, out)
m aminmax(input, *, dim, keepdim)
t cummax cummin(input, dim, *, out)
m cummax cummin(input, dim)
t kthvalue(input, k, dim, keepdim, *, out)
m kthvalue(input, k, dim, keepdim)
t mode(input, dim, keepdim, *, out)
m mode(input, dim, keepdim)
t nanquantile(input, q, dim, keepdim, *, interpolation, out)
m nanquantile(input, q, dim, keepdim, *, interpolation)
t diff(input, n, dim, prepend, append, *, out)
m diff(input, n, dim, prepend, append)
tm trace(input)
t argsort(input, dim, descending, *, stable)
m argsort(input, dim, descending, *, stable)
t bincount(input, weights, minlength)
m bincount(input, weights, minlength)
t bucketize(input, boundaries, *, out_int32, right, out)
t searchsorted(sorted_sequence, values, *, out_int32, right, side, sorter, out)
tm argwhere(input)
t nonzero(input, *, out, as_tuple)
m nonzero(input, *, as_tuple)
t unique(input, sorted, return_inverse, return_counts, dim)
m unique(input, sorted, return_inverse, return_counts, dim)
t unique_consecutive(input, return_inverse, return_counts, dim)
m unique_consecutive(input, return_inverse, return_counts, dim)
t diag(input, diagonal, *, out)
m diag(input, diagonal)
tm diag_embed(input, offset, dim1, dim2)
tm diagonal(input, offset, dim1, dim2)
t meshgrid(*tensors, indexing)
t hstack vstack dstack column_stack(tensors, *, out)
tm movedim moveaxis(input, source, destination)
tm ravel adjoint fliplr flipud(input)
t atleast_1d atleast_2d atleast_3d(*input)
tm broadcast_to(input, shape)
tm unflatten(input, dim, sizes)
t tile(input, dims)
m tile(input, *dims)
tm rot90(input, k, dims)
tm repeat_interleave(input, repeats, dim, *, output_size)
tm tensor_split(input, indices_or_sections, dim)
t take(input, index)
m take(input, indices)
m unfold(input, dim, size, step)
tm index_fill(input, dim, index, value)
tm index_copy(input, dim, index, source)
tm index_add(input, dim, index, source, *, alpha)
t index_put(input, indices, values, accumulate)
m index_put(input, indices, values, accumulate)
tm scatter_reduce(input, dim, index, src, reduce, *, include_self)
t addmm(input, mat1, mat2, *, beta, alpha, out)
m addmm(input, mat1, mat2, *, beta, alpha)
t addmv(input, mat, vec, *, beta, alpha, out)
m addmv(input, mat, vec, *, beta, alpha)
t addbmm(input, batch1, batch2, *, beta, alpha, out)
m addbmm baddbmm(input, batch1, batch2, *, beta, alpha)
t addr(input, vec1, vec2, *, beta, alpha, out)
m addr(input, vec1, vec2, *, beta, alpha)
t inner vdot ger kron(input, other, *, out)
m inner vdot ger kron(input, other)
t tensordot(input, other, dims, out)
t cross(input, other, dim, *, out)
m cross(input, other, dim)
l multi_dot(tensors, *, out)
l matmul(input, other, *, out)
l matrix_exp(input)
l eigvalsh eigh(input, UPLO, *, out)
l cholesky(input, *, upper, out)
l pinv(input, rtol, *, atol, rcond, hermitian, out)
l cond(input, p, *, out)
l matrix_rank(input, tol, hermitian, *, atol, rtol, out)
l matrix_power(input, n, *, out)
l solve(input, B, *, left, out)
l qr(input, mode, *, out)
l svd(input, full_matrices, *, driver, out)
t det inverse(input, *, out)
m det inverse matrix_exp(input)
t cov(input, *, correction, fweights, aweights)
m cov(input, *, correction, fweights, aweights)
tm corrcoef(input)
tm renorm(input, p, dim, maxnorm)
f pdist(input, p)
m long int short byte char bool(input, *, memory_format)
m cuda(input, device, non_blocking, memory_format)
m type(input, dtype, non_blocking)
m size(input, dim)
m dim nelement(input)
m new_zeros new_ones new_empty(input, *size, dtype, device, requires_grad, layout, pin_memory)
m new_full(input, size, fill_value, *, dtype, device, requires_grad, layout, pin_memory)
m new_tensor(input, data, *, dtype, device, requires_grad, layout, pin_memory)
t empty(*size, out, dtype, layout, device, requires_grad, pin_memory, memory_format)
t empty_like(input, *, dtype, device, requires_grad, layout, memory_format)
t scalar_tensor(data, *, dtype, device, requires_grad, layout, pin_memory)
t from_numpy(ndarray)
t eye(n, m, *, dtype, device, requires_grad, layout, out)
t logspace(start, end, steps, base, *, dtype, device, requires_grad, layout, out)
t normal(mean, std, size, *, generator, dtype, device, requires_grad, layout, out)
t randint(low_or_high, high, size, *, low, generator, dtype, device, requires_grad, layout, out)
t randint_like(input, low_or_high, high, *, low, dtype, device, requires_grad, layout, memory_format)
t randperm(n, *, generator, dtype, device, requires_grad, layout, pin_memory, out)
f soft_margin_loss(input, target, size_average, reduce, reduction)
f multilabel_margin_loss(input, target, size_average, reduce, reduction)
f multilabel_soft_margin_loss(input, target, weight, size_average, reduce, reduction)
f multi_margin_loss(input, target, p, margin, weight, size_average, reduce, reduction)
f hinge_embedding_loss(input, target, margin, size_average, reduce, reduction)
f margin_ranking_loss cosine_embedding_loss(input1, input2, target, margin, size_average, reduce, reduction)
f triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, size_average, reduce, reduction)
f triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function, margin, swap, reduction)
f ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity)
f bilinear(input1, input2, weight, bias)
tf conv_transpose1d conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)
tf conv_transpose3d(input, weight, bias, stride, padding, output_padding, groups, dilation)
f local_response_norm(input, size, alpha, beta, k)
f dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout(input, p, training, inplace)
f max_pool1d max_pool2d max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
f adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d(input, output_size, return_indices)
f avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)
f avg_pool3d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
f lp_pool1d lp_pool2d lp_pool3d(input, norm_type, kernel_size, stride, ceil_mode)
f grid_sample(input, grid, mode, padding_mode, align_corners)
f pixel_shuffle(input, upscale_factor)
f pixel_unshuffle(input, downscale_factor)
f fold(input, output_size, kernel_size, dilation, padding, stride)
f unfold(input, kernel_size, dilation, padding, stride)
"""
