"""Request → rows → scores: export, the embedded model server, promotion and the ranking call."""

import os

# TensorFlow Recommenders needs Keras 2, in every process that imports TensorFlow, and before it does.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
