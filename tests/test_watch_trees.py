"""The recorder beside JAX loops, and inside other people's trainers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from saddlescope.watch import Watcher
from saddlescope.watch.trees import named_arrays

torch.set_num_threads(1)


def initial(key, sizes=(5, 8, 3)):
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"w": 0.3 * jax.random.normal(k, (b, a)), "b": jnp.zeros(b)}
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]


def apply(params, x):
    for layer in params[:-1]:
        x = jnp.tanh(x @ layer["w"].T + layer["b"])
    return x @ params[-1]["w"].T + params[-1]["b"]


def train(watch, steps=40):
    key = jax.random.key(0)
    params, x = initial(key), jax.random.normal(key, (30, 5))
    y = x[:, :3] ** 2

    def step_fn(params):
        loss, grads = jax.value_and_grad(lambda p: jnp.mean((apply(p, x) - y) ** 2))(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), loss

    # the weights handed over are given away in the next step, as people do to save memory
    step_fn = jax.jit(step_fn, donate_argnums=0)
    watcher = (
        Watcher(apply, probe=x[:20], targets=y[:20], optimizer="sgd", learning_rate=0.1, budget=None, every=5)
        if watch
        else None
    )
    losses = []
    for step in range(steps):
        params, loss = step_fn(params)
        if watcher is not None:
            watcher(step, loss, params)
        losses.append(loss)
    return params, [float(a) for a in losses], watcher, (x, y)


def test_a_jax_training_is_watched_and_is_the_same():
    plain, losses, _, _ = train(False)
    params, watched, watcher, (x, y) = train(True)
    assert losses == watched
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(params), strict=True))
    seen = watcher.recording()
    assert seen.loss.tolist() == losses
    assert seen.weight_names == ("0.b", "0.w", "1.b", "1.w")
    assert (seen.facts["framework"], seen.facts["optimiser"], seen.learning_rate[0]) == ("jax", "SGD", 0.1)
    now = watcher.model.observe(params, layers=True)
    f = np.asarray(apply(params, x[:20]), np.float64)
    assert np.isclose(now.variation, np.sqrt(np.mean((f - f.mean(0)) ** 2)), rtol=1e-6)
    assert np.isclose(now.probe_loss, 0.5 * np.mean(np.sum((f - np.asarray(y[:20])) ** 2, axis=1)), rtol=1e-6)
    w = np.asarray(params[0]["w"], np.float64)
    assert np.isclose(now.weight_norm[1], np.linalg.norm(w))
    assert np.isclose(now.weight_largest[1], np.linalg.svd(w, compute_uv=False)[0], rtol=1e-7)
    assert seen.layer_kind == ("Linear-Linear",)
    assert "shapes alone" in seen.layer_exact[0]
    assert not jax.config.jax_enable_x64


class Net(eqx.Module):
    layers: list
    power: float = eqx.field(static=True)

    def __init__(self, key):
        self.layers = [eqx.nn.Linear(5, 8, key=key), eqx.nn.Linear(8, 3, key=key)]
        self.power = 1.0

    def __call__(self, x):
        return self.layers[1](jax.nn.relu(self.layers[0](x)) ** self.power)


def test_an_equinox_module_is_its_own_tree():
    model = Net(jax.random.key(0))
    watcher = Watcher(lambda m, x: jax.vmap(m)(x), probe=np.zeros((4, 5), np.float32), params=model)
    watcher(0, 1.0, model)
    seen = watcher.recording()
    assert seen.weight_names == ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias")
    assert seen.step.tolist() == [0]


def test_a_tree_like_flaxs_is_named_by_its_keys():
    tree = {"params": {"Dense_0": {"kernel": jnp.ones((4, 6)), "bias": jnp.zeros(6)}, "count": jnp.int32(3)}}
    names, spacing, _ = named_arrays(tree)
    assert list(names) == ["params.Dense_0.bias", "params.Dense_0.kernel"]
    assert spacing == 2.0**-23


def test_a_jax_model_without_weights_is_told_once():
    watcher = Watcher(apply, probe=np.zeros((4, 5)))
    with pytest.warns(RuntimeWarning, match="watcher\\(step, loss, params\\)"):
        watcher(0, 1.0)


# -------------------------------------------------------------------------------------------------- other people's loops


class FakeLightning:
    """Calls what Lightning's trainer calls, in its order."""

    def __init__(self, callbacks):
        self.callbacks, self.global_step, self.num_training_batches, self.losses = callbacks, 0, 4, []

    def fit(self, module, steps):
        self.optimizers = [torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.25)]
        for c in self.callbacks:
            assert isinstance(c.state_key, str)
            c.setup(self, module, stage="fit")
            c.on_fit_start(self, module)
            c.on_train_start(self, module)
        for step in range(steps):
            self._event("on_train_batch_start", self, module, None, step)
            loss = module(torch.ones(2, 3)).square().mean()
            self._event("on_before_zero_grad", self, module, self.optimizers[0])
            self.optimizers[0].zero_grad()
            loss.backward()
            self.optimizers[0].step()
            self.global_step += 1
            self.losses.append(loss.item())
            self._event("on_train_batch_end", self, module, {"loss": loss.detach()}, None, step)
        self._event("on_train_end", self, module)
        saved = {c.state_key: c.state_dict() for c in self.callbacks}
        for c in self.callbacks:
            c.load_state_dict(saved[c.state_key])
            c.teardown(self, module, stage="fit")

    def _event(self, name, *args):
        for c in self.callbacks:
            getattr(c, name)(*args)


