"""llama.cpp, through the low-level bindings of llama-cpp-python.

`library.py` the shared library and its log; `devices.py` what it can compute on; `model.py` weights and vocabulary;
`context.py` the KV cache and forward passes; `placement.py` where they really are; `sequences.py` what the decoding
loop sees; `engine.py` models and contexts by their specs; `check.py` what this build can do.
"""
