"""Engines, and the process they run in.

`service.py` what an engine does with requests, `host.py` its process, `client.py` the kernel's side, `messages.py` what
they say to each other, `pair.py` what users hold in their hands; `llamacpp/` the engine on llama.cpp.
"""
