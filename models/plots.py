"""Figures: the course of a training, and predictions against labels. They need matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shc.featurize.writing import whole_file
from shc.models.metrics import score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.models.member import EpochLog

UNIT = r"($\hbar/e$) S/cm"
_DENSITY_BINS = 128
_DENSITY_WIDTH = 2.0
"""Standard deviation of the Gaussian that smooths the density, in bins."""


def _figure(width: float, height: float) -> Any | None:  # noqa: ANN401  # matplotlib is optional and untyped here
    """An empty figure, in inches; None where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # optional, and slow to import
    except ImportError:
        return None
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> Path:  # noqa: ANN401
    with whole_file(path) as temporary:
        # Without a date and version the same data give the same file.
        figure.savefig(temporary, dpi=150, format="png", metadata={"Software": None})
    return path


def learning_curve(rows: Sequence[EpochLog], path: Path) -> Path | None:
    """Draw train and held-out loss of every member over the epochs.

    Args:
        rows: Epochs of all members.
        path: PNG file to write.

    Returns:
        The path, or None where matplotlib is not installed.
    """
    figure = _figure(7.0, 4.2)
    if figure is None:
        return None
    axes = figure.add_subplot()
    for member in sorted({row.member for row in rows}):
        mine = [row for row in rows if row.member == member]
        epochs = [row.epoch for row in mine]
        first = "_" if member != rows[0].member else ""
        axes.plot(
            epochs, [r.train_loss for r in mine], color="tab:blue", alpha=0.5, lw=1, label=f"{first}training rows"
        )
        held_out = [row.held_out_loss for row in mine]
        axes.plot(epochs, held_out, color="tab:orange", lw=1.2, label=f"{first}held-out rows")
        best = int(np.argmin([row.held_out_error for row in mine]))
        axes.plot(epochs[best], held_out[best], "o", color="tab:red", ms=4, label=f"{first}weights kept")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss per crystal")
    axes.legend(frameon=False)
    return _save(figure, path)


