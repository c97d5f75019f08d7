"""The network gives the probability, per bin, that a hidden track exceeds each quantile; and the graph around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.epifill.features import assemble, count_features, own_features, panel_features
from training.epifill.layers import STATISTICS, Normaliser, box, cummax, interp, knots_of
from training.epifill.reference import KNOT_LEVELS, Reference

THRESHOLD_LEVELS = KNOT_LEVELS[1:]
"""The network predicts for each of these levels the probability that the track exceeds its quantile."""

BEYOND = 0.6
"""Width of the stretch above the highest threshold, arcsinh(-log10 p)."""

PEER_BINS = 5
"""Bins over which the panel's mean is smoothed before it is blended into the result."""

INTERVAL_COVERAGE = 0.8
"""Share of the measured values that should lie between lower and upper."""


class RankNetwork(nn.Module):
    """A bin's features -> per mark and threshold, the logit of the probability to lie above it.

    A perceptron plus a linear map: the linear part is learned quickly, and extrapolates.

    Parameters
    ----------
    marks
        Number of marks.
    hidden
        Units of each hidden layer.
    panel
        Whether it takes the panel.
    dropout
        Share of hidden units that are left out while training.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, marks: int, hidden: Sequence[int], panel: bool, dropout: float) -> None:
        super().__init__()
        features, outputs = count_features(marks, panel), marks * len(THRESHOLD_LEVELS)
        widths = [features, *hidden]
        self.marks, self.dropout, self.panel = marks, dropout, panel
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], outputs)
        self.skip = nn.Linear(features, outputs, bias=False)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """Map (bins, features) to logits (bins, marks, thresholds)."""
        standard = (features - self.mean) / self.scale
        hidden = standard
        for layer in self.layers:
            hidden = F.dropout(F.silu(layer(hidden)), self.dropout, self.training)
        out: Tensor = self.out(hidden) + self.skip(standard)
        return out.reshape(-1, self.marks, len(THRESHOLD_LEVELS))


class Ensemble(nn.Module):
    """Several trained networks of one shape as one stack of convolutions; their logits are averaged."""

    def __init__(self, networks: Sequence[RankNetwork]) -> None:
        super().__init__()
        members, self.marks = len(networks), networks[0].marks
        hidden, outs, skips = zip(*map(_folded, networks), strict=True)
        self.layers = nn.ModuleList(
            _convolution(torch.cat([w for w, _ in layer]), torch.cat([b for _, b in layer]), 1 if i == 0 else members)
            for i, layer in enumerate(zip(*hidden, strict=True))
        )
        weights = torch.cat([weight for weight, _ in outs], dim=1) / members
        self.out = _convolution(weights, torch.stack([bias for _, bias in outs]).mean(dim=0))
        weights = torch.stack([weight for weight, _ in skips]).mean(dim=0)
        self.skip = _convolution(weights, torch.stack([bias for _, bias in skips]).mean(dim=0))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, features, bins) to probabilities (batch, marks, thresholds, bins)."""
        hidden = features
        for layer in self.layers:
            hidden = F.silu(layer(hidden))
        logits: Tensor = self.out(hidden) + self.skip(features)
        return torch.sigmoid(logits).reshape(features.shape[0], self.marks, len(THRESHOLD_LEVELS), -1)


Affine = tuple[Tensor, Tensor]
"""Weight (outputs, inputs) and bias (outputs) of a linear layer."""


def _folded(network: RankNetwork) -> tuple[list[Affine], Affine, Affine]:
    """The hidden layers, the last layer, and the linear map, all on features as they are."""

    def fold(weight: Tensor, bias: Tensor) -> Affine:
        scaled = weight / network.scale
        return scaled, bias - scaled @ network.mean

    hidden = [(layer.weight, layer.bias) for layer in network.layers if isinstance(layer, nn.Linear)]
    skip = fold(network.skip.weight, torch.zeros(network.skip.out_features))
    return [fold(*hidden[0]), *hidden[1:]], (network.out.weight, network.out.bias), skip


def _convolution(weight: Tensor, bias: Tensor, groups: int = 1) -> nn.Conv1d:
    outputs, inputs = weight.shape
    convolution = nn.Conv1d(inputs * groups, outputs, 1, groups=groups)
    with torch.no_grad():
        convolution.weight.copy_(weight[..., None])
        convolution.bias.copy_(bias)  # type: ignore[union-attr]
    return convolution


@dataclass(frozen=True)
class Readout:
    """How a bin's probabilities are decoded to one value and an interval.

    The mean of arcsinh serves the mean squared error and the correlation of arcsinh, the mean of the values the
    peaks, the mean of their square roots what lies between, and the mean rank the order of low values.

    Attributes
    ----------
    height, root, value
        Weights of the mean of arcsinh(-log10 p), of the square of the mean square root, and of the mean
        -log10 p, the latter two as arcsinh; their sum is 1.
    rank
        Weight of the mean rank less one half, in arcsinh.
    panel
        Weight of the panel's mean -log10 p as it is, brought to the hidden mark's strength. It keeps peaks that
        networks trained on few samples underestimate.
    strength
        How much of the visible marks' strength relative to the reference is taken for the hidden mark's.
    tail
        Probability outside of the interval on either side.
    """

    height: float = 0.4
    root: float = 0.4
    value: float = 0.2
    rank: float = 0.1
    panel: float = 0.15
    strength: float = 0.8
    tail: float = 0.08


