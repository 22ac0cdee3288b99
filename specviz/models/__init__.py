"""The models on this machine: where they are, which are there for the demo.

`demo.py` the pair that comes with specviz; `library.py` finding a model by what a user calls it.
"""

from specviz.models.demo import demo_drafts, demo_mains
from specviz.models.library import LocalModel, ModelNotFoundError, find_model

__all__ = ["LocalModel", "ModelNotFoundError", "demo_drafts", "demo_mains", "find_model"]
