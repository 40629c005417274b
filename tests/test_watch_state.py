"""A look changes nothing that a model holds, whatever it is; weights that are replaced are seen; what cannot be put back is not looked at."""

import contextlib
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from saddlescope.watch import Watcher
from saddlescope.watch.modules import model as adapter
from saddlescope.watch.modules.held import Held
from saddlescope.watch.schedule import Budget
from saddlescope.watch.seen import CannotLook

torch.set_num_threads(1)


class Two(nn.Module):
    def __init__(self, **held):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
        for name, value in held.items():
            setattr(self, name, value)


class DrawsFromItsOwn(Two):
    def forward(self, x):
        h = torch.tanh(self.a(x))
        return self.b(h + 0.1 * torch.randn(h.shape, generator=self.g))


class DrawsFromNumPy(Two):
    def forward(self, x):
        return self.b(torch.tanh(self.a(x))[:, torch.as_tensor(self.rng.permutation(8))])


class ScalesInPlace(Two):
    def forward(self, x):
        h = torch.tanh(self.a(x))
        self.scale.mul_(0.99).add_(0.01 * h.detach().abs().mean())
        return self.b(h / self.scale)


class ShrinksItsWeights(Two):
    def forward(self, x):
        with torch.no_grad():
            self.a.weight.mul_(1 / (1 + 0.01 * self.a.weight.norm()))
        return self.b(torch.tanh(self.a(x)))


class ReplacesData(Two):
    def forward(self, x):
        self.a.weight.data = 0.99 * functional.normalize(self.a.weight.data, dim=1) + 0.01 * self.a.weight.data
        return self.b(torch.tanh(self.a(x)))


class KeepsAList(Two):
    def forward(self, x):
        h = torch.tanh(self.a(x))
        self.bank.append(h.detach().mean(0))
        self.bank[:] = self.bank[-5:]
        return self.b(h - 0.1 * torch.stack(list(self.bank)).mean(0))


class CountsInADictionary(Two):
    def forward(self, x):
        self.state["n"] += 1
        return self.b(torch.tanh(self.a(x))) * (1 + 0.1 / self.state["n"])


class CountsInAHelper(Two):
    def forward(self, x):
        out = self.b(torch.tanh(self.a(x)))
        self.helper.mean = 0.9 * self.helper.mean + 0.1 * out.detach().mean()
        return out - self.helper.mean


class CountsInAClosure(Two):
    def __init__(self):
        super().__init__()
        calls = 0

        def count():
            nonlocal calls
            calls += 1
            return calls

        self.count = count

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))) * (1 + 0.1 / self.count())


MODELS = {
    "generator": lambda: DrawsFromItsOwn(g=torch.Generator().manual_seed(1)),
    "numpy generator": lambda: DrawsFromNumPy(rng=np.random.default_rng(0)),
    "tensor": lambda: ScalesInPlace(scale=torch.ones(())),
    "weights in place": ShrinksItsWeights,
    "weights' data": ReplacesData,
    "list": lambda: KeepsAList(bank=[]),
    "dictionary": lambda: CountsInADictionary(state={"n": 0}),
    "helper": lambda: CountsInAHelper(helper=types.SimpleNamespace(mean=0.0)),
    "closure": CountsInAClosure,
}


