"""What MLflow users get: a model version that MLflow itself can load."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.registry import tracking, versions
from ftcore.store import publish_folder


@pytest.mark.slow
def test_mlflow_loads_the_champion(with_mlflow: Path) -> None:
    import mlflow
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    from ftcore.models.loading import save_classifier

    words = with_mlflow / "vocab.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lost", "card"]))
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=2
    )
    model, tokenizer = BertForSequenceClassification(config), BertTokenizerFast(str(words))
    draft = with_mlflow / "draft"
    digest = save_classifier(model, tokenizer, ("no", "yes"), draft / "model")
    folder = with_mlflow / "packages" / digest
    publish_folder(draft, folder)
    client = tracking.connect()
    version = versions.ensure_version(client, "intents", digest, folder, lambda step: None)
    versions.set_champion(client, "intents", version, "p1", lambda step: None)
    assert versions.shown_champion(client, "intents") == versions.Shown(
        version="1", model_digest=digest, promotion_id="p1"
    )
    mlflow.set_tracking_uri(tracking.tracking_uri())
    pipeline = mlflow.transformers.load_model("models:/intents@champion", device="cpu")
    assert pipeline("lost card")[0]["label"] in ("no", "yes")
    frame = mlflow.pyfunc.load_model("models:/intents@champion").predict(["lost card", "card"])
    assert list(frame["label"].isin(["no", "yes"])) == [True, True]
