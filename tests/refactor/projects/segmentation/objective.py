"""Deep supervision: the loss of both masks, and of the class."""

import torch.nn.functional as F


def multi_task_loss(outputs, mask, label):
    main, aux, logits = outputs
    small = F.interpolate(mask, scale_factor=0.5)
    return (
        F.binary_cross_entropy_with_logits(main, mask)
        + 0.4 * F.binary_cross_entropy_with_logits(aux, small)
        + F.cross_entropy(logits, label)
    )


def dice(outputs, mask):
    predicted = (outputs[0] > 0.5).float()
    return 2 * (predicted * mask).sum() / (predicted.sum() + mask.sum() + 1)
