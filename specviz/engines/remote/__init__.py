"""Servers that run elsewhere, or were started by somebody else: as much of a trace as they tell.

client.py        the `Client` that stands for a server; detect.py: which kind of server it is
llama_server.py  llama.cpp's server: every round, but not what was refused
openai_like.py   LM Studio, `specviz serve` and vLLM: totals only
capabilities.py  what each can tell
http.py          requests and streams
"""
