"""Makes the small language model for offline use: corpus, tokenizer, pre-training, card."""
