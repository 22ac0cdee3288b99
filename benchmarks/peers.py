"""The peers that our speed is compared with: llama.cpp's own programs, and the high-level class of llama-cpp-python.

All run the libraries that specviz itself runs, so that what differs is what each does around the forward passes: the
programs are built from the sources in llama-cpp-python's source distribution, but link to the `libllama` and `libggml`
of the installed package. All get flash attention, a context of 4,096 tokens, the CPU, one thread count for single
tokens and batches, greedy sampling, the same prompt tokens, and passes of at most 63 tokens: flash attention on the CPU
computes wider ones in another way, whose logits depend (by as much as 0.9) on where a prompt is cut.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import files, version
from importlib.util import find_spec
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import Any

import platformdirs

from specviz.engines.llamacpp.context import EXACT_WIDTH
from specviz.engines.llamacpp.model import Model

PACKAGE = "llama-cpp-python"
PROGRAMS = ("llama-speculative-simple", "llama-server")
CMAKE_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    "-DLLAMA_USE_SYSTEM_GGML=ON",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
)
N_CTX, N_BATCH = 4096, 512
START_SECONDS, REPLY_SECONDS = 60, 600


@dataclass(frozen=True)
class PeerRun:
    """What a peer generated, and how long its decoding took.

    Attributes
    ----------
    token_ids
        All output tokens; None where the program prints text only.
    text
        The output, with the names of control tokens; None where there are ids.
    n_tokens
        Output tokens that `seconds` was spent on. Not always all of them: see each peer.
    seconds
        Decoding alone: no loading, no prompt processing of either model.
    n_drafted, n_accepted
        Tokens drafted, and how many of them the main model took.
    """

    token_ids: tuple[int, ...] | None
    text: str | None
    n_tokens: int
    seconds: float
    n_drafted: int
    n_accepted: int

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed."""
        return self.n_tokens / self.seconds


def build() -> Path:
    """Build the programs, once (some four minutes on two cores), and return the folder they are in.

    They lie in the user's cache folder, under the version of llama-cpp-python and a digest of its libraries and the
    build flags. Takes a C++ compiler; cmake, ninja and the sources come through pip.

    Raises
    ------
    RuntimeError
        If a step fails, with the end of what it said; or if a program would not load the package's own libraries.
    """
    libraries = _libraries()
    digest = hashlib.sha256("\0".join((*CMAKE_FLAGS, str(libraries))).encode())
    for path in sorted(libraries.glob("lib*")):
        digest.update(path.read_bytes())
    target = platformdirs.user_cache_path("specviz") / "peers" / f"{version(PACKAGE)}-{digest.hexdigest()[:12]}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as scratch:
            built = _build_in(Path(scratch), libraries)
            # Another process may have been quicker.
            if not target.is_dir():
                built.rename(target)
    for program in PROGRAMS:
        _check_libraries(target / program, libraries)
    return target


def _libraries() -> Path:
    """Return the folder of the shared libraries that `llama_cpp` loads."""
    spec = find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise RuntimeError(f"{PACKAGE} is not installed")
    return Path(spec.origin).parent / "lib"


