"""Torch modules, losses and the training core; nothing here knows scikit-learn."""
