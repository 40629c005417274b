"""Lenses on PyTorch modules: what they show is what the model computes, reductions find what was planted, and what is not exact is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from saddlescope.complexity import TAU, LayerView
from saddlescope.complexity.active import by_activity
from saddlescope.complexity.merged import by_merging
from saddlescope.complexity.rank import by_rank
from saddlescope.manifolds import Active, Copies, Rays
from saddlescope.networks import Foreign, Hidden, wrong_lens
from saddlescope.objective import Objective
from saddlescope.units import AbstractNeuron, Linear, Quadratic, ReLU, Tanh, wrong_facts
from saddlescope.watch.activations import ACTIVATIONS
from saddlescope.watch.measures import measure
from saddlescope.watch.modules import calls, gated, heads, lenses
from saddlescope.watch.modules.model import TorchModel
from saddlescope.watch.modules.state import untouched
from saddlescope.watch.modules.trace import trace
from saddlescope.watch.seen import reference_of
from saddlescope.watch.shown import ShownView

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    with torch.no_grad():  # nothing is trained here
        yield


def shown_layers(model, x, *, training=False):
    """The lenses on a model in float64 or not, and their measures by name."""
    weights = dict(model.named_parameters())
    with untouched(model):
        traced = trace(lambda: model(x), weights, [x])
        applied = calls.weighings(traced)
        found = lenses.layers(traced, applied, training=training) | gated.gated(traced, applied)
        found |= heads.heads(traced, applied)
        return [found[i] for i in sorted(found)]


def one(model, x, **options):
    (shown,) = shown_layers(model, x, **options)
    return shown


def repeated(layer, times, read):
    """The units of a layer `times` times over, each read at another strength; how many different ones there are."""
    units = layer.weight.shape[0] // times
    for part in (p for p in (layer.weight, layer.bias) if p is not None):
        part.copy_(part[:units].repeat(times, *[1] * (part.ndim - 1)))
    read.mul_(torch.rand(read.shape[1]).view(1, -1, *[1] * (read.ndim - 2)) + 0.5)
    return units


# ------------------------------------------------------------------------------------- the same numbers as complexity's

NEURONS = {"relu": (ReLU(), torch.relu), "tanh": (Tanh(), torch.tanh), "linear": (Linear(), lambda z: z)}
NEURONS["quadratic"] = (Quadratic(), lambda z: z**2)


class TwoLayers(nn.Module):
    def __init__(self, activation, inputs=4, units=12, outputs=3):
        super().__init__()
        self.first, self.last, self.activation = nn.Linear(inputs, units), nn.Linear(units, outputs), activation

    def forward(self, x):
        return self.last(self.activation(self.first(x)))


def twin(model, unit, x, y):
    """The same network, without the constant of its last layer, as a foreign model of ours, and its objective."""
    weights = {n: p.detach().double().numpy() for n, p in model.named_parameters()}
    hidden = Hidden(unit, "first.weight", "last.weight", bias="first.bias", direct=True)

    def apply(w, x):
        return w["last.weight"] @ unit.activation(w["first.weight"] @ x + w["first.bias"])

    network = Foreign(weights, apply, (hidden,))
    assert wrong_lens(network.lenses()[0], x) is None
    return network, Objective(x, y, np.full(len(x), 1 / len(x)), np.float64(0.0))


@pytest.mark.parametrize("name", NEURONS)
def test_widths_and_distances_are_those_of_complexity_and_manifolds(name):
    unit, activation = NEURONS[name]
    model = TwoLayers(activation).double()
    model.first.weight[6:9] = (1.0 if name in ("tanh", "quadratic") else 2.0) * model.first.weight[:3]
    model.first.bias[6:9] = (1.0 if name in ("tanh", "quadratic") else 2.0) * model.first.bias[:3]
    model.last.weight[:, 9:11] *= 1e-6
    x = torch.randn(60, 4, dtype=torch.float64)
    y = 0.1 * torch.randn(60, 3, dtype=torch.float64)
    found = measure(one(model, x), reference=reference_of(y.numpy()))
    with jax.enable_x64(True):
        network, objective = twin(model, unit, x.numpy(), y.numpy())
        view = LayerView(network, 0, objective)
        active, merged = by_activity(view, TAU), by_merging(view, TAU)
        (lens,) = network.lenses()
        assert found["active"] == active.width
        assert found["rays" if unit.degree == 1 else "copies"] == merged.width
        assert np.isnan(found["copies" if unit.degree == 1 else "rays"])
        if unit.linear:
            assert found["rank"] == by_rank(view, TAU).width
        distances = [Active(active.labels >= 0).distance(lens)]
        family = Rays if unit.degree == 1 else Copies
        if not unit.linear:
            signs = [1] * 12
            if unit.parity != "none":
                pairs = [(i, i + 6) for i in range(3)]
                assert all(merged.labels[i] == merged.labels[j] for i, j in pairs)
            distances.append(family(merged.labels, signs if unit.parity != "none" else None).distance(lens))
            assert found["manifold_distance"] == pytest.approx(min(distances), rel=1e-9)
    assert merged.width < active.width <= 10


def test_the_view_of_a_shown_layer_is_that_of_complexity():
    model = TwoLayers(torch.tanh).double()
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.zeros(30, 3, dtype=torch.float64)
    ours = ShownView(one(model, x))
    with jax.enable_x64(True):
        network, objective = twin(model, Tanh(), x.numpy(), y.numpy())
        theirs = LayerView(network, 0, objective)
        for part in ("u", "v", "phi", "contribution", "scale"):
            np.testing.assert_allclose(getattr(ours, part), getattr(theirs, part), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(ours.outputs, theirs.outputs / 30**0.5, rtol=1e-12, atol=1e-14)
        drawn = np.random.default_rng(0).normal(size=(5, 5))
        np.testing.assert_allclose(ours.features_of(drawn), theirs.features_of(drawn), rtol=1e-12)


def test_layers_with_many_outputs_are_judged_as_by_all_of_them():
    model = TwoLayers(torch.relu, inputs=6, units=40, outputs=300).double()
    units = repeated(model.first, 4, model.last.weight)
    model.last.weight[:, :5] *= 1e-4
    model.last.weight[:, 10:15] *= 1e-4
    model.last.weight[:, 20:25] *= 1e-4
    model.last.weight[:, 30:35] *= 1e-4
    found = measure(one(model, torch.randn(100, 6, dtype=torch.float64)))
    assert (found["active"], found["rays"], found["units"]) == (20, units - 5, 40)


# ---------------------------------------------------------------------------------------------------- every kind of layer

CONVOLUTIONS = {
    "plain": (lambda: nn.Conv2d(8, 5, 3), (1, 9, 9)),
    "stride and padding": (lambda: nn.Conv2d(8, 5, 3, stride=2, padding=1), (1, 9, 9)),
    "oblong, dilated": (lambda: nn.Conv2d(8, 5, (2, 3), dilation=(2, 1)), (1, 9, 9)),
    "same": (lambda: nn.Conv2d(8, 5, 3, padding="same"), (1, 9, 9)),
    "circular": (lambda: nn.Conv2d(8, 5, 3, padding=1, padding_mode="circular"), (1, 9, 9)),
    "without bias": (lambda: nn.Conv2d(8, 5, 3, bias=False), (1, 9, 9)),
    "in one dimension": (lambda: nn.Conv1d(8, 5, 3, stride=2, padding=1), (1, 15)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_kernels_read_by_kernels(name):
    make, shape = CONVOLUTIONS[name]
    reader = make()
    first = (nn.Conv1d if len(shape) == 2 else nn.Conv2d)(1, 8, 3, padding=1)
    units = repeated(first, 2, reader.weight)
    model = nn.Sequential(first, nn.ReLU(inplace=True), reader)
    shown = one(model, torch.randn(20, *shape))
    found = measure(shown)
    assert (shown.kind, shown.exact) == ("Conv-Conv", "")
    assert found["rays"] == units
    assert found["active"] > units
    assert found["manifold_distance"] > 0


BETWEEN = {
    "max pool": nn.MaxPool2d(2),
    "average pool": nn.AvgPool2d(2),
    "one position": nn.AdaptiveAvgPool2d(1),
    "dropout": nn.Dropout2d(0.5),
    "nothing": nn.Identity(),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_kernels_read_by_a_dense_layer(name):
    first = nn.Conv2d(2, 6, 3)
    features = nn.Sequential(first, nn.ReLU(), BETWEEN[name], nn.Flatten())
    x = torch.randn(30, 2, 8, 8)
    reader = nn.Linear(features(x).shape[1], 4)
    units = repeated(first, 2, torch.ones(1, 6))
    shown = one(nn.Sequential(features, reader), x)
    found = measure(shown)
    assert (shown.kind, shown.exact, shown.last) == ("Conv-Linear", "", True)
    # features of copies differ by where they are read: positions may be read otherwise by each copy, and are
    assert units <= found["rays"] <= 6
    block = reader.weight.view(4, 6, -1)
    block[:, 3:] = 0.5 * block[:, :3]
    assert measure(one(nn.Sequential(features, reader), x))["rays"] == units


def test_the_mean_over_positions_written_as_a_method_is_pooling():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(functional.relu(self.conv(x)).mean(dim=(2, 3)))

    shown = one(Mean(), torch.randn(10, 1, 6, 6))
    assert (shown.kind, shown.exact) == ("Conv-Linear", "")


def test_batch_norm_is_folded_where_its_statistics_stand_still():
    norm = nn.BatchNorm2d(6)
    norm.running_mean.normal_(std=0.1)
    norm.running_var.uniform_(0.5, 2)
    norm.weight.uniform_(0.5, 2)
    norm.bias.uniform_(0.5, 1)
    # the second three are the first three, three times as large: one ray each, though kernels and norm differ
    for part, factor in ((norm.running_mean, 5.0), (norm.running_var, 25.0), (norm.weight, 3.0), (norm.bias, 3.0)):
        part[3:] = factor * part[:3]
    norm.eps = 0.0
    first = nn.Conv2d(1, 6, 3)
    first.weight[3:], first.bias[3:] = 5 * first.weight[:3], 5 * first.bias[:3]
    model = nn.Sequential(first, norm, nn.ReLU(), nn.Conv2d(6, 4, 3))
    x = torch.randn(20, 1, 8, 8)
    shown = one(model, x)
    found = measure(shown)
    assert shown.exact == ""
    assert found["rays"] == 3
    # u is a product of weights here, of which the flow keeps no such sets
    assert np.isnan(found["manifold_distance"])
    assert np.isnan(found["imbalance"])
    trained = one(model, x, training=True)
    assert "spread over the batch while training" in trained.exact


class Block(nn.Module):
    """A pre-norm block: attention of some form, then two layers beside a residual stream."""

    def __init__(self, attention, size=12, width=20):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(size), attention
        self.up, self.down, self.out = nn.Linear(size, width), nn.Linear(width, size), nn.Linear(size, 3)

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        x = x + self.down(functional.gelu(self.up(self.norm(x))))
        return self.out(x)


class Attention(nn.Module):
    def __init__(self, how, size=12, count=4, bias=True):
        super().__init__()
        self.how, self.count = how, count
        self.query, self.key, self.value, self.output = (nn.Linear(size, size, bias=bias) for _ in range(4))

    def split(self, a):
        return a.view(*a.shape[:2], self.count, -1).transpose(1, 2)

    def forward(self, x):
        q, k, v = (self.split(part(x)) for part in (self.query, self.key, self.value))
        if self.how == "fused":
            z = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / 3**0.5
            scores = scores.softmax(-1) if self.how == "softmax" else scores
            z = scores @ v
        return self.output(z.transpose(1, 2).reshape(x.shape))


class Packed(nn.Module):
    def __init__(self, size=12, count=4):
        super().__init__()
        self.count, self.packed, self.output = count, nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, x):
        q, k, v = (a.view(*a.shape[:2], self.count, -1).transpose(1, 2) for a in self.packed(x).chunk(3, dim=-1))
        z = functional.scaled_dot_product_attention(q, k, v)
        return self.output(z.transpose(1, 2).flatten(2))


class Torchs(nn.Module):
    def __init__(self, size=12, count=4, padded=False):
        super().__init__()
        self.padded = padded
        self.own = nn.MultiheadAttention(size, count, batch_first=True)

    def forward(self, x):
        masks = {"attn_mask": torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)}
        if self.padded:
            masks["key_padding_mask"] = (
                torch.arange(x.shape[1]).expand(x.shape[:2]) >= 3 + torch.arange(len(x))[:, None] % 3
            )
        return self.own(x, x, x, need_weights=False, **masks)[0]


ATTENTION = {
    "fused": lambda: Attention("fused"),
    "softmax": lambda: Attention("softmax"),
    "linear": lambda: Attention("linear", bias=False),
    "packed": Packed,
    "nn.MultiheadAttention": Torchs,
    "nn.MultiheadAttention, padded": lambda: Torchs(padded=True),
}


def projections(attention):
    """The matrices [size, size] of query, key and value, and the output's, to write into."""
    if isinstance(attention, Torchs):
        return [*attention.own.in_proj_weight.chunk(3)], attention.own.out_proj.weight
    if isinstance(attention, Packed):
        return [*attention.packed.weight.chunk(3)], attention.output.weight
    return [attention.query.weight, attention.key.weight, attention.value.weight], attention.output.weight


