"""How every plot looks: colours that colour-blind readers can tell apart (Okabe and Ito 2008), and one style."""

from typing import Any

INK = "#0b0b0c"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#7F5FC9")
ON_BLACK = ("#56A8E0", "#FF8A3D", "#2EC4A0", "#E39AC4", "#F2B632", "#8FD0F5", "#C4A063", "#A893EE")  # the same, lighter
STYLE: Any = {
    "font.size": 11,
    "text.parse_math": False,  # a $ in a label is a $
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.facecolor": "none",
    "grid.alpha": 0.18,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "svg.fonttype": "none",  # text stays text: small, sharp, in the page's own font
    "svg.hashsalt": "diabolo",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
}
