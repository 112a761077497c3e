"""Trains with Lightning's trainer."""

import lightning.pytorch as pl
import torch

from datamodule import BlobsModule
from module import Classifier


def main():
    torch.manual_seed(0)
    model, data = Classifier(), BlobsModule()
    trainer = pl.Trainer(
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(model, datamodule=data)
    predictions = trainer.predict(model, datamodule=data)
    embeddings = torch.cat([embedding for _, embedding in predictions])
    return [*model.history, embeddings.sum().item()], model


if __name__ == "__main__":
    print(main()[0])