def test_lightning_hands_over_steps_losses_and_its_optimiser(tmp_path):
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    watcher = Watcher(module, probe=torch.randn(6, 3), budget=None, every=1, out=tmp_path)
    trainer = FakeLightning([watcher.lightning()])
    trainer.fit(module, 6)
    seen = watcher.recording()
    assert seen.loss_step.tolist() == [1, 2, 3, 4, 5, 6]
    assert seen.loss.tolist() == trainer.losses
    assert (seen.facts["optimiser"], seen.facts["momentum"], seen.facts["batches_per_epoch"]) == ("SGD", 0.25, 4)
    assert seen.learning_rate[1:].tolist() == [0.1] * 5
    assert not seen.frozen.any()
    assert (tmp_path / "recording.npz").exists()


class State:
    global_step = 0


def test_hugging_face_hands_over_steps_and_logged_losses(tmp_path):
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    watcher = Watcher(module, probe=torch.randn(6, 3), budget=None, every=1, out=tmp_path)
    callback, state = watcher.hugging_face(), State()
    args = (None, state, None)
    callback.on_init_end(*args)
    callback.on_train_begin(*args, model=module, optimizer=optimizer, train_dataloader=[0] * 7)
    for _ in range(6):
        callback.on_step_begin(*args)
        module(torch.ones(2, 3)).square().mean().backward()
        callback.on_pre_optimizer_step(*args)
        optimizer.step()
        callback.on_optimizer_step(*args)
        optimizer.zero_grad()
        state.global_step += 1
        callback.on_step_end(*args)
        if state.global_step % 2 == 0:
            callback.on_log(*args, logs={"loss": 1 / state.global_step, "learning_rate": 0.1})
    callback.on_log(*args, logs={"train_runtime": 3.0})
    callback.on_train_end(*args)
    seen = watcher.recording()
    assert seen.loss_step.tolist() == [2, 4, 6]
    assert seen.step.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.all(np.isfinite(seen.gradient_norm[1:]))
    assert (seen.facts["optimiser"], seen.facts["batches_per_epoch"]) == ("AdamW", 7)
    assert (tmp_path / "recording.npz").exists()


def test_a_callback_has_no_other_methods():
    callback = Watcher(nn.Linear(3, 2), probe=torch.randn(6, 3)).lightning()
    assert callback.on_anything_at_all(1, two=2) is None
    with pytest.raises(AttributeError):
        callback.forward()


def watched(apply, params, steps=3, **options):
    watcher = Watcher(apply, probe=np.ones((4, 5), np.float32), budget=None, every=1, **options)
    for step in range(steps):
        watcher(step, jnp.ones(1), params)
    assert watcher.failed is None
    return watcher.recording()


def test_no_weight_is_lost_where_names_collide():
    a, b = jnp.ones((5, 6)), 2 * jnp.ones((6, 2))
    seen = watched(lambda p, x: x @ p["a.b"] @ p["a"]["b"], {"a.b": a, "a": {"b": b}})
    assert sorted(seen.weight_shapes) == [(5, 6), (6, 2)]
    assert len(set(seen.weight_names)) == 2
    assert seen.loss.tolist() == [1.0] * 3  # each of shape (1,)


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "inside jit and a type"])
def test_layers_follow_the_use_of_weights_not_their_place_in_the_tree(nested):
    import collections

    def product(p, x):
        if nested:
            return jax.jit(lambda w, v, x: (x @ w.astype(jnp.float32)) @ v)(p["a"], p["b"], x)
        return x @ p["a"] @ p["b"]

    params = collections.OrderedDict(b=jnp.ones((6, 5)), a=jnp.ones((5, 6)))
    seen = watched(product, params)
    assert seen.weight_names == ("b", "a")
    assert seen.layer_names == ("a",)
    turned = watched(lambda p, x: x @ p["b"].T @ p["a"].T, params)
    assert turned.layer_names == ("b",)


@pytest.mark.parametrize(
    "wrap", [lambda f: {"loss": f, "logits": 2 * f}, lambda f: {"f": 2 * f}, lambda f: (2 * f, {"aux": 1})]
)
def test_outputs_in_dictionaries_are_taken(wrap):
    params = {"a": jnp.ones((5, 2))}
    seen = watched(lambda p, x: wrap(x @ p["a"]), params)
    assert seen.output[0] == 10.0


def test_what_is_not_looked_at_and_losses_that_are_no_numbers_are_told():
    params = {"a": jnp.ones((5, 2), jnp.complex64), "c": jnp.ones(2)}
    watcher = Watcher(lambda p, x: jnp.real(x @ p["a"]) + p["c"], probe=np.ones((4, 5)), budget=None, every=1)
    gone = jnp.ones(())
    gone.delete()
    for step, loss in enumerate((jnp.ones(2), gone, jnp.float32(3.0))):
        watcher(step, loss, params)
    assert "losses are no numbers" in str(watcher.report())
    seen = watcher.recording()
    assert seen.weight_names == ("c",)
    assert seen.loss.tolist() == [3.0]
    assert "complex weights are not looked at: a" in seen.facts["gaps"]
    assert any(gap.startswith("2 losses are no numbers") for gap in seen.facts["gaps"])


def test_weights_that_come_later_are_told_and_keep_their_columns():
    watcher = Watcher(lambda p, x: x @ p["b"], probe=np.ones((4, 5), np.float32), budget=None, every=1)
    watcher(0, 1.0, {"b": jnp.ones((5, 2))})
    watcher(1, 1.0, {"a": jnp.ones(3), "b": jnp.ones((5, 2))})
    seen = watcher.recording()
    assert seen.weight_names == ("a", "b")
    assert np.isnan(seen.weight_norm[0, 0])
    assert seen.weight_norm[0, 1] == seen.weight_norm[1, 1]
    assert any("a is new" in gap for gap in seen.facts["gaps"])
