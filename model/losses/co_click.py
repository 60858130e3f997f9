"""InfoNCE on co-click pairs (SaviorRec Eq. 3): items that people take together come close, all others apart."""

import tensorflow as tf

from model.layers.l2_normalize import l2_normalize

TEMPERATURE = 0.1


def pair_infonce(anchor, positive, anchor_ids, positive_ids, temperature: float = TEMPERATURE, pool_log_share=None):
    """One direction, from each pair's first item to its second (R10); list both orders for both directions.

    The pool of a batch of P pairs is all its 2P vectors. Entries whose item is the anchor's or the positive's are no
    negatives, whichever pair they come from; other partners of the anchor stay negatives.

    Args:
      anchor, positive: float[P, D]; compared by cosine (R2).
      anchor_ids, positive_ids: int[P].
      pool_log_share: float[2P], log of how often the item of an entry is drawn, anchors first. Taken from its logits (sampled
        softmax; not in the paper): common items, so often negatives, are not pushed away for being common.
    Returns:
      float[P], the loss of each pair; Eq. 3 is its mean. 0 where a pair meets no negative.
    """
    first, second = l2_normalize(anchor), l2_normalize(positive)
    pool_ids = tf.concat([anchor_ids, positive_ids], 0)
    own = (pool_ids == anchor_ids[:, None]) | (pool_ids == positive_ids[:, None])
    logits = tf.matmul(first, tf.concat([first, second], 0), transpose_b=True) / temperature
    negatives = tf.where(own, tf.constant(-1e9, logits.dtype), logits)
    match = tf.reduce_sum(first * second, axis=1, keepdims=True) / temperature
    if pool_log_share is not None:
        negatives -= pool_log_share[None]
        match -= pool_log_share[len(first):, None]
    return tf.reduce_logsumexp(tf.concat([match, negatives], 1), axis=1) - match[:, 0]