def _build_in(scratch: Path, libraries: Path) -> Path:
    """Fetch sources and tools, configure, compile; return a folder with the programs and the libraries they add."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    tools, sources, out, done = (scratch / name for name in ("tools", "sources", "build", "done"))
    _call(*pip, "install", "--target", tools, "cmake", "ninja")
    requirement = f"{PACKAGE}=={version(PACKAGE)}"
    _call(*pip, "download", "--no-deps", "--no-binary", PACKAGE, "--dest", scratch, requirement)
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as archive:
        archive.extractall(sources, filter="data")
    cmake = tools / "cmake" / "data" / "bin" / "cmake"
    ggml = next(Path(str(file.locate())) for file in files(PACKAGE) or [] if file.name == "ggml-config.cmake").parent
    _call(
        *(cmake, "-G", "Ninja", "-S", next(sources.glob("*/vendor/llama.cpp")), "-B", out),
        f"-DCMAKE_MAKE_PROGRAM={tools / 'bin' / 'ninja'}",
        f"-Dggml_DIR={ggml}",
        f"-DCMAKE_INSTALL_RPATH={libraries};$ORIGIN",
        *CMAKE_FLAGS,
    )
    _call("nice", cmake, "--build", out, "--target", *PROGRAMS)
    done.mkdir()
    for path in (out / "bin").iterdir():
        # Of libllama the package's own is loaded.
        if not path.name.startswith("libllama.so"):
            shutil.copy2(path, done, follow_symlinks=False)
    return done


def _call(*command: str | Path) -> None:
    """Run a step of the build."""
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{command} failed with status {ran.returncode}:\n{ran.stdout[-4000:]}")


def _check_libraries(program: Path, libraries: Path) -> None:
    """Make sure that a program runs the same kernels as specviz: those of the same files."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for name in ("libllama.so", "libggml-base.so", "libggml-cpu.so"):
        found = re.search(rf"{re.escape(name)}\S* => (\S+)", said)
        if found is None or Path(found[1]).parent != libraries:
            raise RuntimeError(f"{program.name} would not load {name} from {libraries}:\n{said}")


def _model_arguments(main: Path, n_threads: int, n_batch: int) -> list[str | Path]:
    """Arguments that both programs take for the main model.

    The quickest way to be greedy that `common_sampler` has is top-k 1 alone (0.05 ms a token): its chain always ends in
    a draw from what is left, which takes another 0.5 ms where temperature 0 leaves 49k candidates.
    """
    return [
        *("--model", main, "--offline", "--fit", "off", "--n-gpu-layers", "0", "--flash-attn", "on"),
        *("--ctx-size", str(N_CTX), "--batch-size", str(n_batch), "--ubatch-size", str(EXACT_WIDTH)),
        *("--threads", str(n_threads), "--threads-batch", str(n_threads)),
        *("--samplers", "top_k", "--top-k", "1", "--ignore-eos"),
    ]


def _draft_arguments(draft: Path, n_threads: int, num_draft_tokens: int, p_min: float) -> list[str | Path]:
    """Arguments that both programs take for the draft model."""
    return [
        *("--spec-type", "draft-simple", "--spec-draft-model", draft, "--spec-draft-ngl", "0"),
        *("--spec-draft-threads", str(n_threads), "--spec-draft-threads-batch", str(n_threads)),
        *("--spec-draft-n-max", str(num_draft_tokens), "--spec-draft-p-min", str(p_min)),
    ]


