"""The simulated ZooKeeper is the coordinator's tests'; these use it too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "coordinator"))
