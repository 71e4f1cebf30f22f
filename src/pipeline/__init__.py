"""Two-stage multi-teacher knowledge distillation."""

import os

# Threads of OpenMP that wait for each other keep their cores busy for a long time, which on a
# machine with other work takes them from the threads that they wait for. Read by the library when
# PyTorch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
