"""Deep linear networks and scalar chains: predicted from moments and initial weights, held against the simulated flow."""

import itertools

import numpy as np
import pytest

import small
from saddlescope.flow import gradient_flow
from saddlescope.networks import Deep
from saddlescope.theory import Problem, predict
from saddlescope.theory.deep.krylov import bases, projected
from saddlescope.theory.deep.linear import DeepLinear
from saddlescope.theory.deep.product import LinearData, Product
from saddlescope.theory.deep.scalar_chain import ScalarChain
from saddlescope.theory.deep.turned import Turned
from saddlescope.units import Linear, Quadratic

# escape of a balanced chain past its blow-up time, L -> kappa: an integral over x / (1 - x^L), to the digits printed
KAPPA = {2: 0.440687, 3: 1.253391, 4: 0.620957, 5: 0.359287}


def chain(*weights, correlation=1.0, variance=1.0):
    return Deep(Linear(), tuple(np.full((1, 1), w) for w in weights)), small.linear_data(
        [[correlation / variance]], np.array([[variance]])
    )


def deep(seed, *, widths=(24, 24), scale=1e-2, singular=(1.5, 0.8, 0.4), inputs=(1.0, 1.3, 0.8), commute=True):
    rng = np.random.default_rng(seed)
    data = small.teacher_of_modes(rng, singular, inputs, commute)
    dims = [len(singular), *widths, len(singular)]
    weights = tuple(scale * rng.standard_normal((b, a)) for a, b in itertools.pairwise(dims))
    return Deep(Linear(), weights), data


def simulated(network, objective, prediction):
    return small.simulated(network, objective, prediction)[:2]


@pytest.mark.parametrize("layers", KAPPA)
@pytest.mark.parametrize(("correlation", "variance"), [(1.0, 1.0), (1.7, 0.6), (-0.8, 2.0)])
def test_balanced_chains_escape_at_the_law_of_their_depth(layers, correlation, variance):
    # Saxe, McClelland & Ganguli (2014): a' = L a^(2 - 2/L) (s - lambda a); at small scale the wait is scale^-(L-2) / ((L-2) s) less a constant
    scale = 1e-5 if layers == 2 else 1e-3
    weights = [scale] * (layers - 1) + [np.sign(correlation) * scale]
    (stage,) = predict(*chain(*weights, correlation=correlation, variance=variance)).stages
    s, top = abs(correlation), abs(correlation) / variance
    if layers == 2:
        wait = np.log(np.sqrt(top) / scale)
    else:
        wait = scale ** -(layers - 2) / (layers - 2)
    expected = (wait - KAPPA[layers] * top ** (-(layers - 2) / layers)) / s
    # the constant has six digits, and the next order is the start over the end
    assert abs(stage.t_end - expected) < 2e-6 / s * top ** (-(layers - 2) / layers) + 2 * (scale**2 / top) * expected
    assert stage.status == "theorem"
    assert stage.source == "quadrature"


@pytest.mark.parametrize("weights", [(0.01, 0.02, 0.03), (-0.02, 0.1, 0.05), (0.3, -1e-3, -0.2, 0.1), (0.05, -0.1)])
def test_unbalanced_chains_are_exact_also_where_a_factor_changes_sign(weights):
    network, objective = chain(*weights)
    prediction = predict(network, objective)
    assert prediction.predictor == ScalarChain.name
    (t,), plateaus = simulated(network, objective, prediction)
    # the flow's own error at rtol 1e-9
    assert abs(prediction.stages[0].t_end - t) < 1e-6 * t
    assert len(plateaus) == 1


def test_a_chain_of_the_wrong_sign_with_equal_smallest_factors_never_leaves():
    prediction = predict(*chain(-0.1, 0.1, 0.3))
    assert prediction.stages == ()
    assert prediction.end.height == pytest.approx(0.5)
    network, objective = chain(-0.1, 0.1, 0.3)
    run = gradient_flow(network, objective, until=200.0)
    assert run.loss[-1] > 0.5 - 1e-6


CASES = {
    "three layers": lambda: deep(0),
    "three layers, small": lambda: deep(1, scale=1e-3),
    "inputs that do not commute": lambda: deep(2, scale=3e-3, commute=False),
    "a mode of small correlation and large gain": lambda: deep(
        3, scale=1e-3, singular=(1.5, 1.2, 0.3), inputs=(4.0, 0.7, 1.0)
    ),
    "four layers": lambda: deep(4, widths=(20, 20, 20), singular=(1.5, 0.7), inputs=(1.0, 1.3), scale=2e-2),
}


