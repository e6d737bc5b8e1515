"""Example data for language models: customer messages with the shop's replies, and what people think of replies."""
