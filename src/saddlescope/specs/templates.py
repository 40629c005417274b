"""Commented specifications to start from, one for each way in which a network learns in stages.

Each runs as it stands. `saddlescope init NAME` writes one out.
"""


def _template(title: str, network: str, task: str, scale: str = "1e-5", until: str = '"converged"') -> str:
    return f"""\
# {title}
# Run it:  saddlescope run THIS_FILE

[network]
{network.strip()}

[task]
{task.strip()}

[init]
kind  = "gaussian"
scale = {scale}               # standard deviation of one weight; smaller: longer plateaus
seed  = 0

[flow]
method = "gradient_flow"
until  = {until:<17} # {"at a minimum; or a time" if until == '"converged"' else "as soon as the optimum is known to be reached; or a time" if until[0] == '"' else "a time"}, in (learning rate) x (steps)
rtol   = 1e-8              # relative error of one step
"""


TEMPLATES: dict[str, str] = {
    "linear": _template(
        "A linear network learns one direction of the data after another: losses 1, 0.5, 0, and rank 0, 1, 2.",
        """
architecture = "fully_connected"
activation   = "linear"
units        = 50          # hidden neurons
""",
        """
kind = "linear_teacher"    # y = W x with E[y x^T] = diag(singular_values)
singular_values   = [1.4142135623730951, 0.7071067811865476]   # the rates at which directions grow
input_eigenvalues = [2.0, 0.5]                                 # each direction lowers the loss by s^2 / (2 lambda)
# with another activation, which needs data one by one:
#   samples = 200
# your own data instead:
#   kind = "arrays"
#   file = "problem.npz"   # x [samples, inputs], y [samples, outputs], relative to this file
""",
    ),
    "relu": _template(
        "A ReLU network on orthogonal inputs fits one sign of the targets after the other: losses 1, 0.5, 0.",
        """
architecture = "fully_connected"
activation   = "relu"
units        = 50          # hidden neurons
""",
        """
kind    = "orthogonal_relu"
norms   = [1.5, 1.0]                                  # lengths of the inputs, which are at right angles
targets = [1.4142135623730951, -1.4142135623730951]   # one for each input
""",
    ),
    "quadratic": _template(
        "A network of quadratic units, y = sum_i v_i (u_i . x)^2, grows one unit after another: losses 4, 4/3, 0.",
        """
architecture = "fully_connected"
activation   = "quadratic"
units        = 10          # hidden neurons
""",
        """
kind   = "quadratic_teacher"         # y = x^T matrix x, x Gaussian
matrix = [[1.0, 0.0], [0.0, 1.0]]    # equal strengths: the stages come from the initial weights alone
""",
        scale="1e-2",
    ),
    "tanh": _template(
        "A tanh network near the origin behaves as a linear one: it rests there, then goes on without a clean second stage.",
        """
architecture = "fully_connected"
activation   = "tanh"
units        = 20          # hidden neurons
""",
        """
kind = "linear_teacher"    # y = W x; tanh units need samples, as they see more than second moments
singular_values   = [1.0, 0.4]
input_eigenvalues = [1.0, 1.0]
samples = 64
seed    = 0
""",
        scale="1e-4",
        until="100",
    ),
    "deep_linear": _template(
        "A linear network of three layers waits much longer on each plateau than one of two: times grow as 1 / scale.",
        """
architecture = "fully_connected"
activation   = "linear"
units        = [10, 10]    # widths of the hidden layers, first to last
""",
        """
kind = "linear_teacher"    # y = W x with E[y x^T] = diag(singular_values)
singular_values = [2.0, 1.0]
""",
        scale="3e-2",
    ),
    "skip": _template(
        "A linear network of four layers with a skip connection: fewer small factors, and so a shorter first plateau.",
        """
architecture = "fully_connected"
activation   = "linear"
units        = [10, 10, 10]   # widths of the hidden layers, first to last
skip         = 1              # the first hidden layer is added to the second; 2: to the third
""",
        """
kind = "linear_teacher"       # y = W x with E[y x^T] = diag(singular_values)
singular_values = [2.0, 1.0]
""",
        scale="3e-2",
        until='"settled"',
    ),
    "layers": _template(
        "Quadratic units, then linear ones: the first layer still learns unit after unit.",
        """
# a table a layer; from the second on they are fully connected
[[network.layers]]
architecture = "fully_connected"
activation   = "quadratic"
units        = 8

[[network.layers]]
architecture = "fully_connected"
activation   = "linear"
units        = 4
""",
        """
kind   = "quadratic_teacher"         # y = x^T matrix x, x Gaussian
matrix = [[1.0, 0.0], [0.0, 1.0]]    # equal strengths: the stages come from the initial weights alone
""",
        scale="3e-2",
        until='"settled"',
    ),
    "linear_convolution": _template(
        "Linear kernels on patches side by side: losses 1, 0.4, 0, and one more kernel needed at each drop.",
        """
architecture = "convolutional"
activation   = "linear"
units        = 50          # kernels
kernel_size  = 2
stride       = 2           # patches side by side
""",
        """
kind = "convolutional_teacher"
kernel_size = 2
positions   = 2
singular_values   = [1.5491933384829668, 0.6324555320336759]   # each mode lowers the loss by s^2 / (2 lambda)
input_eigenvalues = [2.0, 0.5]                                 # one for each entry of a patch
""",
    ),
    "relu_convolution": _template(
        "ReLU kernels on patches side by side: losses 1, 0.4, 0, and one ray of kernels more at each drop.",
        """
architecture = "convolutional"
activation   = "relu"
units        = 50          # kernels
kernel_size  = 2
stride       = 2           # patches side by side
""",
        """
kind = "convolutional_teacher"
kernel_size = 2
positions   = 2
singular_values   = [1.5491933384829668, 0.6324555320336759]   # each mode lowers the loss by s^2 / (2 lambda)
input_eigenvalues = [2.0, 0.5]                                 # one for each entry of a patch
opposite = true            # modes read with opposite signs, so that no ReLU kernel can serve two
""",
        scale="1e-5",
    ),
    "attention": _template(
        "Heads of linear attention learn in-context regression one after another: one head, then two.",
        """
architecture = "attention"
units        = 10          # heads
rank         = 1           # rows of the key and query matrices of a head
input        = "cubic"     # the features that linear attention computes from a sequence; "tokens" for sequences
""",
        """
kind = "in_context_regression"
eigenvalues = [0.5, 0.5]   # of the input covariance; equal: the stages come from the initial weights alone
context     = 31           # examples before the query
samples     = "population" # exact moments; a number draws that many sequences
""",
        scale="1e-2",
    ),
    "digits": _template(
        "A linear network tells two handwritten digits apart: first what they share, later what differs.",
        """
architecture = "fully_connected"
activation   = "linear"
units        = 50          # hidden neurons
""",
        """
kind    = "digits"         # images that come with the Python packages of saddlescope[data]
source  = "sklearn"        # 8 x 8 pixels; "mnist": 28 x 28
classes = [3, 5]
""",
        until="20",
    ),
}
