"""vLLM behind the gateway: a process of its own, of an environment of its own, behind a private socket.

`VllmEngine(model_dir, settings, cache)` starts it and waits until the model is loaded; what follows is the
same as with the bundled engine. The caller has verified the release before. https://docs.vllm.ai
"""
