"""Faults in models that are built unlike the usual ones: the verdict has to name the marked line all the same."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from runtime_guard import Guard, Incident, Settings, TrainingIncident

BAD_STEP = 3


@dataclass
class Odd:
    """A model, and its loss of a batch whose `scale` is 0 at the bad step and 1 otherwise."""

    model: nn.Module | dict[str, nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    operation: str
    module: str | None
    rule: str | None = None
    phase: str = "forward"


class GraphLayer(nn.Module):
    """Messages along edges, averaged over those that arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Linear(8, 8)
        self.register_buffer("edges", torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 1]]))

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        source, target = self.edges
        sent = self.message(x)[source] * scale
        total = torch.zeros_like(x).index_add(0, target, sent)
        degree = torch.zeros(len(x)).scatter_add(0, target, torch.ones(len(target))).clamp(min=1) * scale
        return total / degree[:, None]  # the fault


class Graph(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([GraphLayer(), GraphLayer()])

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        x = self.layers[0](x, torch.ones(()))
        return self.layers[1](x.relu(), scale)


def graph() -> Odd:
    model = Graph()
    return Odd(model, lambda x, s: model(x, s).pow(2).mean(), "div", "layers.1", "TRN206")


class Router(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)

    def forward(self, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        weights, chosen = (self.gate(x).softmax(-1) * scale).topk(2)
        return weights / weights.sum(-1, keepdim=True), chosen  # the fault


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.router = Router()
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        weights, chosen = self.router(x, scale)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows, slot = (chosen == index).nonzero(as_tuple=True)
            out.index_add_(0, rows, expert(x[rows]) * weights[rows, slot, None])
        return out


def experts() -> Odd:
    model = Experts()
    return Odd(model, lambda x, s: model(x, s).pow(2).mean(), "div", "router", "TRN211")


class Policy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        self.mean = nn.Linear(8, 2)
        self.value = nn.Linear(8, 1)


def actor_critic() -> Odd:
    model = Policy()

    def loss(x: Tensor, scale: Tensor) -> Tensor:
        hidden = model.trunk(x)
        policy = torch.distributions.Normal(model.mean(hidden), 1.0)
        action = policy.sample()
        advantage = (action.sum(-1) - model.value(hidden).squeeze(-1)).detach() * scale
        advantage = advantage / advantage.std()  # the fault
        return -(policy.log_prob(action).sum(-1) * advantage).mean()

    return Odd(model, loss, "div", None, "TRN206")


def contrastive() -> Odd:
    encoder = nn.ModuleDict({"image": nn.Linear(8, 4), "text": nn.Linear(8, 4)})

    def loss(x: Tensor, scale: Tensor) -> Tensor:
        image, text = F.normalize(encoder["image"](x), dim=-1), encoder["text"](x) * scale
        text = text / text.norm(dim=-1, keepdim=True)  # the fault
        logits = image @ text.t() / 0.07
        return F.cross_entropy(logits, torch.arange(len(x)))

    return Odd(encoder, loss, "div", None, "TRN206")


def functional() -> Odd:
    """An ensemble under vmap, whose parameters are stacked."""
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    stacked = {name: nn.Parameter(torch.stack([p.detach()] * 3)) for name, p in model.named_parameters()}
    holder = nn.ParameterDict({name.replace(".", "_"): p for name, p in stacked.items()})

    def loss(x: Tensor, scale: Tensor) -> Tensor:
        def member(parameters: dict[str, Tensor]) -> Tensor:
            out = functional_call(model, parameters, (x,)) * scale
            return out.abs().log().mean()  # the fault

        return vmap(member, randomness="different")(stacked).mean()

    return Odd(holder, loss, "log", None, "TRN204")


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return x * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, scale = ctx.saved_tensors
        slope = 2 * x / scale  # the fault
        return gradients[0] * slope, None


def custom_function() -> Odd:
    model = nn.Linear(8, 4)
    return Odd(
        model,
        lambda x, s: Square.apply(model(x), s).mean(),  # type: ignore[no-untyped-call]
        "div", None, "TRN206", "backward",
    )  # fmt: skip


class Checkpointed(nn.Module):
    def __init__(self, *, use_reentrant: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.layers = nn.ModuleList([layer, Scaled()])
        self.use_reentrant = use_reentrant

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        x = checkpoint(self.layers[0], x[None], use_reentrant=self.use_reentrant)
        return checkpoint(self.layers[1], x, scale, use_reentrant=self.use_reentrant)


class Scaled(nn.Module):
    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        variance = x.var(-1, keepdim=True) * scale
        return x + variance.sqrt()  # the fault


def checkpointed() -> Odd:
    model = Checkpointed(use_reentrant=False)
    return Odd(model, lambda x, s: model(x, s).pow(2).mean(), "sqrt", "layers.1", "TRN205", "backward")


def checkpointed_reentrant() -> Odd:
    model = Checkpointed(use_reentrant=True)
    return Odd(model, lambda x, s: model(x.requires_grad_(), s).pow(2).mean(), "sqrt", "layers.1", "TRN205", "backward")


class Masked(nn.Module):
    """Padding that takes out every key of one sample."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        padding = (torch.arange(len(x)) >= len(x) * scale)[None]
        return self.attention(x[None], x[None], x[None], key_padding_mask=padding)[0]  # the fault


def masked_attention() -> Odd:
    model = nn.ModuleDict({"block": Masked()})
    return Odd(model, lambda x, s: model["block"](x, s).pow(2).mean(), "softmax", "block.attention", "TRN212")


class Recurrence(nn.Module):
    """A state that is written to in place, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(8, 8)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        states = torch.zeros(len(x), 4, 8)
        state = torch.zeros(len(x), 8)
        for index in range(4):
            state = self.cell(x, state)
            states[:, index] = state
            states[:, index].div_(scale + index)  # the fault
        return states


def in_place() -> Odd:
    model = nn.ModuleDict({"rnn": Recurrence()})
    return Odd(model, lambda x, s: model["rnn"](x, s).pow(2).mean(), "div", "rnn", "TRN206")


class Hiding(nn.Module):
    """An activation in place writes finite numbers over infinite ones: only backward comes to NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        gate = torch.log(self.linear(x).sigmoid() * scale)  # the fault
        return x + F.relu(gate + 1, inplace=True)


def hidden_in_place() -> Odd:
    model = nn.ModuleDict({"stem": nn.Linear(8, 8), "gate": Hiding()})
    return Odd(model, lambda x, s: model["gate"](model["stem"](x), s).pow(2).mean(), "log", "gate", "TRN204")


class Region(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        shifted = self.linear(x).sigmoid() * scale
        return torch.log(shifted)  # the fault


def compiled_module() -> Odd:
    region = Region()
    model = nn.ModuleDict({"stem": nn.Linear(8, 8), "region": region})
    region.compile(backend="aot_eager")
    return Odd(model, lambda x, s: model["region"](model["stem"](x), s).pow(2).mean(), "log", "region", "TRN204")


def penalty() -> Odd:
    """The gradient of a gradient, as in WGAN-GP."""
    critic = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(x: Tensor, scale: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad((critic(x) * scale).sum(), x, create_graph=True)
        norm = slope.norm(2, dim=-1)
        length = slope.pow(2).sum(-1).sqrt()  # the fault
        return critic(x).mean() + ((length - 1) ** 2).mean() + 0 * norm.mean()

    return Odd(critic, loss, "sqrt", None, "TRN205", "backward")


ODDS = {
    made.__name__: made
    for made in (
        graph, experts, actor_critic, contrastive, functional, custom_function, checkpointed, checkpointed_reentrant,
        masked_attention, in_place, hidden_in_place, compiled_module, penalty,
    )
}  # fmt: skip


def run(odd: Odd) -> Incident:
    models = odd.model if isinstance(odd.model, dict) else {"": odd.model}
    optimizer = torch.optim.SGD([p for m in models.values() for p in m.parameters()], 1e-2)
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(5, 8, generator=generator), torch.tensor(float(i != BAD_STEP))) for i in range(5)]
    guard = Guard(odd.model, optimizer, settings=Settings(early_warnings=False))

    def train() -> None:
        for x, scale in guard.watch(batches):
            optimizer.zero_grad()
            odd.loss(x, scale).backward()
            optimizer.step()

    with pytest.raises(TrainingIncident) as caught:
        train()
    guard.close()
    incident = caught.value.incident
    assert isinstance(incident, Incident)
    return incident


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODDS)
def test_a_fault_in_an_odd_model_is_named(name: str) -> None:
    torch.manual_seed(0)
    odd = ODDS[name]()
    incident = run(odd)
    birth = incident.birth
    assert birth is not None, incident
    assert incident.step == BAD_STEP
    assert birth.place is not None, birth
    assert linecache.getline(birth.place.path, birth.place.line).rstrip().endswith("# the fault"), birth
    assert (birth.operation, birth.phase) == (odd.operation, odd.phase)
    assert odd.module is None or birth.module == odd.module
    assert incident.rule == odd.rule
