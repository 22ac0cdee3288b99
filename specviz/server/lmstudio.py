"""What LM Studio's REST API (v0) adds to OpenAI's shapes."""

from __future__ import annotations

from typing import Any

from specviz.server.answer import Answer
from specviz.server.catalogue import Offered
from specviz.server.jobs import Job
from specviz.server.loaded import LoadedPairs
from specviz.server.openai import OpenAI, usage


class LMStudio(OpenAI):
    """How an answer is written for LM Studio's clients."""

    def last(self, answer: Answer, job: Job) -> dict[str, Any]:
        """Return the chunk that closes the answer; it has the usage, asked for or not."""
        return super().last(answer, job) | {"usage": usage(job)}

    def more(self, answer: Answer, job: Job) -> dict[str, Any]:
        """Return what stands beside the answer."""
        assert job.trace is not None
        main, format = job.trace.header.main, job.ask.choice.main.format
        name, _, version = job.trace.header.engine.removesuffix(")").partition(" (")
        return super().more(answer, job) | {
            "model_info": {
                "arch": main.architecture,
                "quant": main.quantization,
                "format": format,
                "context_length": main.n_ctx,
            },
            "runtime": {"name": name, "version": version, "supported_formats": [format]},
        }


def model_shape(offered: Offered, pairs: LoadedPairs) -> dict[str, Any]:
    """Return what LM Studio tells of a model."""
    card = offered.card
    loaded = offered.id in pairs.ids
    context = pairs.context_of(offered)
    return {
        "id": offered.id,
        "object": "model",
        "type": "llm",
        "publisher": card.source if card is not None else "",
        "arch": card.architecture if card is not None else "",
        "compatibility_type": offered.format,
        "quantization": card.quantization if card is not None else offered.model.file_type,
        "state": "loaded" if loaded else "not-loaded",
        "max_context_length": card.n_ctx if card is not None else 0,
    } | ({} if context is None else {"loaded_context_length": context})
