"""Stalls and their causes: recordings made up for each cause, and for none; certificates of states that are known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from saddlescope.watch import KINDS, Recording, certify_jax, certify_torch, diagnose, find_stalls, report
from saddlescope.watch.card import PAST, STILL
from saddlescope.watch.certificate import extremes, norm_growth
from saddlescope.watch.consistency import seen_gradients
from saddlescope.watch.evidence import gather, growth
from saddlescope.watch.insertion import Place, felt_by

STEPS = 1000
STEP = np.arange(0, STEPS, 10)
WEIGHTS = {"a": (8, 8), "b": (8, 8)}
LAYERS = ("a",)


def made(loss, *, gradient=1.0, norms=3.0, variation=None, rate=0.1, probe=True, measures=None, facts=None, **more):
    """A recording of two matrices; `loss` of a step, the others numbers or arrays over snapshots."""
    every = np.arange(STEPS)
    losses = np.asarray([loss(s) for s in every], float)
    k = STEP.size
    wide = np.broadcast_to(np.asarray(gradient, float), (k,))[:, None] / np.sqrt(2) * np.ones((1, 2))
    size = np.broadcast_to(np.asarray(norms, float), (k,))[:, None] / np.sqrt(2) * np.ones((1, 2))
    seen = {name: np.full((k, 1), float(value)) for name, value in (measures or {}).items()}
    fields = {
        "probe_loss": losses[STEP] if probe else np.full(k, np.nan),
        "variation": np.full(k, np.nan) if variation is None else np.broadcast_to(np.asarray(variation, float), (k,)),
        "gradient_norm": wide,
        "weight_norm": size * (1 + 1e-6 * STEP[:, None]),
        "learning_rate": np.broadcast_to(np.asarray(rate, float), (k,)),
        "measures": seen,
        "facts": facts or {},
    }
    return Recording.of(step=STEP, loss_step=every, loss=losses, weights=WEIGHTS, layers=LAYERS, **(fields | more))


def step_down(at, high=2.0, low=0.2, width=15.0):
    return lambda s: low + (high - low) / (1 + np.exp(min(max((s - at) / width, -60.0), 60.0)))


def noise(seed, size=0.01, level=1.0):
    values = level + size * np.random.default_rng(seed).standard_normal(STEPS)
    return lambda s: values[int(s)]


GROWING = 1e-4 * np.exp(np.minimum(STEP, 600) / 100)
CASES = {
    "saddle": lambda: made(step_down(600), gradient=2 * GROWING, variation=GROWING, norms=1.0),
    "converged": lambda: made(lambda s: 2 * np.exp(-s / 30) + 1e-6, gradient=2 * np.exp(-STEP / 60) + 1e-6),
    "small learning rate": lambda: made(lambda s: 2 - 1e-7 * s, rate=1e-7),
    "large learning rate": lambda: made(lambda s: 1.0 + 0.3 * (-1) ** s, probe=False, gradient=5.0),
    "dead units": lambda: made(lambda s: 2.0 - 1e-6 * s, measures={"dead": 1.0}),
    "saturated units": lambda: made(lambda s: 2.0 - 1e-6 * s, measures={"saturated": 0.95}),
    "epochs": lambda: made(
        lambda s: 2 * 0.6 ** (s // 125) + 1e-3 * np.sin(s),
        probe=False,
        gradient=np.nan,
        facts={"batches_per_epoch": 125},
    ),
    "schedule": lambda: made(step_down(510), rate=np.where(STEP < 500, 1e-4, 1e-1)),
    "frozen": lambda: made(
        lambda s: 2.0, gradient=0.0, frozen=np.array([True, True]), weight_norm=np.ones((STEP.size, 2))
    ),
    "noise": lambda: made(noise(0, 0.05), probe=False, gradient=1.0),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_stall_is_called_what_it_was_made_as(kind):
    cards = diagnose(CASES[kind]())
    assert cards
    longest = max(cards, key=lambda card: card.stall.end - card.stall.start)
    assert longest.kind == kind, longest
    # the loss that is made as converged is still falling exponentially
    assert longest.advice == {"converged": STILL, "saddle": PAST["saddle"]}.get(kind, KINDS[kind])
    assert any(character.isdigit() for character in longest.sentence)


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind != "saddle"])
def test_no_other_stall_is_called_a_saddle(kind):
    assert all(card.kind != "saddle" for card in diagnose(CASES[kind]()))


# the same recordings with their evidence taken away or turned round
SHOWN_WRONG = {
    "saddle without growth": lambda: made(step_down(600), gradient=2e-4, variation=1e-4, norms=1.0),
    "saddle far from rest": lambda: made(
        step_down(600), gradient=20.0 + STEP / 100, variation=1.0, norms=10.0, rate=1e-9
    ),
    "nothing but a loss": lambda: made(step_down(600), gradient=np.nan, norms=np.nan, rate=np.nan),
}


@pytest.mark.parametrize("name", SHOWN_WRONG)
def test_without_evidence_nothing_is_said(name):
    cards = diagnose(SHOWN_WRONG[name]())
    assert cards
    assert {card.kind for card in cards} <= {"unknown", "small learning rate", "converged"}, [
        card.sentence for card in cards
    ]


@pytest.mark.parametrize(("kind", "measure"), [("dead units", "dead"), ("saturated units", "saturated")])
def test_half_of_the_units_hold_no_loss(kind, measure):
    assert all(card.kind != kind for card in diagnose(made(lambda s: 2.0 - 1e-6 * s, measures={measure: 0.5})))


def test_a_schedule_that_changes_elsewhere_is_no_cause():
    elsewhere = made(step_down(510), rate=np.where(STEP < 100, 1e-4, 1e-1))
    assert all(card.kind != "schedule" for card in diagnose(elsewhere))


# ---------------------------------------------------------------------------------------------------------------- stalls


@pytest.mark.parametrize("probe", [True, False])
def test_white_noise_has_no_staircase(probe):
    # 40 seeds a kind: one stall, of all of it, and no step inside
    for seed in range(40):
        stalls = find_stalls(made(noise(seed, 0.03), probe=probe))
        assert [s.ongoing for s in stalls] == [True]
        assert stalls[0].end - stalls[0].start > 0.9 * STEPS


@pytest.mark.parametrize("size", [0.0, 0.02, 0.1])
def test_a_staircase_in_noise_is_found(size):
    rng = np.random.default_rng(5)
    scatter = size * rng.standard_normal(STEPS)

    def loss(s):
        return step_down(300, 1.0, 0.0)(s) + step_down(700, 1.0, 0.0)(s) + scatter[int(s)]

    stalls = find_stalls(made(loss, probe=False))
    assert [round(s.height, 0) for s in stalls] == [2.0, 1.0, 0.0]
    assert [s.ongoing for s in stalls] == [False, False, True]
    assert stalls[0].end < 300 < stalls[1].start < stalls[1].end < 700 < stalls[2].start
    assert all(s.confidence > 0.95 for s in stalls)


def test_a_loss_that_always_falls_has_no_stall():
    assert find_stalls(made(lambda s: 2.0 * np.exp(-s / 800))) == ()


def test_too_few_losses_are_said_to_be_too_few(tmp_path):
    few = Recording.of(loss_step=[0, 1, 2], loss=[1.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="8 finite losses"):
        find_stalls(few)
    told = report(few, tmp_path)
    assert "8 finite losses" in str(told)
    assert json.loads((tmp_path / "summary.json").read_text())["problem"]


def test_evidence_is_what_it_says():
    r = made(lambda s: 2.0, gradient=0.5, norms=4.0, rate=0.01)
    (stall,) = find_stalls(r)
    e = gather(r, stall)
    assert e["reach"] == pytest.approx(0.5 * 4.0 / 2.0, rel=1e-3)
    assert e["push"] == pytest.approx(0.01 * 0.25 / 2.0, rel=1e-6)
    assert growth(np.geomspace(1, 100, 50)) == pytest.approx(100, rel=0.2)
    assert growth(np.ones(50)) == pytest.approx(1)
    assert np.isnan(growth(np.full(9, np.nan)))


def test_a_slope_that_is_followed_is_efficient():
    # gradient flow on L: dL = -rate g^2 each step
    r = made(lambda s: 2.0 - 0.01 * 0.0025 * s, gradient=0.05, rate=0.01)
    (stall,) = find_stalls(r)
    assert gather(r, stall)["efficiency"] == pytest.approx(1.0, rel=0.05)


# ---------------------------------------------------------------------------------------------------------- certificates


def test_extremes_are_those_of_the_matrix(rng):
    a = rng.standard_normal((100, 100))
    a = a + a.T
    found = extremes(lambda v: a @ v, 100)
    values = np.linalg.eigvalsh(a)
    assert found.lowest == pytest.approx(values[0], rel=1e-5)
    assert found.highest == pytest.approx(values[-1], rel=1e-5)
    small = extremes(lambda v: a[:20, :20] @ v, 20)
    assert small.lowest == pytest.approx(np.linalg.eigvalsh(a[:20, :20])[0], rel=1e-10)


def _two_layers(torch, scale, seed=0):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(3, 6, bias=False), torch.nn.Tanh(), torch.nn.Linear(6, 1, bias=False))
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(scale)
    x = torch.randn(40, 3)
    return net, x, torch.tanh(x @ torch.tensor([[1.0], [-0.5], [0.2]]))


def test_the_origin_is_certified_as_a_saddle():
    import torch

    net, x, y = _two_layers(torch, 1e-6)
    before = [p.clone() for p in net.parameters()]
    found = certify_torch(net, x, y)
    assert found.verdict == "saddle"
    assert found.blocks["all"].lowest < 0 < found.blocks["all"].highest
    # each block alone is flat: the direction down moves both layers
    assert all(abs(b.lowest) < 1e-4 * found.blocks["all"].highest for name, b in found.blocks.items() if name != "all")
    assert found.insertion["0"] > 0.5
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert net.training
    assert not found.infimum


def test_a_slope_is_no_place_to_rest():
    import torch

    net, x, y = _two_layers(torch, 1.0)
    assert certify_torch(net, x, y).verdict == "moving"


def test_a_minimum_is_certified_and_cross_entropy_has_an_infimum():
    import torch

    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    y = x @ torch.ones(3, 2) + torch.randn(30, 2, generator=torch.Generator().manual_seed(2))
    net = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    found = certify_torch(net, x, y)
    assert found.verdict == "minimum"
    assert found.blocks["all"].lowest > 0
    classes = certify_torch(net, x, torch.arange(30) % 2)
    assert classes.infimum
    assert "infimum" in classes.sentence
    json.dumps(found.as_json())


def test_a_pytree_is_certified_as_well():
    import jax.numpy as jnp

    x, y = np.linspace(-1, 1, 20), np.linspace(-1, 1, 20)

    def loss(p):
        return 0.5 * jnp.mean((p["w"] * p["v"] * x - y) ** 2)

    saddle = certify_jax(loss, {"w": np.zeros(1), "v": np.zeros(1)})
    assert saddle.verdict == "saddle"
    # the Hessian there is [[0, -s], [-s, 0]] with s = E[x y]
    assert saddle.blocks["all"].lowest == pytest.approx(-np.mean(x * y), rel=1e-9)
    assert certify_jax(loss, {"w": np.ones(1), "v": np.ones(1)}).verdict != "saddle"
    with pytest.raises(ValueError, match="finite loss"):
        certify_jax(loss, {"w": np.full(1, np.nan), "v": np.ones(1)})


def test_norms_that_grow_like_a_power_are_read_so():
    r = Recording.of(
        step=np.arange(0, 1000, 10),
        weights=WEIGHTS,
        weight_norm=np.sqrt(1 + np.arange(0, 1000, 10))[:, None] * np.ones(2),
    )
    assert norm_growth(r) == pytest.approx(0.5, abs=0.01)
    assert np.isnan(norm_growth(Recording.of()))
    # of a part of the run only that part counts
    still = np.where(np.arange(0, 1000, 10) < 500, np.sqrt(1 + np.arange(0, 1000, 10)), np.sqrt(500.0))
    r = Recording.of(step=np.arange(0, 1000, 10), weights=WEIGHTS, weight_norm=still[:, None] * np.ones(2))
    assert norm_growth(r, 0, 490) == pytest.approx(0.5, abs=0.01)
    assert norm_growth(r, 500, 990) == pytest.approx(0.0, abs=1e-12)


def test_a_card_says_how_fast_norms_grow_under_cross_entropy():
    # classes that can be separated: the loss falls like 1/t while norms grow like ln t
    step = np.arange(1, 4000, 10)
    loss, norm = 1 / (1 + step), 1 + np.log(step)
    fields = {
        "loss_step": step, "loss": loss, "step": step, "probe_loss": loss, "weights": WEIGHTS,
        "weight_norm": norm[:, None] * np.ones(2), "variation": norm, "gradient_norm": (loss / norm)[:, None] * np.ones(2),
    }  # fmt: skip
    (card,) = (c for c in diagnose(Recording.of(**fields, facts={"cross_entropy": True})) if c.stall.ongoing)
    assert card.kind in ("converged", "unknown")
    # d ln(1 + ln t) / d ln t at the middle of the later half of the stall
    expected = 1 / (1 + np.log(3000))
    assert card.evidence["norm_growth"] == pytest.approx(expected, rel=0.1)
    assert (
        f"infimum that growing norms approach: here they grow like step^{card.evidence['norm_growth']:.2g}"
        in card.sentence
    )
    (other,) = (c for c in diagnose(Recording.of(**fields, facts={"cross_entropy": False})) if c.stall.ongoing)
    assert "infimum" not in other.sentence


# ----------------------------------------------------------------------------------------- causes that look like another

EXACTLY = {"weight_norm": np.ones((STEP.size, 2))}


def longest(recording):
    return max(diagnose(recording), key=lambda card: card.stall.end - card.stall.start)


def swings(size):
    return lambda s: 1.0 + size * (1 + 0.3 * np.sin(s / 50)) * (-1) ** int(s)


def test_weights_of_no_optimiser_are_not_moved():
    card = longest(made(lambda s: 2.0, **EXACTLY))
    assert card.kind == "frozen"
    assert "although they get a gradient" in card.sentence
    # with the same gradient and rate, and norms that change a little, they are in it
    assert longest(made(lambda s: 2.0)).kind == "large learning rate"
    # a rate that rounding could lose is no evidence
    assert longest(made(lambda s: 2.0, rate=1e-9, **EXACTLY)).kind == "small learning rate"


def test_data_that_take_turns_are_no_large_steps():
    turns = {"gradient": 0.05, "rate": 1e-4}
    # the loss handed over alternates; the probe, a fixed batch, does not
    still = made(swings(0.3), probe_loss=np.full(STEP.size, 1.0), **turns)
    assert longest(still).kind != "large learning rate"
    # nor where its slow drift was only looked at on one side
    assert longest(replace(still, probe_loss=1.0 - 1e-3 * STEP / STEPS)).kind != "large learning rate"
    # the probe swings as well: the weights do
    odd = STEP + STEP // 10 % 2
    swinging = replace(still, step=odd, probe_loss=np.array([swings(0.3)(s) for s in odd]))
    assert longest(swinging).kind == "large learning rate"
    # steps that are large are, whether or not there is a probe
    assert longest(made(swings(0.3), probe=False, gradient=5.0)).kind == "large learning rate"


def test_gradients_that_were_set_to_zero_are_not_seen():
    zeroed = made(lambda s: 2.0, gradient=0.0)
    assert longest(zeroed).kind == "unknown"
    assert np.all(np.isnan(seen_gradients(zeroed)))
    assert np.isnan(gather(zeroed, find_stalls(zeroed)[0])["gradient_left"])
    # weights that do not move may well have a gradient of 0
    assert np.all(seen_gradients(replace(zeroed, **EXACTLY)) == 0)
    # and one that falls to a small part of what it was is a minimum's
    falling = made(lambda s: 1 + np.exp(-s / 30), gradient=2 * np.exp(-STEP / 60) + 1e-6)
    assert longest(falling).kind == "converged"


def test_a_loss_that_can_be_negative_is_not_converged():
    def falls(s):
        return 2 * np.exp(-s / 30) - 1.99

    slope = {"gradient": 0.01, "rate": 1e-3}
    assert longest(made(falls, **slope)).kind != "converged"
    assert longest(made(lambda s: falls(s) + 2.0, **slope)).kind == "converged"
    assert longest(made(lambda s: -2.0 - 1e-6 * s, **slope)).kind != "converged"


def test_an_exact_fixed_point_is_said_to_be_one():
    card = longest(made(lambda s: 2.0, gradient=0.0, **EXACTLY))
    assert card.kind == "unknown"
    assert "exactly 0" in card.sentence
    assert "certify_torch" in card.advice
    # no gradient at all is a cut, and no fixed point
    assert longest(made(lambda s: 2.0, gradient=np.nan, frozen=np.array([True, True]), **EXACTLY)).kind == "frozen"


def test_one_matrix_has_no_saddle():
    seen = {"facts": {"framework": "torch", "normalised": True}}
    saddle = made(step_down(600), gradient=2 * GROWING, variation=GROWING, norms=1.0, **seen)
    assert diagnose(saddle)[0].kind == "saddle"
    # logistic regression, whose output leaves where it is flat
    one = replace(
        saddle, weight_names=("a",), weight_shapes=((1, 8),), frozen=saddle.frozen[:1],
        **{name: getattr(saddle, name)[:, :1] for name in ("weight_norm", "weight_largest", "gradient_norm")},
    )  # fmt: skip
    assert diagnose(one)[0].kind != "saddle"


@pytest.mark.parametrize(("output", "share", "kind"), [(1e-3, 0.3, "saddle"), (2.0, 0.0, "saddle"), (2.0, 0.3, "unknown"), (1e-3, 0.9, "unknown")])  # fmt: skip
def test_an_output_that_leaves_where_it_saturates_is_no_saddle(output, share, kind):
    # a bias that moves, under an output far from 0 while nothing has been learned
    facts = {"framework": "torch", "normalised": True}  # so that the law is not asked
    r = made(step_down(600), gradient=2 * GROWING, variation=GROWING, norms=1.0, facts=facts)
    bias = np.sqrt(share / (1 - share)) * 2 * GROWING[:, None]
    wide = {
        name: np.concatenate([getattr(r, name), np.ones_like(bias)], axis=1)
        for name in ("weight_norm", "weight_largest")
    }
    r = replace(
        r, output=np.full(STEP.size, output), weight_names=("a", "b", "b.bias"), weight_shapes=((8, 8), (8, 8), (8,)), frozen=np.zeros(3, bool),
        gradient_norm=np.concatenate([r.gradient_norm, bias], axis=1), **wide,
    )  # fmt: skip
    assert diagnose(r)[0].kind == kind


def test_numbers_are_those_of_the_loss_that_is_trained():
    # sums over 32 outputs: gradients of 32 times the probe's loss
    r = made(lambda s: 2.0, gradient=0.5, norms=4.0, rate=0.01)
    large = replace(r, loss=32 * r.loss, gradient_norm=32 * r.gradient_norm)
    (stall,) = find_stalls(large)
    assert stall.height == pytest.approx(2.0)
    assert gather(large, stall)["reach"] == pytest.approx(gather(r, stall)["reach"])


# ------------------------------------------------------------------------------------------------ silent units


def rows_of(torch, kind):
    """A network whose first layer has two units of `kind`, and where its units are read."""
    nn = torch.nn
    torch.manual_seed(1)
    rows = {
        "Linear-Linear": [nn.Flatten(), nn.Linear(36, 2), nn.Tanh(), nn.Linear(2, 3)],
        "Conv-Conv": [nn.Conv2d(1, 2, 3, padding=1), nn.GELU(), nn.AvgPool2d(2), nn.Conv2d(2, 3, 2, stride=1, padding=1), nn.Flatten(), nn.Linear(48, 3)],
        "Conv-Linear": [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)],
    }  # fmt: skip
    layers = rows[kind]
    at = [k for k, m in enumerate(layers) if isinstance(m, nn.Linear | nn.Conv2d)][:2]
    return nn.Sequential(*layers).double(), at


@pytest.mark.parametrize("kind", ["Linear-Linear", "Conv-Conv", "Conv-Linear"])
def test_what_a_silent_unit_feels_is_the_gradient_of_its_output_weights(kind):
    torch = pytest.importorskip("torch")
    net, (one, two) = rows_of(torch, kind)
    x, y = torch.randn(40, 1, 6, 6, dtype=torch.float64), torch.randn(40, 3, dtype=torch.float64)

    def value(model=net):
        return 0.5 * ((model(x) - y) ** 2).sum(1).mean()

    felt = felt_by(torch, Place(net[one], list(net[one + 1 : two]), net[two]), value)
    u = torch.randn(5, net[one].weight[0].numel(), dtype=torch.float64)
    told = felt(u)
    # the same by putting the unit in: a wider network, its new output weights 0
    for direction, slope in zip(u, told, strict=True):
        wide, _ = rows_of(torch, kind)
        wide.load_state_dict(net.state_dict())
        first, second = wide[one], wide[two]
        added = (direction / direction.norm()).reshape(1, *first.weight.shape[1:])
        first.weight = torch.nn.Parameter(torch.cat([first.weight.detach(), added]))
        first.bias = torch.nn.Parameter(torch.cat([first.bias.detach(), torch.zeros(1, dtype=torch.float64)]))
        old = second.weight.detach()
        per_unit = old.shape[1] // 2
        second.weight = torch.nn.Parameter(torch.cat([old, torch.zeros_like(old[:, :per_unit])], dim=1))
        if kind == "Conv-Conv":
            second.in_channels = 3
        read, out = [], []
        hook = second.register_forward_hook(lambda _m, i, o, read=read, out=out: read.append(i[0]) or out.append(o))
        loss = value(wide)
        hook.remove()
        assert float(loss.detach()) == pytest.approx(float(value().detach()), rel=1e-12)
        gradient, delta = torch.autograd.grad(loss, [second.weight, out[0]])
        phi = read[0].detach()[:, -per_unit:]
        if kind == "Conv-Conv":
            phi = torch.nn.functional.unfold(phi, second.kernel_size, padding=second.padding)
        exact = gradient[:, -per_unit:].norm() / (phi.norm() * delta.norm())
        assert float(slope) == pytest.approx(float(exact), rel=1e-9)


def test_a_saddle_of_kernels_is_found_by_a_silent_one_and_a_minimum_is_not():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    x = torch.randn(200, 1, 5, 5, dtype=torch.float64)
    teacher = nn.Sequential(
        nn.Conv2d(1, 1, 3, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(9, 1, bias=False)
    ).double()
    y = teacher(x).detach()
    at_rest = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(18, 1, bias=False)
    ).double()
    for p in at_rest.parameters():
        nn.init.zeros_(p)
    found = certify_torch(at_rest, x, y)
    # the teacher's own kernel passes on 9 features, whose combination is all of the target: cos = |phi' y| / (|phi| |y|)
    assert found.insertion["0"] > 0.3
    assert found.verdict == "saddle"
    learned = certify_torch(teacher, x, y + 1e-9 * torch.randn_like(y))
    # the slope that is left is noise, of which 9 features of 200 samples may explain a part, but no more
    assert learned.insertion["0"] < 0.5
    noise = certify_torch(at_rest, x, torch.randn(200, 1, dtype=torch.float64))
    assert noise.insertion["0"] < found.insertion["0"]


def test_layers_that_are_not_asked_for_silent_units_say_why():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)
            self.row = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
            self.heads = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            h = self.row(x)
            return self.b(torch.tanh(self.a(h + self.heads(h[:, None], h[:, None], h[:, None])[0][:, 0])))

    found = certify_torch(Own(), torch.randn(30, 4), torch.randn(30, 2))
    assert found.insertion == {}
    assert "LayerNorm follows" in found.not_asked["row.0"]
    assert "not a row of modules" in found.not_asked["a"]
    assert "no layer of weights follows" in found.not_asked["row.2"]
    assert "heads" in found.not_asked["heads"]
    assert not any(name.startswith("heads.") for name in found.not_asked)
    assert found.as_json()["not_asked"] == found.not_asked


def test_a_short_first_stall_is_seen_in_snapshots_that_thin_out():
    """As a recorder's do: dense at first, then one in twenty steps. Blocks of the same number of steps all along would hold the stall and its end."""
    step = np.unique(np.concatenate([np.arange(0, 120, 2), np.arange(120, 6000, 20)]))
    loss = 1e-3 + (1 - 1e-3) / (1 + np.exp(np.clip((step - 60) / 4.0, -60, 60)))
    every = np.arange(6000)
    both = Recording.of(
        step=step, probe_loss=loss, loss_step=every, loss=np.interp(every, step, loss), weights=WEIGHTS, layers=LAYERS
    )
    first = find_stalls(both)[0]
    assert first.start <= 5
    assert 30 <= first.end <= 70  # half of the drop is at 60
    assert first.height == pytest.approx(1.0, abs=0.05)
