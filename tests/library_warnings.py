"""What transformers 5.17 warns of itself: marks for those tests, which are strict otherwise, that run its models."""

import pytest

MLLAMA_WARNS = pytest.mark.filterwarnings("ignore:`hidden_state` is deprecated:FutureWarning")
"""Parts of its own Mllama are called by a deprecated name."""
NUMPY_WARNS = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning")
"""It gives NumPy a tensor."""
