"""Fixes that only free memory or move a call leave training as it is, bit by bit; those of scalers repair it."""

from __future__ import annotations

import math

import pytest

from tests.rules.test_loop_fixes_train import SETUP, fixed, outcome

torch = pytest.importorskip("torch")

LEAKING = """\
def train():
    model, batches = parts()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    total, losses, sizes = 0.0, [], []
    for x, target in batches:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), target)
        loss.backward()
        optimizer.step()
        total += loss
        losses.append(loss)
    return float(total), [each.item() for each in losses], total.requires_grad, model[0].weight.tolist()
"""

EVALUATING = """\
def evaluate(model, val_loader):
    total = 0.0
    model.eval()
    for x, target in val_loader:
        total += F.mse_loss(model(x), target).item()
    model.train()
    return total


def train():
    model, batches = parts()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for _ in range(3):
        for x, target in batches:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), target)
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        history.append(evaluate(model, batches))
    return history
"""

ADVERSARIAL = """\
def train():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    discriminator = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=0.01)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    history = []
    for real in torch.randn(20, 16, 2):
        fake = generator(torch.randn(16, 2))
        fake_score = discriminator(fake)
        d_loss = F.softplus(-discriminator(real)).mean() + F.softplus(fake_score).mean()
        discriminator.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        generator.zero_grad()
        fake = generator(torch.randn(16, 2))
        g_loss = F.softplus(-discriminator(fake)).mean()
        g_loss.backward()
        g_optimizer.step()
        history += [d_loss.item(), g_loss.item()]
    return history
"""

IN_AUTOCAST = """\
def train():
    model, batches = parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history = []
    for x, target in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.mse_loss(model(x), target)
            loss.backward()
            optimizer.step()
            history.append(loss.item())
    return history
"""


LOADED = """\
from torch.utils.data import DataLoader, Dataset


class Stored(Dataset):
    def __init__(self, folder):
        self.folder = folder

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return torch.load(f"{self.folder}/{index}.pt")


def train():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return train_on(folder)


def train_on(folder):
    model, batches = parts()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    for index, x in enumerate(torch.randn(16, 4)):
        torch.save(x, f"{folder}/{index}.pt")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader(Stored(folder), batch_size=4, shuffle=True)
    losses = []
    for _ in range(2):
        for x in loader:
            loss = model(x.to(device)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses
"""


@pytest.mark.parametrize(
    ("rule", "code"),
    [("TRN403", EVALUATING), ("TRN403", ADVERSARIAL)],
    ids=["no_grad", "detached sample"],
)
def test_a_neutral_fix_changes_no_bit(rule: str, code: str) -> None:
    assert outcome(fixed(rule, code, unsafe=False)) == outcome(SETUP + code)


def test_loading_beside_the_training_changes_no_bit() -> None:
    assert outcome(fixed("TRN412", LOADED)) == outcome(SETUP + LOADED)


def test_detached_losses_are_the_same_numbers_without_a_graph() -> None:
    before, after = outcome(SETUP + LEAKING), outcome(fixed("TRN402", LEAKING, unsafe=False))
    assert (before[0], before[1], before[3]) == (after[0], after[1], after[3])
    assert before[2]
    assert not after[2]


def test_backward_behind_the_autocast_block_changes_no_bit() -> None:
    code = IN_AUTOCAST.replace("            history", "        history")
    assert outcome(fixed("TRN305", code, unsafe=False)) == outcome(SETUP + code)


def test_a_clip_before_the_step_bounds_it() -> None:
    code = """\
def train():
    weight = torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    moves = []
    for factor in (1.0, 100.0, 1.0):
        before = weight.item()
        optimizer.zero_grad()
        loss = (factor * weight).sum()
        loss.backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_([weight], 0.5)
        moves.append(abs(weight.item() - before))
    return max(moves)
"""
    assert outcome(SETUP + code) == pytest.approx(100.0)
    assert outcome(fixed("TRN405", code)) == pytest.approx(0.5, rel=1e-4)


def test_a_scheduler_behind_the_optimizer_uses_the_first_rate() -> None:
    code = """\
def train():
    model, batches = parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.1)
    rates = []
    for epoch in range(3):
        scheduler.step()
        for x, target in batches:
            optimizer.zero_grad()
            F.mse_loss(model(x), target).backward()
            optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates
"""
    assert outcome(SETUP + code) == pytest.approx([0.01, 0.01, 0.001])
    assert outcome(fixed("TRN404", code)) == pytest.approx([0.1, 0.01, 0.01])


SCALED = """\
def train():
    weight = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0, growth_interval=2)
    for _ in range(4):
        optimizer.zero_grad()
        loss = weight.sum()
        scaler.scale(loss).backward()
        torch.nn.utils.clip_grad_norm_([weight], 10.0)
        scaler.step(optimizer)
        scaler.update()
    return weight.item(), scaler.get_scale()
"""


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("TRN302", "scaler.scale(loss).backward()", "loss.backward()"),
        ("TRN303", "", ""),
        ("TRN304", "scaler.step(optimizer)", "optimizer.step()"),
        ("TRN304", "        scaler.update()\n", ""),
    ],
    ids=["unscaled backward", "clip of scaled gradients", "step past the scaler", "no update"],
)
def test_what_goes_through_the_scaler_steps_as_in_float32(rule: str, right: str, wrong: str) -> None:
    # Without the clip where it is not at stake; four steps of 0.1 along a gradient of 1.
    clip = "        torch.nn.utils.clip_grad_norm_([weight], 10.0)\n"
    code = SCALED if rule == "TRN303" else SCALED.replace(clip, "").replace(right, wrong)
    expected = (pytest.approx(0.6, rel=1e-4), 4 * 65536.0)
    try:
        before = outcome(SETUP + code)
    except (AssertionError, RuntimeError):
        # torch itself refuses: no inf checks were recorded, or `step` was called twice.
        before = (math.nan, 0.0)
    assert before != expected
    assert outcome(fixed(rule, code)) == expected


