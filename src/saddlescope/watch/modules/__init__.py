"""PyTorch modules: their functions on a probe batch, traced, and hidden layers found in the trace. PyTorch is imported only where it is used."""
