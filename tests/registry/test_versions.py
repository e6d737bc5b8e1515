"""What MLflow users get: a model version that MLflow itself can load."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.registry import tracking, versions
from ftcore.store import publish_folder
from tests.tiny_families import build


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


def make_version(home: Path, family: str, adapter: bool = False) -> str:
    """A package with a model that writes, as a version; returns its digest."""
    from ftcore.models.loading import save_model

    model, tokenizer = build(family)
    if adapter:
        from peft import PrefixTuningConfig, get_peft_model

        model = get_peft_model(model, PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    digest = save_model(model, tokenizer, home / "draft" / "model")
    folder = home / "packages" / digest
    publish_folder(home / "draft", folder)
    client = tracking.connect()
    version = versions.ensure_version(client, "replies", digest, folder, lambda step: None)
    versions.set_champion(client, "replies", version, "p1", lambda step: None)
    return digest


@pytest.mark.slow
def test_mlflow_loads_a_decoder(with_mlflow: Path) -> None:
    import mlflow

    make_version(with_mlflow, "llama")
    mlflow.set_tracking_uri(tracking.tracking_uri())
    pipeline = mlflow.transformers.load_model("models:/replies@champion", device="cpu")
    [written] = pipeline([{"role": "user", "content": "my card is lost"}], max_new_tokens=4, do_sample=False)
    assert written["generated_text"][-1]["role"] == "assistant"
    assert len(mlflow.pyfunc.load_model("models:/replies@champion").predict(["my card"])) == 1


@pytest.mark.slow
def test_mlflow_puts_an_adapter_on_its_base(with_mlflow: Path) -> None:
    import mlflow
    from peft import PeftModel

    make_version(with_mlflow, "llama", adapter=True)
    mlflow.set_tracking_uri(tracking.tracking_uri())
    pipeline = mlflow.transformers.load_model("models:/replies@champion", device="cpu")
    assert isinstance(pipeline.model, PeftModel)


@pytest.mark.slow
def test_mlflow_gives_the_parts_of_an_encoder_decoder(with_mlflow: Path) -> None:
    import mlflow

    make_version(with_mlflow, "t5")
    mlflow.set_tracking_uri(tracking.tracking_uri())
    parts = mlflow.transformers.load_model("models:/replies@champion", return_type="components", device="cpu")
    assert parts["model"].config.is_encoder_decoder and parts["tokenizer"]("my card").input_ids
