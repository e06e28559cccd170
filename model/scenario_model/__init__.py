"""Import, fine-tune, evaluate, release and serve a language model on one's own hosts."""
