"""What llama.cpp is asked for, and what it says that it did."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

import specviz as sv
from specviz.cli import main as command
from specviz.engines.llamacpp import context, engine, model
from specviz.engines.llamacpp.engine import LlamaEngine
from specviz.engines.llamacpp.library import library
from specviz.engines.llamacpp.placement import offloaded_layers, read_placement
from specviz.engines.messages import KV_TYPES, ModelSpec, PairSpec
from specviz.models import demo_drafts
from specviz.trace import ModelInfo
from specviz.trace.events import Placement

MAIN = next(str(one.path) for one in demo_drafts() if "22m" in one.name)
DRAFT = next(str(one.path) for one in demo_drafts() if "12m" in one.name)
ON_A_GPU = [
    "llama_model_load_from_file_impl: using device CUDA0 (NVIDIA H100 80GB HBM3) (0000:19:00.0) - 80576 MiB free\n",
    "llama_model_loader: - kv   0: general.name str = load_tensors: offloaded 99/99 layers to GPU\n",
    "load_tensors: offloading output layer to GPU\n",
    "load_tensors: offloaded 25/31 layers to GPU\n",
    "load_tensors:   CPU_Mapped model buffer size =    40.00 MiB\n",
    "load_tensors:        CUDA0 model buffer size =    80.50 MiB\n",
    "llama_context: flash_attn            = enabled\n",
    "llama_context:  CUDA_Host  output buffer size =     0.50 MiB\n",
    "llama_kv_cache:      CUDA0 KV buffer size =    30.00 MiB\n",
    "llama_kv_cache:        CPU KV buffer size =     6.00 MiB\n",
    "llama_kv_cache: size =   36.00 MiB (  4096 cells,  30 layers,  1/1 seqs), "
    "K (q8_0):   18.00 MiB, V (q8_0):   18.00 MiB\n",
    "sched_reserve:      CUDA0 compute buffer size =    90.00 MiB\n",
    "sched_reserve:  CUDA_Host compute buffer size =     9.50 MiB\n",
]


class Listening:
    """llama.cpp with a GPU, or without; notes what it is asked for and does what this build can."""

    def __init__(self, gpu: bool) -> None:
        self.real = library()
        self.gpu = gpu
        self.models: list[dict[str, int]] = []
        self.contexts: list[dict[str, int]] = []

    def __getattr__(self, name):
        return getattr(self.real, name)

    def llama_supports_gpu_offload(self):
        return self.gpu

    def llama_model_load_from_file(self, path, params):
        self.models.append({name: getattr(params, name) for name in ("n_gpu_layers", "split_mode", "main_gpu")})
        return self.real.llama_model_load_from_file(path, params)

    def llama_init_from_model(self, handle, params):
        names = ("n_ctx", "n_threads", "n_threads_batch", "n_ubatch", "type_k", "type_v", "flash_attn_type")
        self.contexts.append({name: getattr(params, name) for name in names})
        return self.real.llama_init_from_model(handle, params)


@pytest.fixture
def asked(monkeypatch):
    def asked(gpu: bool) -> Listening:
        lib = Listening(gpu)
        for module in (model, context, engine):
            monkeypatch.setattr(module, "library", lambda: lib)
        return lib

    return asked


def pair_spec(main=(), draft=()):
    return PairSpec(
        engine="llama.cpp", main=ModelSpec(path=MAIN, **dict(main)), draft=ModelSpec(path=DRAFT, **dict(draft))
    )


def test_each_model_is_placed_as_its_own_spec_says(asked):
    lib = asked(gpu=True)
    one = LlamaEngine()
    one.load(
        pair_spec(
            main={"n_gpu_layers": 20, "n_ctx": 512, "n_threads": 2, "kv_type": "q8_0"},
            draft={"n_gpu_layers": -1, "main_gpu": 1, "n_ctx": 256, "kv_type": "q4_0"},
        )
    )
    real = lib.real
    assert lib.models == [
        {"n_gpu_layers": 20, "split_mode": real.LLAMA_SPLIT_MODE_LAYER, "main_gpu": 0},
        {"n_gpu_layers": -1, "split_mode": real.LLAMA_SPLIT_MODE_NONE, "main_gpu": 1},
    ]
    main, draft = lib.contexts
    assert (main["n_ctx"], main["n_threads"], main["n_threads_batch"]) == (512, 2, 2)
    assert (draft["n_ctx"], draft["n_threads"], draft["n_threads_batch"]) == (256, 1, 1)
    assert main["type_k"] == main["type_v"] == real.GGML_TYPE_Q8_0
    assert draft["type_k"] == draft["type_v"] == real.GGML_TYPE_Q4_0
    assert main["flash_attn_type"] == real.LLAMA_FLASH_ATTN_TYPE_ENABLED
    one.unload(())


def test_without_a_gpu_none_is_asked_for_and_passes_stay_exact(asked):
    lib = asked(gpu=False)
    one = LlamaEngine()
    one.load(pair_spec(main={"n_gpu_layers": -1, "main_gpu": 3}, draft={"n_gpu_layers": -1}))
    assert [asked["n_gpu_layers"] for asked in lib.models] == [0, 0]
    assert [asked["main_gpu"] for asked in lib.models] == [0, 0]
    assert [asked["n_ubatch"] for asked in lib.contexts] == [context.EXACT_WIDTH] * 2
    one.unload(())


@pytest.mark.parametrize(("gpu", "loaded"), [(False, 1), (True, 2)])
def test_one_file_in_two_roles_is_loaded_once_where_it_is_placed_alike(asked, gpu, loaded):
    lib = asked(gpu)
    one = LlamaEngine()
    one.load(PairSpec(engine="llama.cpp", main=ModelSpec(path=DRAFT), draft=ModelSpec(path=DRAFT, n_gpu_layers=-1)))
    assert len(lib.models) == loaded
    one.unload(())


def test_the_draft_goes_to_the_gpu_and_takes_the_rest_from_the_main_model():
    with sv.load(MAIN, DRAFT, n_ctx=300, n_threads=1, kv_type="q8_0", main_gpu=0) as pair:
        main, draft = pair.spec.main, pair.spec.draft
    assert (main.n_gpu_layers, draft.n_gpu_layers) == (0, -1)
    for spec in (main, draft):
        assert (spec.n_ctx, spec.n_threads, spec.main_gpu, spec.kv_type) == (300, 1, 0, "q8_0")
    with sv.load(MAIN, DRAFT, draft_gpu_layers=3, draft_ctx=200, draft_threads=2, draft_kv_type="q4_0") as pair:
        main, draft = pair.spec.main, pair.spec.draft
    assert (draft.n_gpu_layers, draft.n_ctx, draft.n_threads, draft.kv_type) == (3, 200, 2, "q4_0")
    assert (main.n_ctx, main.kv_type) == (0, "f16")


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"n_gpu_layers": -2}, "n_gpu_layers must be at least -1, got -2"),
        ({"draft_gpu_layers": -5}, "draft_gpu_layers must be at least -1, got -5"),
        ({"main_gpu": -1}, "main_gpu must be at least 0, got -1"),
        ({"draft_main_gpu": -1}, "draft_main_gpu must be at least 0, got -1"),
        ({"n_ctx": 0}, "n_ctx must be at least 1, got 0"),
        ({"draft_ctx": 0}, "draft_ctx must be at least 1, got 0"),
        ({"n_threads": 0}, "n_threads must be at least 1, got 0"),
        ({"draft_threads": -1}, "draft_threads must be at least 1, got -1"),
        ({"kv_type": "q5_0"}, "kv_type must be one of f16, q8_0, q4_0, got 'q5_0'"),
        ({"draft_kv_type": "Q8_0"}, "draft_kv_type must be one of f16, q8_0, q4_0, got 'Q8_0'"),
        ({"kv_type": "q8_0", "flash_attention": False}, "kv_type q8_0 needs flash_attention"),
        (
            {"draft_kv_type": "q4_0", "draft_flash_attention": False},
            "draft_kv_type q4_0 needs draft_flash_attention",
        ),
    ],
)
def test_a_bad_value_is_one_sentence_before_anything_is_looked_for(keywords, sentence):
    with pytest.raises(ValueError) as caught:
        sv.load("there is no such model", **keywords)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_what_it_got_is_told(kv_type):
    with sv.load(MAIN, DRAFT, n_ctx=512, kv_type=kv_type, draft_kv_type="f16") as pair:
        trace = pair.generate("Tell me a story", max_tokens=8)
    assert len(trace) > 0
    main, draft = trace.header.main, trace.header.draft
    assert (main, draft) == (pair.main, pair.draft)
    assert main.placement.devices == ("CPU",) and main.placement.n_gpu_layers == 0
    assert main.placement.n_layers == 5 and draft.placement.n_layers == 5
    assert (main.placement.kv_type, draft.placement.kv_type) == (kv_type, "f16")
    assert main.placement.flash_attention and main.placement.n_threads == pair.spec.main.n_threads
    assert main.placement.weights_bytes >= 0.9 * main.size_bytes
    bytes_each = {"f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}[kv_type]
    layers, width = 4, 320
    assert main.placement.cache_bytes == pytest.approx(2 * layers * 512 * width * bytes_each, rel=0.01)
    assert main.placement.compute_bytes > 1e6
    assert str(main.placement).startswith("on CPU, ") and f" {kv_type} cache" in str(main.placement)


def test_without_flash_attention_it_says_so():
    with sv.load(MAIN, DRAFT, draft_flash_attention=False) as pair:
        assert pair.main.placement.flash_attention and not pair.draft.placement.flash_attention


def test_a_gpu_is_read_from_what_llama_cpp_says_and_not_from_a_models_name():
    placement = read_placement(ON_A_GPU, n_layers=31, n_threads=4)
    mib = 2**20
    assert placement == Placement(
        devices=("CUDA0 (NVIDIA H100 80GB HBM3)", "CPU"),
        n_layers=31,
        n_gpu_layers=25,
        kv_type="q8_0",
        flash_attention=True,
        n_threads=4,
        weights_bytes=int(120.5 * mib),
        cache_bytes=36 * mib,
        compute_bytes=100 * mib,
    )
    assert str(placement) == (
        "25 of 31 layers on CUDA0 (NVIDIA H100 80GB HBM3), 4 threads, 126 MB weights, 38 MB q8_0 cache, 105 MB buffers"
    )
    assert offloaded_layers(ON_A_GPU[:2]) == 0


def test_traces_of_before_have_no_placement():
    old = msgspec.json.decode(b'{"name":"m","n_ctx":4096}', type=ModelInfo)
    assert old.placement is None
    told = ModelInfo(name="m", placement=Placement(devices=("CPU",), n_layers=5))
    assert msgspec.json.decode(msgspec.json.encode(told), type=ModelInfo) == told


def test_the_command_tells_it_beside_the_answer_and_in_json(capsys):
    asked = ["generate", "Tell me a story", "--main", MAIN, "--max-tokens", "4"]
    assert command([*asked, "--draft", DRAFT]) == 0
    said = capsys.readouterr()
    assert "on CPU" not in said.out
    for role in ("main", "draft"):
        assert re.search(rf"^{role}: on CPU, \d+ threads?, \d+ MB weights, \d+ MB f16 cache", said.err, re.MULTILINE)
    assert command([*asked, "--draft", "none", "--json"]) == 0
    placement = json.loads(capsys.readouterr().out)["placement"]
    assert placement.keys() == {"main"} and placement["main"]["devices"] == ["CPU"]