def test_a_scaler_saves_gradients_from_underflow() -> None:
    # Gradients of the output are about 1e-9, which float16 has no number for.
    factor = 1e-8
    code = f"""\
def train(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05 / {factor})
    losses = []
    for x in torch.randn(60, 16, 4):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            error = model(x).float() - x.sum(dim=1, keepdim=True)
            loss = {factor} * (error * error).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item() / {factor})
    return losses
"""
    unscaled, scaled = outcome(SETUP + code), outcome(fixed("TRN301", code))
    exact = outcome(SETUP + code.replace("torch.autocast(", "torch.autocast(enabled=False, device_type="))
    assert scaled[-1] == pytest.approx(exact[-1], rel=0.05)
    assert unscaled[-1] > 2 * exact[-1]


def test_the_names_that_torch_has_now_compute_the_same() -> None:
    code = """\
from torch.cpu.amp import autocast
from torch.cuda.amp import GradScaler


def train():
    model, batches = parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = GradScaler()
    history = []
    for x, target in batches:
        optimizer.zero_grad()
        with autocast(dtype=torch.bfloat16):
            loss = F.mse_loss(model(x), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        history.append(loss.item())
    return history
"""
    assert ".cpu.amp" not in fixed("TRN307", code)
    assert ".cuda.amp" not in fixed("TRN307", code)
    before, after = outcome(SETUP + code), outcome(fixed("TRN307", code))
    assert before == after
    assert before != outcome(SETUP + code.replace("bfloat16", "float32"))


def test_a_training_without_anomaly_detection_computes_the_same() -> None:
    code = """\
torch.autograd.set_detect_anomaly(True)


def train():
    model, batches = parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history = []
    for x, target in batches:
        with torch.autograd.detect_anomaly():
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), target)
            loss.backward()
            optimizer.step()
        history.append(loss.item())
    return history, model[0].weight.tolist()
"""
    try:
        before = outcome(SETUP + code)
        assert torch.is_anomaly_enabled()
    finally:
        torch.autograd.set_detect_anomaly(False)
    after = outcome(fixed("TRN406", code))
    assert not torch.is_anomaly_enabled()
    assert before == after


def test_a_scheduler_waits_for_the_steps_that_the_scaler_leaves_out() -> None:
    """Of six steps the first two overflow: scaled, they are beyond float32."""
    code = """\
def train():
    weight = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=100)
    rates, values = [], []
    for _ in range(6):
        optimizer.zero_grad()
        rates.append(optimizer.param_groups[0]["lr"])
        scaler.scale(weight.sum() * 4).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        values.append(weight.item())
    return rates, values
"""
    (early, _), (rates, values) = outcome(SETUP + code), outcome(fixed("TRN309", code))
    num_left_out = values.count(1.0)
    assert 0 < num_left_out < 4
    assert early == [0.5**step for step in range(6)]
    assert rates == [*[1.0] * num_left_out, *(0.5**step for step in range(6 - num_left_out))]


def test_bfloat16_needs_no_scaler() -> None:
    """Scales are powers of two: without one, as long as nothing overflows, each number is the same."""
    code = """\
def train():
    model, batches = parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    history = []
    for x, target in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.mse_loss(model(x), target)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        history.append(loss.item())
    return history, model[0].weight.tolist(), scaler.is_enabled()
"""
    (before, weight, was_on), (after, weight_after, is_on) = outcome(SETUP + code), outcome(fixed("TRN310", code))
    assert (before, weight) == (after, weight_after)
    assert (was_on, is_on) == (True, False)


CLASSIFYING = """\
def train(seed=0):
    torch.manual_seed(seed)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    x = torch.randn(64, 4)
    target = x[:, :3].argmax(dim=1)
    for _ in range(60):
        optimizer.zero_grad()
        scores = model(x)
        loss = LOSS
        loss.backward()
        optimizer.step()
    return F.cross_entropy(model(x), target).item()
"""


@pytest.mark.parametrize(
    "loss",
    [
        "F.cross_entropy(torch.softmax(scores, dim=1), target)",
        "F.cross_entropy(F.log_softmax(scores, dim=1).softmax(dim=1), target)",
        "F.binary_cross_entropy_with_logits(torch.sigmoid(scores), F.one_hot(target, 3).float())",
    ],
)
def test_a_loss_that_is_given_logits_learns_faster(loss: str) -> None:
    code = CLASSIFYING.replace("LOSS", loss)
    before, after = outcome(SETUP + code), outcome(fixed("TRN407", code))
    assert after < 0.8 * before
