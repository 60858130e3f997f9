"""SMILE with one part left out: the rows of its ablation table. ID + RQ is `smile.SmileWithoutOpq`."""

import tensorflow as tf

from model.rankers.smile import Smile
from model.rankers.trunk import Interest, View


class SidOnly(Smile):
    """RQ and OPQ in place of ids: no gate, and no losses that relate the two."""

    def look_up(self, features) -> View:
        view = super().look_up(features)
        return view._replace(item_emb=tf.zeros_like(view.item_emb), history_item=tf.zeros_like(view.history_item))

    def weigh(self, view: View) -> tf.Tensor:
        return tf.ones([tf.shape(view.item_emb)[0], 1])

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        return tf.zeros([])


class IdAndSid(Smile):
    """Ids, RQ and OPQ added up alike for every item: no gate, no transfer, no contrast."""

    def weigh(self, view: View) -> tf.Tensor:
        return tf.fill([tf.shape(view.item_emb)[0], 1], 0.5)

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        return tf.zeros([])


class WithoutRq(Smile):
    """ID + OPQ: ids with the fine codes and their contrast; nothing to transfer from."""

    def weigh(self, view: View) -> tf.Tensor:
        return tf.zeros([tf.shape(view.item_emb)[0], 1])

    def auxiliary_loss(self, view: View, interest: Interest) -> tf.Tensor:
        return self.config.opq_loss_weight * self.contrast(view, interest)