@pytest.mark.parametrize("name", ATTENTION)
def test_heads_and_layers_beside_a_residual_stream(name):
    model = Block(ATTENTION[name]())
    x = torch.randn(16, 5, 12)
    into, out = projections(model.attention)
    for bias in (b for n, b in model.attention.named_parameters() if n.endswith("bias")):
        bias.zero_()
    for part in into:
        part[3:6] = part[:3]  # the second head does what the first does
    out[:, 6:9] *= 1e-6  # nobody reads the third
    first, second = shown_layers(model, x)
    assert (first.kind, first.exact) == ("heads", "")
    assert (second.kind, second.exact, second.name) == ("Linear-Linear", "", "up")
    found = measure(first)
    assert (found["units"], found["active"], found["copies"]) == (4, 3, 2)
    assert 1 <= found["key_query_rank"] <= 3
    assert 1 <= found["value_output_rank"] <= 3
    key, query = into[1], into[0]
    a, b = (float(torch.linalg.vector_norm(w.double()) ** 2) for w in (key, query))
    assert found["imbalance"] == pytest.approx((a - b) / (a + b), abs=1e-6)


class Gated(nn.Module):
    def __init__(self, activation, bias=False):
        super().__init__()
        self.gate, self.value = nn.Linear(6, 10, bias=bias), nn.Linear(6, 10, bias=bias)
        self.down, self.activation = nn.Linear(10, 6), activation

    def forward(self, x):
        return x + self.down(self.activation(self.gate(x)) * self.value(x))