@pytest.mark.parametrize("name", CASES)
def test_number_heights_and_ends_are_those_of_the_flow(name):
    # docs/theory_deep.md: over 40 random problems three layers are right to 5e-5, four to 5e-3 of t
    network, objective = CASES[name]()
    prediction = predict(network, objective)
    assert prediction.predictor == DeepLinear.name
    times, plateaus = simulated(network, objective, prediction)
    assert len(plateaus) == len(prediction.stages)
    tolerance = 2e-4 if len(network.weights) == 3 else 1e-2
    for stage, t, plateau in zip(prediction.stages, times, plateaus, strict=True):
        assert abs(stage.t_end - t) < tolerance * t
        assert abs(stage.t_end - t) <= stage.t_end_error
        assert abs(stage.height - plateau.loss) < 5e-2 * prediction.stages[0].height
        assert stage.cost.state_size < stage.cost.whole_size


def test_each_round_of_the_spans_is_nearer_to_the_whole_network():
    # the whole network by the same reduced code, which is exact once the spans fill the layers
    network, objective = deep(0, widths=(40, 40))
    weights = [np.asarray(w) for w in network.weights]
    data = LinearData.of(objective)
    from scipy.integrate import solve_ivp

    def half_drop(small):
        product = Product(data, tuple(w.shape for w in small))
        level = data.total - 0.5 * data.modes()[0][0]

        def fallen(t, y):
            return product.loss(y) - level

        fallen.terminal, fallen.direction = True, -1.0
        start = np.concatenate([w.ravel() for w in small])
        run = solve_ivp(
            lambda t, y: product.velocity(y), (0, 1e3), start, "DOP853", rtol=1e-9, atol=1e-12, events=fallen
        )
        return run.t_events[0][0]

    whole = half_drop(weights)
    errors = [abs(half_drop(projected(weights, bases(weights, rounds))) - whole) / whole for rounds in range(4)]
    # measured: 1/20 to 1/40 a round
    assert all(after < 0.2 * before for before, after in itertools.pairwise(errors))
    assert errors[3] < 1e-4
    assert errors[0] > 1e-3  # what the product alone spans is not enough


def test_spans_close_where_inner_layers_are_multiples_of_orthogonal_ones(rng):
    inner = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    weights = [1e-2 * rng.standard_normal((16, 2)), 3e-2 * inner, 1e-2 * rng.standard_normal((2, 16))]
    assert [q.shape[1] for q in bases(weights, 0)] == [4, 4]
    assert [q.shape[1] for q in bases(weights, 3)] == [4, 4]
    _, objective = deep(5, singular=(1.5, 0.6), inputs=(1.0, 1.3))
    network = Deep(Linear(), tuple(weights))
    prediction = predict(network, objective)
    assert {stage.status for stage in prediction.stages} == {"theorem"}
    times, _ = simulated(network, objective, prediction)
    for stage, t in zip(prediction.stages, times, strict=True):
        assert abs(stage.t_end - t) <= stage.t_end_error


def test_every_saddle_is_a_set_of_modes():
    # Baldi & Hornik (1989): the fixed points' losses are the total less drops of whole modes; here the largest correlation is not the largest drop
    network, objective = deep(3, scale=1e-3, singular=(1.5, 1.2, 0.3), inputs=(4.0, 0.7, 1.0))
    drops = LinearData.of(objective).modes()[0]
    assert drops == pytest.approx(sorted([0.5 * 2.25 / 4, 0.5 * 1.44 / 0.7, 0.5 * 0.09], reverse=True))
    stages = predict(network, objective).stages
    reachable = [drops.sum() - drops[list(subset)].sum() for subset in ([], [0], [1], [2], [0, 1], [0, 2], [1, 2])]
    for stage in stages:
        assert min(abs(stage.height - h) for h in reachable) < 1e-2 * stages[0].height


def test_velocity_and_jacobian_are_those_of_the_loss(rng):
    network, objective = deep(6, widths=(4, 3), scale=0.5)
    product = Product(LinearData.of(objective), tuple(w.shape for w in network.weights))
    state, step = np.concatenate([w.ravel() for w in network.weights]), 1e-6
    direction = rng.standard_normal(state.size)
    slope = (product.loss(state + step * direction) - product.loss(state - step * direction)) / (2 * step)
    assert slope == pytest.approx(-product.velocity(state) @ direction, rel=1e-7)
    bend = (product.velocity(state + step * direction) - product.velocity(state - step * direction)) / (2 * step)
    assert np.allclose(product.jacobian(state) @ direction, bend, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("widths", "scale"), [((5, 5), 2e-3), ((4, 6), 3e-2), ((2, 3), 1e-2), ((3, 4, 3), 3e-2)], ids=str
)
def test_layers_no_wider_than_inputs_and_outputs_together_are_followed_without_their_turns(widths, scale):
    # a rotation of a hidden layer changes nothing: exact, so the ends differ by the solvers' errors alone (at rtol 1e-8 and 1e-9, over a wait)
    network, objective = deep(7, widths=widths, scale=scale)
    prediction = predict(network, objective)
    assert {stage.status for stage in prediction.stages} == {"theorem"}
    times, plateaus = simulated(network, objective, prediction)
    assert len(plateaus) == len(prediction.stages) > 0
    for stage, t in zip(prediction.stages, times, strict=True):
        assert abs(stage.t_end - t) <= stage.t_end_error < 2e-5 * t
        assert stage.cost.state_size < stage.cost.whole_size


