"""What a user asks for: plain dataclasses, TOML, and messages that say what is wrong and where. No JAX, no NumPy."""

from ._errors import SpecError as SpecError
from .flow import FLOWS as FLOWS
from .flow import FlowSpec as FlowSpec
from .flow import GradientDescentSpec as GradientDescentSpec
from .flow import GradientFlowSpec as GradientFlowSpec
from .init import INITS as INITS
from .init import ArraysSpec as ArraysSpec
from .init import BalancedSpec as BalancedSpec
from .init import GaussianSpec as GaussianSpec
from .init import InitSpec as InitSpec
from .init import LowRankSpec as LowRankSpec
from .network import ACTIVATIONS as ACTIVATIONS
from .network import NETWORKS as NETWORKS
from .network import AttentionSpec as AttentionSpec
from .network import ConvolutionalSpec as ConvolutionalSpec
from .network import FullyConnectedSpec as FullyConnectedSpec
from .network import LayersSpec as LayersSpec
from .network import NetworkSpec as NetworkSpec
from .options import read_options as read_options
from .options import read_variant as read_variant
from .source import Source as Source
from .spec import Spec as Spec
from .spec import as_tables as as_tables
from .spec import read_spec as read_spec
from .templates import TEMPLATES as TEMPLATES
from .toml import resolved as resolved
