"""Tensors with named axes: layers, losses, rankers, their training and evaluation.

TensorFlow Recommenders needs Keras 2, which TensorFlow takes only if this is set before its first import.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
