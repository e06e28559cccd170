"""Import, fine-tune, evaluate, release and serve a language model on your own hosts."""