@pytest.mark.parametrize("activation", [functional.silu, functional.gelu, functional.relu, torch.tanh, lambda z: z])
@pytest.mark.parametrize("bias", [False, True])
def test_gated_layers(activation, bias):
    model = Gated(activation, bias)
    for part in (model.gate, model.value):
        for w in part.parameters():
            w[5:8] = w[:3]
    model.down.weight[:, 9] *= 1e-6
    x = torch.randn(40, 3, 6)
    shown = one(model, x)
    assert (shown.name, shown.kind, shown.exact) == ("value", "Linear-Linear, gated", "")
    np.testing.assert_allclose(shown.sum() + model.down.bias.numpy(), (model(x) - x).reshape(-1, 6), atol=1e-6)
    found = measure(shown)
    assert (found["units"], found["active"], found["copies"]) == (10, 9, 6)
    a, b = (
        float(sum(w.double().square().sum() for w in part)) for part in (model.value.parameters(), [model.down.weight])
    )
    assert found["imbalance"] == pytest.approx((a - b) / (a + b), abs=1e-6)


def test_facts_of_gated_units_are_facts_of_their_formula():
    from saddlescope.watch.modules.gated import _facts

    for name in ("relu", "silu", "tanh", "square"):
        facts = _facts(ACTIVATIONS[name])
        u, x = np.random.default_rng(0).normal(size=(2, 8))
        u[:4] *= np.sign(x[:4] @ u[:4])

        def phi(u, name=name, x=x):
            return float(FORMULAS[name](jnp.dot(x[:4], u[:4])) * jnp.dot(x[4:], u[4:]))

        with jax.enable_x64(True):
            sizes = [abs(phi(s * u)) for s in (1e-4, 1e-5)]
            assert np.log10(sizes[0] / sizes[1]) == pytest.approx(facts.order, abs=1e-3)
            if facts.degree is not None:
                assert phi(3 * u) == pytest.approx(3**facts.degree * phi(u), rel=1e-12)
            else:
                assert phi(300 * u) != pytest.approx(300**facts.order * phi(u), rel=1e-3)
            parity = {phi(u): "even", -phi(u): "odd"}.get(phi(-u), "none")
            assert parity == facts.parity