class EpifillGraph(nn.Module):
    """The whole model in the contract: from signal, quantiles and panel to imputed, lower and upper."""

    reference: Tensor
    ranks: Tensor

    def __init__(self, reference: Reference, seeing: Ensemble, blind: Ensemble, readout: Readout) -> None:
        super().__init__()
        self.normalise = Normaliser(reference)
        self.seeing, self.blind, self.readout = seeing, blind, readout
        self.register_buffer("reference", torch.tensor(reference.knots, dtype=torch.float32))
        levels = torch.tensor([0.0, *THRESHOLD_LEVELS, 1.0])
        self.register_buffer("ranks", (levels[1:] + levels[:-1]) / 2)

    def forward(
        self, signal: Tensor, observed: Tensor, quantiles: Tensor, panel: Tensor, panel_observed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Impute; all (batch, rows, bins) but the quantiles, (batch, marks, knots)."""
        marks = signal.shape[1]
        normalised, _ = self.normalise(signal, quantiles)
        own = own_features(normalised, observed)
        per_mark = (signal.shape[0], marks, len(STATISTICS), -1)
        mean, normal, raw = (panel * panel_observed).reshape(per_mark).unbind(dim=2)
        there = panel_observed.reshape(per_mark)[:, :, 0]
        beside = panel_features(mean, normal, raw, there)
        seen = self.seeing(assemble(own, observed, beside, there))
        unseen = self.blind(assemble(own, observed))
        probabilities = torch.where(there.amax(dim=1)[:, None, None] > 0, seen, unseen)
        heights = rescale(self.reference, quantiles, self.readout.strength)
        weight = self.readout.panel * there
        (peers,) = interp(smooth_height(raw, there), self.reference[None], heights)
        return decode(probabilities, heights, self.ranks, peers, weight, self.readout)


def smooth_height(raw: Tensor, there: Tensor) -> Tensor:
    """The arcsinh of the mean -log10 p over PEER_BINS bins around each bin; (batch, marks, bins), as all."""
    return torch.asinh(box(raw, PEER_BINS, 1) / box(there, PEER_BINS, 1).clamp(min=1e-6))


def rescale(reference: Tensor, quantiles: Tensor, share: float) -> Tensor:
    """The quantile function that each mark is taken to have, arcsinh(-log10 p), (batch, marks, knots).

    That of a visible mark is known. A hidden one is taken to be as much stronger or weaker than the reference as the
    visible ones are on average, times `share`.
    """
    visible = (quantiles.amax(dim=-1, keepdim=True) > 0).float()
    known = knots_of(quantiles)
    excess = ((known - reference) * visible).sum(dim=1, keepdim=True) / visible.sum(dim=1, keepdim=True).clamp(min=1)
    guessed = cummax(reference + share * excess, -1)
    return torch.where(visible > 0, known, guessed.clamp(min=0))


def decode(
    probabilities: Tensor, heights: Tensor, ranks: Tensor, peers: Tensor, weight: Tensor, readout: Readout
) -> tuple[Tensor, Tensor, Tensor]:
    """Decode probabilities to the imputed value and its bounds, each -log10 p-value (batch, marks, bins).

    Parameters
    ----------
    probabilities
        Of lying above each threshold, (batch, marks, thresholds, bins).
    heights
        Quantile functions, arcsinh(-log10 p), (batch, marks, knots).
    ranks
        Mean rank between two thresholds, (thresholds + 1).
    peers, weight
        The panel's mean, arcsinh(-log10 p), and its weight; (batch, marks, bins).
    """
    above = 1 - cummax(1 - probabilities, 2)
    edges = torch.cat([heights, heights[..., -1:] + BEYOND], dim=-1)
    middles = (edges[..., 1:] + edges[..., :-1]) / 2
    values = torch.sinh(middles)
    scales = torch.stack([middles, values.sqrt(), values, ranks.expand_as(middles)], dim=2)
    # The mean of a function of the value: where it starts, and each step of it times the probability to lie above.
    means = scales[..., :1] + scales.diff(dim=-1) @ above
    height, root, value, rank = means.unbind(dim=2)
    blended = readout.height * height + readout.root * torch.asinh(root.square()) + readout.value * torch.asinh(value)
    blended = (blended + readout.rank * (rank - 0.5)).lerp(peers, weight).clamp(min=0)
    low, high = (_crossing(above, edges, share) for share in (1 - readout.tail, readout.tail))
    return torch.sinh(blended), torch.sinh(low.minimum(blended)), torch.sinh(high.maximum(blended))


def _crossing(above: Tensor, edges: Tensor, share: float) -> Tensor:
    """Height that a bin exceeds with a probability of `share`, linear between edges; (batch, marks, bins)."""
    total = edges[..., :1].expand(-1, -1, above.shape[-1])
    for k in range(edges.shape[-1] - 1):
        left = above[:, :, k - 1] if k else torch.ones_like(above[:, :, 0])
        right = above[:, :, k] if k < above.shape[2] else torch.zeros_like(left)
        within = ((left - share) / (left - right).clamp(min=1e-6)).clamp(0, 1)
        total = total + within * (edges[..., k + 1] - edges[..., k])[..., None]
    return total
