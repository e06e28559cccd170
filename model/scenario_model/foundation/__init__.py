"""Foundation models: brought in from a Hugging Face directory or a GGUF file, checked, proven by use."""