class SpeculativeSimple:
    """llama.cpp's reference program, `examples/speculative-simple`: loads both models anew for each run.

    Its own clock (`decoded N tokens in T seconds`) starts after the prompt but for its last token has been evaluated by
    both models, and stops after the last round: the time is that of N output tokens from N tokens' worth of rounds, the
    first of which includes the last prompt token, as in specviz. Inside it are drafting, verifying, evaluating each
    verify batch once more on the draft model, sampling, and handing each piece of text to the thread that prints.
    Outside are loading, tokenization, prompt processing and the samplers' initialisation.

    It cannot end within a round, and drafts a whole draft in the last one: N is `n_tokens` to `n_tokens` +
    `num_draft_tokens`, counted and timed alike. End tokens are banned in the main model's sampler, but the draft may
    still propose them. `p_min` compares a probability that is normalised over ten candidates.
    """

    def __init__(self, programs: Path, main: Path, draft: Path, n_threads: int) -> None:
        self._program = programs / PROGRAMS[0]
        self._main, self._draft, self._n_threads = main, draft, n_threads
        self._vocabulary = Model(str(main), vocab_only=True)

    def run(self, prompt_ids: Sequence[int], n_tokens: int, num_draft_tokens: int, p_min: float) -> PeerRun:
        """Generate at least `n_tokens`.

        Raises
        ------
        ValueError
            If the prompt's text, which is all the program takes, does not become the same tokens again.
        RuntimeError
            If the program fails, with the end of its log.
        """
        prompt = b"".join(map(self._vocabulary.piece, prompt_ids))
        if self._vocabulary.tokenize(prompt.decode(), add_special=True, parse_special=True) != list(prompt_ids):
            raise ValueError("llama-speculative-simple would read other tokens from the prompt's text")
        with tempfile.NamedTemporaryFile() as file:
            file.write(prompt)
            file.flush()
            command = [
                self._program,
                # It refuses prompts longer than the batch; passes are cut at the micro-batch all the same.
                *_model_arguments(self._main, self._n_threads, n_batch=N_CTX),
                *_draft_arguments(self._draft, self._n_threads, num_draft_tokens, p_min),
                # It goes on while it has no more than --n-predict tokens.
                *("--binary-file", file.name, "--no-escape", "--color", "off", "--n-predict", str(n_tokens - 1)),
            ]
            ran = subprocess.run(command, capture_output=True, check=False)
        log = ran.stderr.decode("utf-8", "replace")
        decoded = re.search(r"decoded\s+(\d+) tokens in\s+\S+ seconds, speed:\s+(\S+) t/s", log)
        counts = [re.search(rf"{name}\s*= (\d+)", log) for name in ("n_drafted", "n_accept")]
        head, tail = b"\n\n" + prompt, b"\n\n\n\n"
        if ran.returncode != 0 or not (decoded and all(counts) and ran.stdout.startswith(head)):
            raise RuntimeError(f"{self._program.name} failed with status {ran.returncode}:\n{log[-4000:]}")
        n_drafted, n_accepted = (int(count[1]) for count in counts if count)
        return PeerRun(
            token_ids=None,
            text=ran.stdout.removeprefix(head).removesuffix(tail).decode("utf-8", "replace"),
            n_tokens=int(decoded[1]),
            seconds=int(decoded[1]) / float(decoded[2]),
            n_drafted=n_drafted,
            n_accepted=n_accepted,
        )


