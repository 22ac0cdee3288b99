"""What Prometheus reads, under the names that vLLM's and llama.cpp's users know.

vLLM's carry the label `model_name` (a model's id), llama.cpp's none. Positions count from 0, as vLLM's do.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from specviz.server.jobs import Job
from specviz.trace.stats import ratio

COUNTED = {
    "prompt_tokens": ("Prompt tokens; in llamacpp: those that were not in the cache.", ("vllm", "llamacpp")),
    "generation_tokens": ("Output tokens.", ("vllm",)),
    "tokens_predicted": ("Output tokens.", ("llamacpp",)),
    "prompt_seconds": ("Time of prompt processing.", ("llamacpp",)),
    "tokens_predicted_seconds": ("Time of decoding.", ("llamacpp",)),
    "n_decode": ("Rounds of decoding.", ("llamacpp",)),
    "spec_decode_num_drafts": ("Rounds that sent a draft.", ("vllm", "llamacpp")),
    "spec_decode_num_draft_tokens": ("Drafted tokens.", ("vllm", "llamacpp")),
    "spec_decode_num_accepted_tokens": ("Accepted draft tokens.", ("vllm", "llamacpp")),
}
"""Name -> what it counts, and in whose words."""
PER_POSITION = "spec_decode_num_accepted_tokens_per_pos"
RATES = {
    "predicted_tokens_seconds": ("tokens_predicted", "tokens_predicted_seconds", "Output tokens a second, on average."),
    "prompt_tokens_seconds": ("prompt_tokens", "prompt_seconds", "Prompt tokens a second, on average."),
}
TTFT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters of one server.

    Parameters
    ----------
    running, waiting
        Return the requests that are answered now, and those that wait.
    """

    def __init__(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        self._running, self._waiting = running, waiting
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        """(dialect, name, model) -> amount."""
        self._accepted: Counter[tuple[str, int]] = Counter()
        """(model, position) -> accepted draft tokens."""
        self._outcomes: Counter[str] = Counter()
        self._first_token: dict[str, list[float]] = {}
        """Model -> requests by bucket, and the sum of their times."""
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def ended(self, job: Job, how: str) -> None:
        """Count a generation that has ended."""
        with self._lock:
            self._outcomes[how] += 1
            trace = job.trace
            if trace is None or trace.summary is None:
                return
            model, tally, summary = job.ask.choice.main.id, trace.tally, trace.summary
            prompt = len(trace.header.prompt_ids)
            amounts = {
                "generation_tokens": tally.tokens,
                "tokens_predicted": tally.tokens,
                "prompt_seconds": summary.prompt_seconds,
                "tokens_predicted_seconds": tally.seconds,
                "n_decode": tally.rounds,
                "spec_decode_num_drafts": tally.drafting_rounds,
                "spec_decode_num_draft_tokens": tally.drafted,
                "spec_decode_num_accepted_tokens": tally.accepted,
            }
            for name, (_, dialects) in COUNTED.items():
                for dialect in dialects:
                    reused = summary.prompt_reused if dialect == "llamacpp" else 0
                    amount = prompt - reused if name == "prompt_tokens" else amounts[name]
                    self._counts[dialect, name, model] += amount  # type: ignore[assignment]
            for i, accepted in enumerate(tally.accepted_at):
                self._accepted[model, i] += accepted
            if summary.time_to_first_token is not None:
                times = self._first_token.setdefault(model, [0.0] * (len(TTFT_BUCKETS) + 2))
                times[bisect_left(TTFT_BUCKETS, summary.time_to_first_token)] += 1
                times[-1] += summary.time_to_first_token

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, as `prometheus_client` wants them."""
        with self._lock:
            yield from list(self._metrics())

    def _metrics(self) -> Iterator[Metric]:
        outcomes = CounterMetricFamily("specviz:requests", "Generations, by how they ended.", labels=["outcome"])
        for how, n in self._outcomes.items():
            outcomes.add_metric([how], n)
        yield outcomes
        models = sorted({model for _, _, model in self._counts})
        for name, (text, dialects) in COUNTED.items():
            if "vllm" in dialects:
                family = CounterMetricFamily(f"vllm:{name}", text, labels=["model_name"])
                for model in models:
                    family.add_metric([model], self._counts["vllm", name, model])
                yield family
            if "llamacpp" in dialects:
                yield CounterMetricFamily(f"llamacpp:{name}", text, value=self._total(name))
        of_model = CounterMetricFamily(f"vllm:{PER_POSITION}", "By position.", labels=["model_name", "position"])
        totals: Counter[int] = Counter()
        for (model, i), accepted in sorted(self._accepted.items()):
            of_model.add_metric([model, str(i)], accepted)
            totals[i] += accepted
        of_all = CounterMetricFamily(f"llamacpp:{PER_POSITION}", "By position.", labels=["position"])
        for i, accepted in sorted(totals.items()):
            of_all.add_metric([str(i)], accepted)
        yield from (of_model, of_all)
        for name, (numerator, denominator, text) in RATES.items():
            rate = ratio(self._total(numerator), self._total(denominator)) or 0.0
            yield GaugeMetricFamily(f"llamacpp:{name}", text, value=rate)
        for name, read in (
            ("llamacpp:requests_processing", self._running),
            ("vllm:num_requests_running", self._running),
            ("llamacpp:requests_deferred", self._waiting),
            ("vllm:num_requests_waiting", self._waiting),
        ):
            yield GaugeMetricFamily(name, "Requests at this moment.", value=read())
        first = HistogramMetricFamily(
            "vllm:time_to_first_token_seconds", "From the start of prompt processing.", labels=["model_name"]
        )
        for model, times in self._first_token.items():
            below = [sum(times[: i + 1]) for i in range(len(TTFT_BUCKETS) + 1)]
            bounds = [*map(str, TTFT_BUCKETS), "+Inf"]
            first.add_metric([model], list(zip(bounds, below, strict=True)), times[-1])
        yield first

    def _total(self, name: str) -> float:
        return sum(amount for (dialect, of, _), amount in self._counts.items() if (dialect, of) == ("llamacpp", name))

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry)