def test_a_models_facts_are_read_off_its_calls():
    model = TorchModel(Block(Attention("fused")), torch.randn(8, 5, 12))
    model.observe(layers=True)
    assert model.facts["activations"] == ["gelu", "softmax"]
    assert model.facts["normalised"]
    assert model.facts["residual"]
    assert model.facts["depth"] == 5
    plain = TorchModel(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), torch.randn(8, 3))
    plain.observe(layers=True)
    assert (plain.facts["normalised"], plain.facts["residual"], plain.facts["depth"]) == (False, False, 2)


def test_weights_that_are_no_modules_are_found_too():
    class Raw(nn.Module):
        def __init__(self):
            super().__init__()
            self.w1, self.b1 = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(6))
            self.w2 = nn.Parameter(torch.randn(3, 6))

        def forward(self, x):
            return torch.clamp(x @ self.w1 + self.b1, min=0) @ self.w2.T

    model = Raw()
    shown = one(model, torch.randn(30, 4))
    assert (shown.name, shown.kind, shown.exact, shown.last) == ("w1", "Linear-Linear", "", True)
    np.testing.assert_allclose(shown.u, np.hstack([model.w1.detach().T, model.b1.detach()[:, None]]), rtol=1e-6)
    np.testing.assert_allclose(shown.v[:, 0], model.w2.detach().T, rtol=1e-6)


