"""The networks, and their fully convolutional form that is exported."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PaperAutoencoder(nn.Module):
    """The paper's denoising autoencoder: a window, flattened row-major, -> hidden ReLU units -> the window.

    Weights start N(0, 0.05²) and biases N(0, 0.1²), as in the author's code.

    Parameters
    ----------
    marks, window
        Shape of the input matrix; the paper's is 8 marks by 41 bins.
    hidden
        Units of the middle layer; the paper's search chose 2000.
    """

    def __init__(self, marks: int, window: int, hidden: int) -> None:
        super().__init__()
        self.marks, self.window, self.hidden = marks, window, hidden
        self.encode = nn.Linear(marks * window, hidden)
        self.decode = nn.Linear(hidden, marks * window)
        for layer in (self.encode, self.decode):
            nn.init.normal_(layer.weight, std=0.05)
            nn.init.normal_(layer.bias, std=0.1)

    def forward(self, windows: Tensor) -> Tensor:
        """Map (windows, marks, window), masked rows 0, to the same shape."""
        hidden = torch.relu(self.encode(windows.flatten(1)))
        out: Tensor = self.decode(hidden)
        return out.reshape(-1, self.marks, self.window)

    def weight_penalty(self) -> Tensor:
        """½‖W1‖² + ½‖W2‖²; biases are free."""
        return (self.encode.weight.square().sum() + self.decode.weight.square().sum()) / 2


class SlidingAutoencoder(nn.Module):
    """The paper's test procedure as one fully convolutional graph, in the model contract.

    All windows through the first layer are a convolution, (marks, bins) -> (hidden, bins - window + 1). All windows
    through the second, every bin averaged over the windows that contain it, are a transposed convolution divided by
    the number of those windows. The output biases differ within a window, so they and the count are a transposed
    convolution of their own, of ones: it is right at a chromosome's ends, where fewer windows contain a bin.
    """

    per_window: Tensor

    def __init__(self, network: PaperAutoencoder) -> None:
        super().__init__()
        marks, window, hidden = network.marks, network.window, network.hidden
        self.encode = nn.Conv1d(marks, hidden, window)
        self.decode = nn.ConvTranspose1d(hidden, marks, window, bias=False)
        with torch.no_grad():
            self.encode.weight.copy_(network.encode.weight.reshape(hidden, marks, window))
            self.encode.bias.copy_(network.encode.bias)  # type: ignore[union-attr]
            self.decode.weight.copy_(network.decode.weight.T.reshape(hidden, marks, window))
            bias = network.decode.bias.reshape(marks, window)
        self.register_buffer("per_window", torch.cat([bias, torch.ones(1, window)]).detach()[None])

    def forward(self, signal: Tensor, observed: Tensor) -> Tensor:
        """Impute (batch, marks, bins) from the signal, -log10 p-value, where it is observed (1) and not missing (0)."""
        hidden = torch.relu(self.encode(signal * observed))
        ends = F.conv_transpose1d(torch.ones_like(hidden[:, :1]), self.per_window)
        out: Tensor = (self.decode(hidden) + ends[:, :-1]) / ends[:, -1:]
        return out


def flop_per_bin(marks: int, window: int, hidden: int) -> int:
    """Multiplications and additions of the sliding autoencoder for one bin."""
    return 4 * marks * window * hidden
