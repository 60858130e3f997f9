"""SMILE's loss: ranking, transfer and contrast (Eq. 9)."""

TRANSFER_LOSS_WEIGHT = 0.01
OPQ_LOSS_WEIGHT = 0.05


def smile_total(bce, transfer, contrast, transfer_loss_weight: float = TRANSFER_LOSS_WEIGHT,
                opq_loss_weight: float = OPQ_LOSS_WEIGHT):
    """bce + transfer_loss_weight x transfer + opq_loss_weight x contrast; the weights as printed."""
    return bce + transfer_loss_weight * transfer + opq_loss_weight * contrast