# --------------------------------------------------------------------------------------------- what is not exact is said


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 6), nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.b(h) + self.c(h)


class TwoActivations(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.b(torch.tanh(torch.relu(self.a(x))))


NOT_EXACT = {
    "also read elsewhere": (Twice, (20, 3)),
    "more than one activation": (TwoActivations, (20, 3)),
    "groups": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Conv2d(8, 4, 3)), (5, 4, 8, 8)),
    "after an activation": (
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)),
        (5, 1, 8, 8),
    ),
    "spread of each batch": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU(), nn.Conv2d(8, 4, 3)
        ),
        (5, 1, 8, 8),
    ),
}


@pytest.mark.parametrize("reason", NOT_EXACT)
def test_what_a_lens_cannot_express_it_says_and_measures_less(reason):
    make, shape = NOT_EXACT[reason]
    shown = shown_layers(make(), torch.randn(*shape))[0]
    assert reason in shown.exact
    assert shown.exact[0].isupper()
    assert shown.exact.endswith(".")
    found = measure(shown)
    assert found["active"] > 0
    assert found["rank"] > 0
    assert all(np.isnan(found[name]) for name in ("rays", "copies", "imbalance", "manifold_distance"))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Sequential(nn.Conv3d(1, 4, 2), nn.ReLU(), nn.Conv3d(4, 2, 2)), (3, 1, 5, 5, 5)),
        (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=2)), (3, 1, 8, 8)),
    ],
)
def test_layers_that_are_not_looked_into_are_named(make, shape):
    shown = one(make(), torch.randn(*shape))
    assert shown.exact
    found = measure(shown)
    assert found["units"] == 4
    assert np.isnan(found["active"])


def test_what_mixes_units_is_no_layer_of_units():
    model = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2))
    assert shown_layers(model, torch.randn(9, 3)) == []


