"""rifr: resolution-invariant face recognition after Khalid et al. (2020), with everything it reports measured."""

__version__ = "0.1.0"
