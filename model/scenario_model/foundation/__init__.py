"""Foundation models: imported from a Hugging Face directory or a GGUF file, checked, and tested by use."""
