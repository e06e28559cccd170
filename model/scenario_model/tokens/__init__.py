"""From text and conversations to token ids: the one way for training, evaluation and serving."""
