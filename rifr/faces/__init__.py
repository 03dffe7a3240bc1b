"""The rendered face set: people that never lived, photographed by a camera that knows the truth.

`render(RenderSpec("train", people=400, images_per_person=20), "store/packs/train")` draws each person (identity), takes
each photo (capture) and writes a `FacePack`. An image is a function of its identity and its capture; both come from
streams of random numbers that belong to (seed, split, person[, photo]).
"""

from rifr.faces.faceset import RenderSpec, key, photograph_person, render

__all__ = ["RenderSpec", "key", "photograph_person", "render"]