def local_density(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density of points around each of n points: a histogram on a grid, smoothed by a Gaussian.

    Args:
        x: ``[n]``.
        y: ``[n]``, on the same axis range as x.

    Returns:
        ``[n]`` from above 0 to 1, the densest place being 1.
    """
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    edges = np.linspace(low, high if high > low else low + 1.0, _DENSITY_BINS + 1)
    column, row = (np.clip(np.digitize(v, edges) - 1, 0, _DENSITY_BINS - 1) for v in (x, y))
    grid = np.zeros((_DENSITY_BINS, _DENSITY_BINS))
    np.add.at(grid, (column, row), 1.0)
    bins = np.arange(_DENSITY_BINS)
    blur = np.exp(-0.5 * ((bins[:, None] - bins[None, :]) / _DENSITY_WIDTH) ** 2)
    density = (blur @ grid @ blur)[column, row]
    scaled: NDArray[np.float64] = density / density.max()
    return scaled


def parity_plot(
    label: NDArray[np.float64], predicted: NDArray[np.float64], path: Path, *, title: str = ""
) -> Path | None:
    """Draw predictions against labels, coloured by local density, with the distribution of both on the right.

    Args:
        label: ``[n]`` labels, (hbar/e) S/cm.
        predicted: ``[n]`` predictions, (hbar/e) S/cm.
        path: PNG file to write.
        title: Text above the figure.

    Returns:
        The path, or None where matplotlib is not installed.
    """
    figure = _figure(6.4, 4.8)
    if figure is None:
        return None
    main, side = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    # In sqrt(SHC) the points spread evenly, as the model sees them; near 0 they still crowd, hence the log scale.
    density = local_density(np.sqrt(label), np.sqrt(predicted))
    order = np.argsort(density, kind="stable")
    points = main.scatter(label[order], predicted[order], c=density[order], s=7, cmap="viridis", norm="log", lw=0)
    top = 1.04 * max(float(label.max()), float(predicted.max()), 1.0)
    main.plot([0, top], [0, top], color="0.4", lw=0.8)
    main.set(xlim=(0, top), ylim=(0, top))
    main.set_xlabel(f"label, largest |SHC| {UNIT}")
    main.set_ylabel(f"predicted, largest |SHC| {UNIT}")
    ends = [float(density.min()), 1.0]
    label_of_bar = "local density of points (1 = densest)"
    bar = figure.colorbar(points, ax=main, location="top", shrink=0.6, label=label_of_bar, ticks=ends, format="%.2g")
    bar.minorticks_off()
    bins = np.linspace(0.0, top, 41)
    side.hist(predicted, bins=bins, orientation="horizontal", color="tab:blue", alpha=0.8, label="predicted")
    side.hist(label, bins=bins, orientation="horizontal", histtype="step", color="k", lw=0.8, label="label")
    side.set_xlabel("crystals")
    side.legend(frameon=False, fontsize=7)
    if title:
        figure.suptitle(title)
    return _save(figure, path)


def parity_panels(sets: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], path: Path) -> Path | None:
    """Draw predictions against labels of several models side by side, coloured by local density.

    Args:
        sets: By title: ``[n]`` labels and ``[n]`` predictions, (hbar/e) S/cm; at least one.
        path: PNG file to write.

    Returns:
        The path, or None where matplotlib is not installed.
    """
    n_columns = min(4, len(sets))
    n_rows = -(-len(sets) // n_columns)
    figure = _figure(3.0 * n_columns, 3.1 * n_rows)
    if figure is None:
        return None
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    top = 1.04 * max(1.0, *(float(each.max()) for pair in sets.values() for each in pair))
    for axes in panels.flat[len(sets) :]:
        axes.set_visible(False)
    for axes, (title, (label, predicted)) in zip(panels.flat, sets.items(), strict=False):
        density = local_density(np.sqrt(label), np.sqrt(predicted))
        order = np.argsort(density, kind="stable")
        axes.scatter(label[order], predicted[order], c=density[order], s=4, cmap="viridis", norm="log", lw=0)
        axes.plot([0, top], [0, top], color="0.4", lw=0.8)
        axes.set(xlim=(0, top), ylim=(0, top))
        scores = score(predicted, label)
        axes.set_title(f"{title}\nR2 {scores.r2:.3f}, MAE {scores.mae:.0f}", fontsize=8)
    figure.supxlabel(f"label, largest |SHC| {UNIT}", fontsize=9)
    figure.supylabel(f"predicted {UNIT}", fontsize=9)
    return _save(figure, path)


def residual_plot(
    residual: NDArray[np.float64], groups: Mapping[str, Sequence[str]], path: Path, *, title: str = ""
) -> Path | None:
    """Draw the distribution of residuals by group, one panel for each way to group the crystals.

    Args:
        residual: ``[n]`` predicted minus label, (hbar/e) S/cm.
        groups: For each way, its name and the group of each of the n crystals, named so that names sort well.
        path: PNG file to write.
        title: Text above the figure.

    Returns:
        The path, or None where matplotlib is not installed.
    """
    figure = _figure(4.2 * len(groups), 4.0)
    if figure is None:
        return None
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, (name, group) in zip(panels, groups.items(), strict=True):
        labels = sorted(set(group))
        members = [residual[[each == label for each in group]] for label in labels]
        axes.axhline(0.0, color="0.6", lw=0.8)
        axes.boxplot(members, whis=(5, 95), showfliers=False, widths=0.6, medianprops={"color": "tab:red"})
        ticks = [f"{label}\n{len(some)}" for label, some in zip(labels, members, strict=True)]
        axes.set_xticks(range(1, len(labels) + 1), ticks, fontsize=7)
        axes.set_xlabel(f"{name}, and number of crystals")
    figure.axes[0].set_ylabel(f"predicted minus label {UNIT}\nbox: quartiles, whiskers: 5 to 95 %")
    if title:
        figure.suptitle(title)
    return _save(figure, path)


def importance_plot(
    names: Sequence[str], rises: Sequence[NDArray[np.float64]], path: Path, *, title: str = ""
) -> Path | None:
    """Draw what groups of features are worth: bars of the mean over permutations, with every permutation as a point.

    Args:
        names: Name of each group, the most important one first.
        rises: Rise of RMSE of each group, one value a permutation, (hbar/e) S/cm.
        path: PNG file to write.
        title: Text above the figure.

    Returns:
        The path, or None where matplotlib is not installed.
    """
    figure = _figure(6.0, 1.0 + 0.5 * len(names))
    if figure is None:
        return None
    axes = figure.add_subplot()
    axes.barh(names, [float(rise.mean()) for rise in rises], color="tab:blue", alpha=0.6, height=0.6)
    for place, rise in enumerate(rises):
        axes.plot(rise, np.full(len(rise), place), "o", color="k", ms=3, alpha=0.6)
    axes.axvline(0.0, color="0.6", lw=0.8)
    axes.invert_yaxis()
    axes.set_xlabel(f"rise of RMSE when the group is permuted, {UNIT}")
    if title:
        figure.suptitle(title)
    return _save(figure, path)