class Server:
    """llama.cpp's server with one slot, with or without a draft model; a context manager.

    Its clock (`timings.predicted_ms`) runs from the first output token, which the prompt's evaluation yields, to the
    last: `n_tokens` is one less than the output. Inside it are drafting, verifying, evaluating each verify batch once
    more on the draft model, copying the sampler with its candidates each round, sampling, looking for stop strings.
    HTTP, JSON and prompt processing are outside: the reply comes in one piece at the end.

    Parameters
    ----------
    programs
        What `build` returned.
    draft
        None: plain decoding.
    num_draft_tokens, p_min
        As in `SpeculativeSimple`; the draft may propose end tokens here too.
    """

    def __init__(
        self, programs: Path, main: Path, draft: Path | None, n_threads: int, num_draft_tokens: int, p_min: float
    ) -> None:
        self._command = [
            programs / PROGRAMS[1],
            *_model_arguments(main, n_threads, n_batch=N_BATCH),
            *("--host", "127.0.0.1", "--parallel", "1", "--no-ui", "--cache-ram", "0"),
        ]
        if draft is not None:
            self._command += _draft_arguments(draft, n_threads, num_draft_tokens, p_min)

    def __enter__(self) -> Server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._log = tempfile.TemporaryFile()
        command = [*self._command, "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def log(self) -> str:
        """Return what it has said so far."""
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode("utf-8", "replace")

    def _wait(self) -> None:
        """Return as soon as the models are loaded."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self._request("GET", "/health")
            except (OSError, RuntimeError):
                time.sleep(0.05)
            else:
                return
        self._log.seek(0)
        log = self._log.read().decode("utf-8", "replace")
        raise RuntimeError(f"llama-server did not start (status {self._process.poll()}):\n{log[-4000:]}")

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request; return the reply.

        Raises
        ------
        RuntimeError
            If the server answers with an error.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=REPLY_SECONDS)
        try:
            connection.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise RuntimeError(f"llama-server answered {path} with {response.status}: {text[:1000]}")
        return dict(json.loads(text))

    def run(self, prompt_ids: Sequence[int], n_tokens: int) -> PeerRun:
        """Generate `n_tokens`."""
        # The first request leaves the prompt but for its last token in an otherwise empty cache.
        before = {"prompt": list(prompt_ids[:-1]), "n_predict": 0, "cache_prompt": False}
        asked = {"prompt": list(prompt_ids), "n_predict": n_tokens, "cache_prompt": True, "return_tokens": True}
        if before["prompt"]:
            self._request("POST", "/completion", before)
        reply = self._request("POST", "/completion", asked)
        timings = reply["timings"]
        return PeerRun(
            token_ids=tuple(reply["tokens"]),
            text=None,
            n_tokens=timings["predicted_n"] - 1,
            seconds=timings["predicted_ms"] / 1000,
            n_drafted=timings.get("draft_n", 0),
            n_accepted=timings.get("draft_n_accepted", 0),
        )

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class HighLevel:
    """`llama_cpp.Llama`, plainly or with its own prompt-lookup decoding; in this process; a context manager.

    The time runs from the first token that `Llama.generate` yields to the last: `n_tokens` is one less than the output.
    Greedy is `temp=0.0`, a chain of the greedy sampler alone. `generate` is the layer under `create_completion`: it
    neither detokenizes nor looks for stops. It does not stop at end tokens, nor ban them (that would take a logits
    processor in Python): from the first one on its output is another than that of the peers.

    Lookup runs with `logits_all=True`: the class evaluates drafts with all logits, but has room for no more than
    `n_batch` rows of them otherwise, and fails beyond. It then copies the logits of every pass.

    Parameters
    ----------
    num_pred_tokens
        Longest draft of `LlamaPromptLookupDecoding`, which looks for the last two tokens, then for the last one; None:
        plain decoding.
    """

    def __init__(self, main: Path, n_threads: int, num_pred_tokens: int | None = None) -> None:
        from llama_cpp import Llama
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

        class Lookup(LlamaPromptLookupDecoding):  # type: ignore[misc]
            """Remembers where it drafted what."""

            def __call__(self, input_ids: Any, /, **kwargs: Any) -> Any:
                found = super().__call__(input_ids, **kwargs)
                drafts.append((len(input_ids), found))
                return found

        self._drafts: list[tuple[int, Any]] = []
        drafts = self._drafts
        self._llama = Llama(
            str(main),
            n_gpu_layers=0,
            n_ctx=N_CTX,
            n_batch=N_BATCH,
            n_ubatch=EXACT_WIDTH,
            n_threads=n_threads,
            n_threads_batch=n_threads,
            flash_attn=True,
            logits_all=num_pred_tokens is not None,
            draft_model=None if num_pred_tokens is None else Lookup(num_pred_tokens=num_pred_tokens),
            verbose=False,
        )

    def run(self, prompt_ids: Sequence[int], n_tokens: int) -> PeerRun:
        """Generate `n_tokens`."""
        self._llama.reset()
        self._llama.eval(list(prompt_ids[:-1]))
        self._drafts.clear()
        tokens = self._llama.generate(list(prompt_ids), temp=0.0)
        output = [next(tokens)]
        begin = time.perf_counter()
        while len(output) < n_tokens:
            output.append(next(tokens))
        seconds = time.perf_counter() - begin
        tokens.close()
        accepted = [_agreeing(found.tolist(), output[start - len(prompt_ids) :]) for start, found in self._drafts]
        return PeerRun(
            token_ids=tuple(output),
            text=None,
            n_tokens=n_tokens - 1,
            seconds=seconds,
            n_drafted=sum(len(found) for _, found in self._drafts),
            n_accepted=sum(accepted),
        )

    def __enter__(self) -> HighLevel:
        return self

    def __exit__(self, *_: object) -> None:
        self._llama.close()


def _agreeing(a: Sequence[int], b: Sequence[int]) -> int:
    """Count the tokens that two sequences begin with alike."""
    return sum(takewhile(bool, map(eq, a, b)))
