"""llama.cpp, through the low-level bindings of llama-cpp-python.

`library.py` the shared library and its log; `model.py` weights and vocabulary; `context.py` the KV cache and forward
passes; `sequences.py` what the decoding loop sees; `engine.py` models and contexts by their specs.
"""
