"""One trainer for the six networks: its batches, the teacher's outputs, stored runs and several processes."""
