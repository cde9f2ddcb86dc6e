"""Learning curves: the losses of fitted models by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from models.base import FitReport


def draw_curves(fits: Mapping[str, FitReport]) -> bytes:
    """A PNG with one panel per model that learned in epochs: training and validation loss, and the epoch kept."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = {name: fit for name, fit in fits.items() if fit.train_loss}
    figure, panels = pyplot.subplots(
        1, max(len(shown), 1), figsize=(4.5 * max(len(shown), 1), 2.8), layout="constrained", squeeze=False
    )
    for panel, (name, fit) in zip(panels[0], shown.items(), strict=False):
        epochs = range(1, fit.epochs + 1)
        panel.plot(epochs, fit.train_loss, color="#7a7f87", label="training")
        panel.plot(epochs, fit.valid_loss, color="#1f6f54", label="validation")
        panel.axvline(fit.best_epoch, color="#30343b", linewidth=1, linestyle=":", label="kept")
        panel.set_title(name.replace("_", " "), fontsize=10)
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    panels[0][0].set_ylabel("loss")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return picture.getvalue()
