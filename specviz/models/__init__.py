"""The models on this machine: where they are, what they are, which can draft for which.

demo.py             the pair that comes with specviz
library.py          finding a model by what a user calls it
card.py             what is known of a model without loading it
vocabulary.py       all token texts as one run of bytes
gguf_metadata.py    reading GGUF files, hostile ones too (gguf_tables.py: what their numbers mean)
mlx_metadata.py     reading safetensors, config.json and tokenizer.json
folders.py          which files make one model
sources.py          where models are kept: Hugging Face, LM Studio, Ollama, llama.cpp, folders
reading.py          from files to a card
compatibility.py    whether one model can draft for another, and why not
advice.py           which of those that can is worth trying first
defaults.py         which one a user wants, remembered
index.py            the Library: all of it, in the background (indexer.py: its process; store.py: its memory)
downloads.py        models from the Hugging Face hub (hub.py: what it has and answers)
convert.py          GGUF files to MLX folders
command.py          `specviz models`
"""

from specviz.models.demo import demo_drafts, demo_mains
from specviz.models.library import NGRAM_LOOKUP, LocalModel, ModelNotFoundError, find_model

__all__ = ["NGRAM_LOOKUP", "LocalModel", "ModelNotFoundError", "demo_drafts", "demo_mains", "find_model"]
