"""A loop in JAX, watched: a pure function of the weights and a batch, and the weights handed over at each step.

Here with Equinox, where the model is its own tree of weights. For Flax give `lambda params, x: model.apply(params, x)` and hand over `params`; the page docs/watch.md
has both.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

import saddlescope


class Network(eqx.Module):
    first: eqx.nn.Linear
    last: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        keys = jax.random.split(key)
        self.first = eqx.nn.Linear(6, 20, use_bias=False, key=keys[0])
        self.last = eqx.nn.Linear(20, 3, use_bias=False, key=keys[1])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(self.first(x))


def main() -> None:
    key = jax.random.key(0)
    x = jax.random.normal(key, (300, 6))
    y = x[:, :3] * jnp.array([3.0, 1.0, 0.3])
    model = Network(key)
    model = jax.tree.map(lambda w: 1e-3 * w, model)  # small weights: saddle to saddle

    @eqx.filter_jit
    def update(model: Network) -> tuple[Network, jax.Array]:
        loss, gradient = eqx.filter_value_and_grad(
            lambda m: 0.5 * jnp.mean(jnp.sum((jax.vmap(m)(x) - y) ** 2, axis=1))
        )(model)
        return jax.tree.map(lambda w, g: w - 0.05 * g, model, gradient), loss

    watcher = saddlescope.Watcher(
        lambda model, x: jax.vmap(model)(x),
        probe=x[:100],
        targets=y[:100],
        optimizer="sgd",
        learning_rate=0.05,
        budget=None,
    )
    for step in range(1500):
        model, loss = update(model)
        watcher(step, loss, model)

    seen = watcher.recording()
    rank = seen.measures["rank"][:, 0]
    print(f"weights: {', '.join(seen.weight_names)}")
    print(f"layer {seen.layer_names[0]}: {seen.layer_kind[0]}, rank {rank[-1]:.0f} at the end")
    for level in (5.0, 0.6, 0.06):
        k = int((seen.probe_loss < level).argmax())
        print(f"loss below {level:<4} from step {seen.step[k]:4d} on, outputs vary by {seen.variation[k]:.2f}")
    print(watcher.report())


if __name__ == "__main__":
    main()
