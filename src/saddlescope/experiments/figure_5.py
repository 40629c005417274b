r"""Figure 5: six deep networks learn in two drops, and their first layers show the same three types of weights as in Figure 1.

Settings: tasks as in Figure 1, so that inputs are two-dimensional and losses at saddles are known; two hidden layers.

- *three-layer linear* (10, 10): losses 1, 1/2, 0; type I, rank 1 then 2 in both layers;
- *linear convolution, then linear* (10 kernels, 10): 1, 2/5, 0; type I. With one output the second layer needs one unit: only the first layer's rank grows at the second drop;
- *three-layer ReLU* (10, 10), inputs (3/2, 0), (0, 1): 1, 1/2, 0; type II, one ray then two;
- *ReLU convolution, then ReLU* (10 kernels, 10): 1, 2/5, 0; type II;
- *linear attention, then linear* (8 heads, 4), population loss, two white dimensions and 31 tokens: 1, 0.544, 0.088; type III, one active head then two;
- *quadratic, then linear* (8, 4), $y = |x|^2$, population loss: 1, 1/3, 0; type III.

Smooth networks follow gradient flow. Deep ReLU networks do not: where the pattern of active units of two layers changes the flow slides along kinks that are not
hyperplanes of the weights, and steps of an adaptive solver shrink without end (measured: 200 000 steps at 0.99998 of the first loss). They take steps of gradient descent, as the
paper's do, at a learning rate small enough not to matter: its times are multiples of it.

A ReLU network dies in some directions: of a seed in which no unit of the last hidden layer is active with a weight of the right sign on one of the inputs, nothing is left that could learn
it. Claims on ReLU networks are made over the seeds with two layers alive at the start on every input and both signs of their readout there; `alive` counts them, and its bounds are what 10 units leave.
"""
