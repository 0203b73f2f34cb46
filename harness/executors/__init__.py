"""Where passes are run: in a process of this machine, or shared out over the nodes of a Ray cluster."""

from harness.executors.local import LocalExecutor
from harness.executors.nodes import NodeGroup, grouped_nodes
from harness.executors.protocol import Executor, ExecutorError
from harness.executors.sharding import Limits
from harness.executors.transport import RayOptions

__all__ = [
    "Executor",
    "ExecutorError",
    "Limits",
    "LocalExecutor",
    "NodeGroup",
    "RayOptions",
    "grouped_nodes",
]
