"""Descent, looked at: tuned SGD with momentum beside Adam as it comes, on two classical surfaces.

The chapter says that a well-tuned momentum can end better than an adaptive method that nobody tuned. Run it where
lossopt and matplotlib are installed; it writes descent.png.
"""

from matplotlib.figure import Figure

import lossopt as lo
from lossopt import surfaces

WAYS = {"SGD with momentum, tuned": {"rosenbrock": lo.SGD(1e-3, momentum=0.9), "beale": lo.SGD(1e-3, momentum=0.9)}}
WAYS["Adam, as it comes"] = dict.fromkeys(("rosenbrock", "beale"), lo.Adam())

figure = Figure(figsize=(11, 5), layout="constrained")
for name, ax in zip(("rosenbrock", "beale"), figure.subplots(1, 2), strict=True):
    surface = surfaces.SURFACES[name]
    ways = {who: surfaces.descend(surface, optimizers[name], 500) for who, optimizers in WAYS.items()}
    surfaces.plot(surface, ways, ax=ax)
    for who, way in ways.items():
        print(f"{name:12} {who:26} ends at {surface.function(way[-1])[0]:.3g}")
figure.savefig("descent.png", dpi=120)
