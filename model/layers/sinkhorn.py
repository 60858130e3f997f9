"""Balanced assignment (SaviorRec section 3.2): codes share the batch evenly while the codebook is being trained."""

import tensorflow as tf

EPSILON = 0.05
ITERATIONS = 50


def sinkhorn_plan(cost, epsilon: float = EPSILON, iterations: int = ITERATIONS):
    """The entropic transport plan from B rows of weight 1 to K columns of weight B / K (R12).

    The cost is rescaled to [0, 1] by its own minimum and maximum. From its row softmax on, columns are scaled, then rows,
    in the log domain, so rows sum to 1 exactly and columns to B / K at convergence.

    Args:
      cost: float[B, K].
      epsilon: entropy; the smaller, the nearer to a hard and balanced assignment.
    Returns:
      float[B, K] of the cost's dtype.
    Raises:
      ValueError: not a matrix, epsilon not positive or iterations negative.
    """
    cost = tf.convert_to_tensor(cost)
    if cost.shape.rank != 2 or epsilon <= 0 or iterations < 0:
        raise ValueError(f"expected cost [B, K], epsilon > 0 and iterations >= 0, got {cost.shape}, {epsilon}, {iterations}")
    low, high = tf.reduce_min(cost), tf.reduce_max(cost)
    scaled = (cost - low) / tf.where(high > low, high - low, tf.ones_like(high))
    rows, columns = tf.unstack(tf.cast(tf.shape(cost), cost.dtype))
    log_share = tf.math.log(rows) - tf.math.log(columns)
    log_plan = tf.nn.log_softmax(-scaled / epsilon, axis=1)
    for _ in tf.range(iterations):
        log_plan = tf.nn.log_softmax(log_plan + log_share - tf.reduce_logsumexp(log_plan, axis=0, keepdims=True), axis=1)
    return tf.exp(log_plan)


def sinkhorn_codes(cost, epsilon: float = EPSILON, iterations: int = ITERATIONS):
    """int32[B]: each row's largest share of the plan, the lowest index among equals. For training only: a single item
    at inference takes the nearest code."""
    plan = sinkhorn_plan(tf.stop_gradient(cost), epsilon, iterations)
    return tf.argmax(plan, axis=1, output_type=tf.int32)


def column_error(plan):
    """How far the plan is from balance: the largest deviation of a column's sum from B / K."""
    return tf.reduce_max(tf.abs(tf.reduce_sum(plan, axis=0) - plan.shape[0] / plan.shape[1]))