def train(make, *, watch, before_backward=False, steps=12):
    """Every loss, and the weights at the end, with a watcher that looks at every step or without."""
    torch.manual_seed(0)
    model, x, y = make(), torch.randn(32, 4), torch.randn(32, 2)
    opt = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    watcher = Watcher(model, probe=x[:8], targets=y[:8], budget=None, every=1) if watch else None
    losses = []
    for step in range(steps):
        loss = functional.mse_loss(model(x), y)
        if watcher and before_backward:
            watcher(step, loss)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if watcher and not before_backward:
            watcher(step, loss)
        losses.append(loss.item())
    if watcher:
        assert watcher.failed is None
        assert watcher.recording().step.size == steps
    return losses, [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("before_backward", [False, True], ids=["after", "before backward"])
@pytest.mark.parametrize("name", MODELS)
def test_what_a_module_holds_is_as_it_was(name, before_backward):
    plain = train(MODELS[name], watch=False)
    watched = train(MODELS[name], watch=True, before_backward=before_backward)
    assert plain[0] == watched[0]
    assert all(torch.equal(a, b) for a, b in zip(plain[1], watched[1], strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_without_putting_back_each_of_them_would_differ(name, monkeypatch):
    monkeypatch.setattr(adapter, "untouched", lambda *_: contextlib.nullcontext())
    with torch.no_grad():
        torch.manual_seed(0)
        model = MODELS[name]()
        x, z = torch.randn(8, 4), torch.randn(8, 4)
        Watcher(model, probe=z)
        torch.manual_seed(0)
        fresh = MODELS[name]()
        assert not torch.equal(fresh(x), model(x))


def test_tensors_that_share_memory_and_gradients_are_put_back():
    model = Two()
    model.flat = torch.arange(6.0)
    model.view, model.wide = model.flat[2:4], torch.ones(1).expand(5)
    model.a.weight.grad = torch.ones(8, 4)
    gradient = model.a.weight.grad
    held = Held(model)
    model.view.mul_(-1)
    model.flat = None
    gradient.zero_()
    model.b.weight.grad = torch.ones(2, 8)
    held.put_back()
    assert model.flat.tolist() == [0, 1, 2, 3, 4, 5]
    assert model.view.data_ptr() == model.flat[2:].data_ptr()
    assert model.a.weight.grad is gradient
    assert gradient.sum() == 32
    assert model.b.weight.grad is None


def test_what_cannot_be_put_back_is_not_looked_at():
    class Draws(Two):
        def forward(self, x):
            return self.b(torch.tanh(self.a(x))) * next(self.source)

    model = Draws(source=(1 / n for n in range(1, 100)))
    watcher = Watcher(model, probe=torch.randn(8, 4), budget=None)
    for step in range(3):
        watcher(step, 1.0)
    assert next(model.source) == 1
    seen = watcher.recording()
    assert seen.loss.tolist() == [1.0] * 3
    assert seen.step.size == 0
    assert any("source is an iterator" in gap and "only losses" in gap for gap in seen.facts["gaps"])
    with pytest.raises(CannotLook, match="more than"):
        Held([np.broadcast_to(np.zeros(1), (2**28,))])


def test_weights_that_are_replaced_are_seen_and_told():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    watcher = Watcher(model, probe=torch.randn(8, 4), budget=None, every=1)
    watcher(0, 1.0)
    model.load_state_dict({n: 7 * p.detach().clone() for n, p in model.state_dict().items()}, assign=True)
    watcher(1, 1.0)
    model[2] = nn.Linear(8, 3)
    watcher(2, 1.0)
    model[2] = nn.Linear(8, 3, bias=False)
    watcher(3, 1.0)
    assert watcher.failed is None
    seen = watcher.recording()
    assert seen.weight_names == ("0.weight", "0.bias", "2.weight")
    assert np.isclose(seen.weight_norm[1, 0], 7 * seen.weight_norm[0, 0], rtol=1e-6)
    wanted = [float(p.detach().double().norm()) for p in model.parameters()]
    np.testing.assert_allclose(seen.weight_norm[-1], wanted, rtol=1e-12)
    said = " | ".join(seen.facts["gaps"])
    assert "replaced before step 1: 0.weight, 0.bias, 2.weight and 1 more" in said
    assert "2.weight is [3, 8] and was [2, 8]" in said
    assert "2.bias is gone" in said


def test_a_criterion_with_weights_of_its_own_and_no_budget():
    y = torch.randint(0, 2, (8,))
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    model = nn.Linear(4, 2)
    watcher = Watcher(model, probe=torch.randn(8, 4), targets=y, criterion=criterion, budget=None)
    for step in range(3):
        watcher(step, 1.0)
    seen = watcher.recording()
    wanted = criterion(model(torch.as_tensor(watcher.model.probe)), y)
    assert np.isclose(seen.probe_loss[0], float(wanted.detach()), rtol=1e-5)
    # no hidden layer was there to be seen; nothing was left out for a budget
    assert not any("to keep to" in gap for gap in seen.facts["gaps"])


def test_calls_alone_do_not_use_up_what_looks_may():
    now = [0.0]
    budget = Budget(0.03, clock=lambda: now[0])
    budget.start()
    budget.costs["probe"] = 0.1
    for _ in range(100):
        now[0] += 1.0
        budget.called(0.05)
    assert budget.overhead() == pytest.approx(5 / 95)
    assert budget.overhead_of_calls() == pytest.approx(5 / 95)
    assert budget.allows("probe")
    budget.paid("probe", 3.0)
    budget.called(3.05)
    assert budget.spent_on_calls == pytest.approx(5.05)
    assert not budget.allows("probe")
