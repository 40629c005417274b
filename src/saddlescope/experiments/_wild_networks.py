"""Ordinary PyTorch modules for training in the wild: MLPs, CNNs, one layer of softmax attention, and a pre-LN residual MLP as the negative control.

Every matrix starts from PyTorch-like normal weights, standard deviation `scale` / sqrt(fan-in), with zero biases. PyTorch is imported when a module is built.
"""

from typing import Any

WIDTH, CHANNELS, HEADS = 64, 16, 4


def build(kind: str, depth: int, activation: str, scale: float, shape: tuple[int, ...], outputs: int, seed: int) -> Any:
    """A module of `kind` mlp | cnn | attention | residual for inputs of `shape` (one sample) with the weights of `seed`.

    `depth` counts layers of weights (of attention: it is 4 in the products of key, query, value and output, whatever is asked).
    """
    torch = pytorch()
    torch.manual_seed(seed)
    makers = {"mlp": _mlp, "cnn": _cnn, "attention": _attention, "residual": _residual}
    module = makers[kind](torch, depth, activation, shape, outputs)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if p.ndim >= 2:
                p.normal_(0.0, scale / (p[0].numel() ** 0.5))
            elif "norm" not in name:
                p.zero_()
    return module


def pytorch() -> Any:
    """The module `torch`, with one thread.

    **Raises:** `ValueError` in one line that says what to install.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise ValueError(
            "in-the-wild trains in PyTorch, which is not installed: pip install 'saddlescope[torch]'"
        ) from None
    torch.set_num_threads(1)
    return torch


def _activation(torch: Any, name: str) -> Any:
    return {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "gelu": torch.nn.GELU}[name]()


def _mlp(torch: Any, depth: int, activation: str, shape: tuple[int, ...], outputs: int) -> Any:
    nn = torch.nn
    size = 1
    for n in shape:
        size *= n
    layers: list[Any] = [nn.Flatten()]
    for k in range(depth - 1):
        layers += [nn.Linear(size if k == 0 else WIDTH, WIDTH), _activation(torch, activation)]
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


def _cnn(torch: Any, depth: int, activation: str, shape: tuple[int, ...], outputs: int) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    for k in range(depth - 1):
        layers += [nn.Conv2d(shape[0] if k == 0 else CHANNELS, CHANNELS, 3, padding=1), _activation(torch, activation)]
        if k < 2:
            layers.append(nn.AvgPool2d(2))
    side = shape[1] // 2 // (2 if depth > 2 else 1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS * side * side, outputs))


def _attention(torch: Any, depth: int, activation: str, shape: tuple[int, ...], outputs: int) -> Any:
    nn = torch.nn
    embedding = shape[1]

    class Attention(nn.Module):
        """One layer of softmax attention of the last token over the context, no residual stream."""

        def __init__(self) -> None:
            super().__init__()
            width = HEADS * embedding
            self.query, self.key = nn.Linear(embedding, width, bias=False), nn.Linear(embedding, width, bias=False)
            self.value, self.out = nn.Linear(embedding, width, bias=False), nn.Linear(width, outputs, bias=False)

        def forward(self, tokens: Any) -> Any:
            split = (len(tokens), -1, HEADS, embedding)
            query = self.query(tokens[:, -1:]).view(split).transpose(1, 2)
            key, value = (part(tokens[:, :-1]).view(split).transpose(1, 2) for part in (self.key, self.value))
            mixed = torch.softmax(query @ key.transpose(2, 3), dim=3) @ value
            return self.out(mixed.transpose(1, 2).reshape(len(tokens), -1))

    return Attention()


def _residual(torch: Any, depth: int, activation: str, shape: tuple[int, ...], outputs: int) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(WIDTH)
            self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.activation = _activation(torch, activation)

        def forward(self, x: Any) -> Any:
            return x + self.down(self.activation(self.up(self.norm(x))))

    size = 1
    for n in shape:
        size *= n
    blocks = [Block() for _ in range(max(1, (depth - 2) // 2))]
    return nn.Sequential(nn.Flatten(), nn.Linear(size, WIDTH), *blocks, nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs))
