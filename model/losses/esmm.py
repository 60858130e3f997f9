"""The two tasks of every ranker: CTR, and CTCVR = CTR x CVR over all impressions (GateSID section 3.1, R22)."""

from typing import NamedTuple

import tensorflow as tf


class Esmm(NamedTuple):
    """Probabilities float[B] and mean losses float[]."""

    pctr: tf.Tensor
    pcvr: tf.Tensor
    pctcvr: tf.Tensor
    ctr_loss: tf.Tensor
    ctcvr_loss: tf.Tensor
    loss: tf.Tensor


def esmm(ctr_logits, cvr_logits, clicks, orders, ctcvr_weight: float = 1.0) -> Esmm:
    """Both probabilities and BCE(click, pCTR) + ctcvr_weight x BCE(order, pCTR pCVR).

    Args:
      ctr_logits, cvr_logits: float[B].
      clicks, orders: [B] of 0 and 1; an order has its click.
      ctcvr_weight: 1 (equal weights are our choice), 0 masks the second task.
    Raises:
      ValueError: eagerly, an order without a click.
    """
    clicks, orders = tf.cast(clicks, ctr_logits.dtype), tf.cast(orders, ctr_logits.dtype)
    check_labels(clicks, orders)
    pctr, pcvr = tf.sigmoid(ctr_logits), tf.sigmoid(cvr_logits)
    ctr_loss = tf.reduce_mean(click_loss(clicks, ctr_logits))
    ctcvr_loss = tf.reduce_mean(order_loss(orders, ctr_logits, cvr_logits))
    return Esmm(pctr, pcvr, pctr * pcvr, ctr_loss, ctcvr_loss, ctr_loss + ctcvr_weight * ctcvr_loss)


def check_labels(clicks, orders) -> None:
    if tf.executing_eagerly() and tf.reduce_any(orders > clicks):
        row = int(tf.where(orders > clicks)[0, 0])
        raise ValueError(f"an order needs its click, row {row} has an order without one: set its click, or drop the order")


def click_loss(clicks, ctr_logits):
    """Cross entropy of the click, float[B]."""
    return tf.nn.sigmoid_cross_entropy_with_logits(clicks, ctr_logits)


def order_loss(orders, ctr_logits, cvr_logits):
    """Cross entropy of click and order against sigmoid(a) sigmoid(b), float[B], finite for any logits.

    log(1 - sigmoid(a) sigmoid(b)) = logsumexp(-a, -b, -a-b) + log sigmoid(a) + log sigmoid(b); 1 - p itself would be 0.
    """
    log_both = tf.math.log_sigmoid(ctr_logits) + tf.math.log_sigmoid(cvr_logits)
    either_fails = tf.reduce_logsumexp(tf.stack([-ctr_logits, -cvr_logits, -ctr_logits - cvr_logits]), axis=0)
    return -(orders * log_both + (1 - orders) * (either_fails + log_both))