def test_a_lens_that_does_not_fit_its_model_is_found_out():
    """A model whose calls do something else than they say: the sum over units is not what the next layer takes in."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 4)
            self.calls = [0]

        def forward(self, x):
            h = torch.relu(self.a(x))
            with torch._C.DisableTorchFunction():  # unseen by the trace
                h.mul_(torch.linspace(1, 2, 6))
            return self.b(h)

    model = Odd()
    shown = one(model, torch.randn(9, 3))
    assert "could not be followed" in shown.exact


# ----------------------------------------------------------------------------------------------- dead and saturated units


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.GELU(), nn.SiLU(), nn.LeakyReLU(0.0)])
def test_dead_units_are_counted(activation):
    model = nn.Sequential(nn.Linear(3, 8), activation, nn.Linear(8, 2))
    model[0].weight[:3] *= 0.1
    model[0].bias[:3] = -20
    x = torch.randn(50, 3)
    assert one(model, x).dead == 3 / 8
    model[0].bias[:3] = 1
    assert one(model, x).dead == 0


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.Sigmoid(), nn.Softsign()])
def test_saturated_units_are_counted(activation):
    model = nn.Sequential(nn.Linear(3, 8), activation, nn.Linear(8, 2))
    model[0].weight[:5] *= 1e3
    shown = one(model, torch.randn(200, 3))
    # some of five hundred weights' samples lie near the middle: a unit counts where nineteen of twenty are flat
    assert shown.saturated == 5 / 8
    assert shown.dead == 0


def test_the_origin_needs_no_unit_and_relative_widths_do():
    model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 2))
    x = torch.randn(40, 4)
    y = torch.randint(0, 2, (40,))
    for p in model.parameters():
        p.mul_(0.02)
    told = TorchModel(model, x, y).observe(layers=True).layers
    assert [found["active"] for _, _, found in told.values()] == [0, 0]
    assert [found["manifold_distance"] for _, _, found in told.values()] == [f["size"] for _, _, f in told.values()]
    untold = TorchModel(model, x).observe(layers=True).layers
    assert all(found["active"] > 0 for _, _, found in untold.values())


# --------------------------------------------------------------------------------------------------------- the small parts

FORMULAS = {
    "relu": jax.nn.relu,
    "leaky_relu": lambda z: jax.nn.leaky_relu(z, 0.1),
    "relu6": jax.nn.relu6,
    "hardtanh": jax.nn.hard_tanh,
    "tanh": jnp.tanh,
    "softsign": jax.nn.soft_sign,
    "sin": jnp.sin,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "hardswish": jax.nn.hard_swish,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "celu": jax.nn.celu,
    "square": lambda z: z**2,
    "cube": lambda z: z**3,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_facts_of_activations_are_facts_of_their_formulas(name):
    facts = ACTIVATIONS[name].facts
    declared = {part: getattr(facts, part) for part in ("degree", "linear", "silent", "order", "parity", "kinks")}
    body = declared | {"__annotations__": {}, "activation": lambda self, z: FORMULAS[name](z)}
    body["__annotations__"] = dict.fromkeys(declared, "typing.ClassVar[object]")
    made = type(AbstractNeuron)("Made", (AbstractNeuron,), body)
    assert wrong_facts(made()) == []
    assert set(FORMULAS) == set(ACTIVATIONS)
    with jax.enable_x64(True):
        far = np.abs(np.asarray(FORMULAS[name](jnp.array([-1e6, 1e6]))))
    assert ACTIVATIONS[name].bounded == bool(far.max() < 10) or name == "sin"


@pytest.mark.parametrize("shape", [(5, 9), (700, 3), (600, 550)])
def test_largest_singular_values(shape, rng):
    from saddlescope.watch.spectrum import largest_singular_value

    matrix = rng.normal(size=shape)
    wanted = np.linalg.svd(matrix, compute_uv=False)[0]
    assert largest_singular_value(matrix) == pytest.approx(wanted, rel=1e-7)
    assert largest_singular_value(1e-200 * matrix) == pytest.approx(1e-200 * wanted, rel=1e-7)
    assert largest_singular_value(np.zeros(shape)) == 0.0
    assert np.isnan(largest_singular_value(np.where(matrix == matrix[0, 0], np.nan, matrix)))
