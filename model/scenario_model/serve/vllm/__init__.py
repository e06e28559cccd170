"""vLLM behind the gateway: its own process and environment, behind a private socket.

`VllmEngine(model_dir, settings, cache)` starts it and waits until the model is loaded; the interface is the
same as the bundled engine's. The caller must have verified the release. https://docs.vllm.ai
"""