@pytest.mark.parametrize("dims", [(4, 5, 5, 3), (2, 3, 4, 2, 5), (4, 2, 3, 3)], ids=str)
def test_without_turns_the_function_and_its_motion_are_those_of_the_network(dims, rng):
    # to rounding, also at weights of order 1, where everything moves
    weights = [0.7 * rng.standard_normal((b, a)) for a, b in itertools.pairwise(dims)]
    x = rng.standard_normal((dims[0], dims[0]))
    data = LinearData(x.T @ x, rng.standard_normal((dims[-1], dims[0])), 3.0)
    whole = Product(data, tuple(w.shape for w in weights))
    turned = Turned(weights, data, lambda velocity: velocity)
    state = np.concatenate([w.ravel() for w in weights])
    assert turned.start.size == Turned.size_of(weights) < state.size
    assert np.allclose(turned.product(turned.start), whole.product(state), rtol=1e-12, atol=1e-12)
    assert turned.speed(turned.start) == pytest.approx(np.linalg.norm(whole.velocity(state)), rel=1e-12)
    # the product's velocity, by steps that are imaginary in either
    step = 1e-30
    moved = np.imag(turned.full.product(turned._whole(turned.start + 1j * step * turned.velocity(turned.start)))) / step
    other = np.imag(whole.product(state + 1j * step * whole.velocity(state))) / step
    assert np.allclose(turned.left @ moved @ turned.right.T, other, rtol=1e-11, atol=1e-11)
    direction, small = rng.standard_normal(turned.start.size), 1e-6
    bend = (turned.velocity(turned.start + small * direction) - turned.velocity(turned.start - small * direction)) / (
        2 * small
    )
    assert np.allclose(turned.jacobian(turned.start) @ direction, bend, rtol=1e-5, atol=1e-5)


def test_one_unit_a_layer_has_no_turns_and_so_heights_and_a_reason_but_no_times():
    network, objective = deep(7, widths=(1, 1))
    prediction = predict(network, objective)
    assert {stage.status for stage in prediction.stages} == {"outside assumptions"}
    assert all(stage.t_end is None and stage.height is not None for stage in prediction.stages)
    assert {stage.separable for stage in prediction.stages} == {None}  # which of them show, times would tell
    assert "no reduction" in prediction.outside[0]


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda: Deep(Quadratic(), tuple(np.ones((2, 2)) for _ in range(3))), "linear units"),
        (lambda: Deep(Linear(), tuple(np.ones((3, 3)) for _ in range(3))), None),
    ],
)
def test_refusals_say_which_assumption_fails(network, reason):
    _, objective = deep(8)
    found = DeepLinear().refuses(Problem(network(), objective))
    assert found is None if reason is None else reason in found


def test_ten_times_smaller_weights_wait_ten_times_longer():
    # three small factors: t x scale tends to a constant of the initial directions, corrections are of relative order scale
    ends = [
        np.array([s.t_end for s in predict(*deep(0, scale=scale, singular=(1.5, 0.6), inputs=(1.0, 1.3))).stages])
        for scale in (1e-3, 1e-4)
    ]
    assert ends[1] / ends[0] == pytest.approx(np.full(2, 10.0), rel=2e-2)


def test_what_steps_of_descent_change_does_not_grow_with_the_wait():
    x, y = small.modes([2.0, 1.0], [1.0, 1.0])
    network, loss = small.problem("fully_connected", x, y, activation="linear", units=[20, 20], scale=1e-2)
    rate = 0.1
    prediction = predict(network, loss, learning_rate=rate)
    weights = [np.array(w) for w in network.arrays().values()]
    first = (prediction.stages[0].height + prediction.stages[1].height) / 2
    step, before, after = 0, np.inf, np.inf
    while after > first:
        one, two = weights[0], weights[1] @ weights[0]
        error = np.diag([2.0, 1.0]) - weights[2] @ two
        before, after = after, 0.5 * np.sum(error**2)
        back = weights[2].T @ error
        weights = [
            one + rate * weights[1].T @ back,
            weights[1] + rate * back @ one.T,
            weights[2] + rate * error @ two.T,
        ]
        step += 1
    true = rate * (step - 1 - (first - after) / (before - after))
    assert abs(true - prediction.stages[0].t_end) <= prediction.stages[0].t_end_error < 0.01 * true
