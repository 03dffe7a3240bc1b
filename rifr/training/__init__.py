"""One trainer for the six networks: its batches, the teacher's outputs, stored runs and several processes."""

import rifr.methods  # noqa: F401 (a stored run is opened by the rows and the networks that it adds)
