"""The exported poets write what PyTorch writes, however their weights are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel, T5ForConditionalGeneration

from models.bundle import Bundle, CorruptArtifact, write_bundle
from models.engine import open_engine
from models.poet import Poet
from models.precision import exact_products
from models.prosody import FORMS, Rules
from models.sampling import Sampling
from models.tokenizer import SPECIAL_TOKENS, CharacterTokenizer
from models.training import int8
from models.training.architectures import new_model
from models.training.bundle_perplexity import Scorer, Verse
from models.training.parity import ParityError, compare_greedy
from models.training.poet_bundle import with_int8, write_int8, write_poet
from models.training.vocabulary import template_for

CHARACTERS = "关键词： 明月光山水花鸟春秋江湖舟楼台风雨云天人"
KEYWORDS = ["明月", "江", "春花", "楼台"]
VERSE = Verse(
    form=FORMS["wujue"],
    lines=("明月光山水", "花鸟春秋江", "湖舟楼台风", "雨云天人月"),
    keywords=("明月", "江"),
    rhyme="一东",
)


@dataclass(frozen=True)
class Exported:
    """A small poet with random weights: as it was, as it is once its bundle is written, and its bundles."""

    before: dict[str, torch.Tensor]
    model: PreTrainedModel
    bundle: Bundle
    small: Bundle


# Not each with each: an export takes a few seconds.
@pytest.fixture(scope="module", params=[("gpt2", "fp32"), ("gpt2", "fp16"), ("t5", "fp16")], ids="-".join)
def poet(request, tmp_path_factory):
    (arch, precision), out = request.param, tmp_path_factory.mktemp("bundles")
    model = random_model(arch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    about = {"name": arch, "template": template_for(arch), "facts": {"licence": "none, random weights"}}
    bundle = write_poet(model, tokenizer(arch), out / precision, precision=precision, **about)
    return Exported(before, model, bundle, write_int8(bundle, out / "int8"))


def tokenizer(arch: str) -> CharacterTokenizer:
    return CharacterTokenizer([*SPECIAL_TOKENS, *template_for(arch).control_tokens, *CHARACTERS])


def random_model(arch: str, seed: int = 7) -> PreTrainedModel:
    torch.manual_seed(seed)
    model = new_model(arch, tokenizer(arch), d_model=64, layers=2)
    for parameter in model.parameters():  # as started, every position would choose alike
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def test_greedy_equals_torch_id_for_id(poet):
    asked = [(KEYWORDS[: count + 1], form) for count, form in enumerate(FORMS.values())]
    parity = compare_greedy(poet.bundle, poet.model, asked)
    assert parity.characters == sum(form.lines * form.characters for form in FORMS.values())


def test_parity_check_notices_other_weights(poet):
    other = random_model(poet.model.config.model_type, seed=8)
    with pytest.raises(ParityError, match="instead of"):
        compare_greedy(poet.bundle, other, [(KEYWORDS, FORMS["qijue"])])


def test_weights_are_rounded_where_the_manifest_says_so(poet):
    stored = poet.bundle.manifest["precision"]["stored"]
    assert poet.small.manifest["precision"]["stored"] == "int8"
    after = poet.model.state_dict()
    rounded = {name: value.half().float() for name, value in poet.before.items()}
    assert not all(torch.equal(poet.before[name], rounded[name]) for name in after)
    expected = rounded if stored == "fp16" else poet.before
    assert all(torch.equal(expected[name], value) for name, value in after.items())


def test_transformers_opens_the_folder_with_equal_logits(poet):
    t5 = poet.model.config.model_type == "t5"
    kind = T5ForConditionalGeneration if t5 else AutoModelForCausalLM
    opened = kind.from_pretrained(poet.bundle.path, dtype=torch.float32, attn_implementation="eager")
    read = {"input_ids": torch.tensor([[3, 60, 61, 62, 5]])}
    read |= {"decoder_input_ids": torch.tensor([[0, 63, 64]])} if t5 else {}
    with torch.no_grad():
        assert torch.equal(opened.eval()(**read).logits, poet.model(**read).logits)


def test_every_weight_is_stored_once(poet):
    sizes = {"fp32": 4.0, "fp16": 2.0, "int8": 1.3}
    parameters = sum(parameter.numel() for parameter in poet.model.parameters())
    for bundle in (poet.bundle, poet.small):
        files = [bundle.file(name) for name in bundle.manifest["files"]]
        [weights] = [path for path in files if path.suffix == ".safetensors"]
        assert weights.stat().st_size < sizes[bundle.manifest["precision"]["stored"]] * parameters + 10_000
        for path in files:
            if path.suffix == ".onnx":
                graph = onnx.load(path, load_external_data=False).graph
                assert not [w.name for w in graph.initializer if len(w.dims) > 1 and not w.external_data]


def test_int8_keeps_embeddings_and_output_layer_as_one(poet):
    stored = load_file(poet.small.file("weights.safetensors")).values()
    embeddings = poet.model.get_input_embeddings().weight.detach().numpy()
    [table] = [array for array in stored if len(embeddings) in array.shape]
    assert (table.dtype, table.shape) == (np.int8, embeddings.shape)
    scales = np.abs(embeddings).max(axis=1, keepdims=True) / 127
    assert (np.abs(table * scales - embeddings) <= scales / 2 + 1e-6).all()


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_int8_gives_each_row_the_same_beside_others(poet, count):
    engine = open_engine(poet.small)
    draw = np.random.default_rng(count)
    prompts = [draw.integers(5, 60, draw.integers(2, 20)).tolist() for _ in range(count)]
    together, alone = engine.begin(prompts), [engine.begin([prompt]) for prompt in prompts]
    for ids in draw.integers(5, 60, (3, count, 1)):
        together.step(ids)
        for row, one in enumerate(alone):
            one.step(ids[row : row + 1])
            np.testing.assert_array_equal(together.logits[row], one.logits[0])


def test_a_bundle_of_an_older_export_is_refused(poet, tmp_path):
    files = {name: poet.bundle.file(name) for name in poet.bundle.manifest["files"]}
    graph = onnx.load(files["decoder.onnx"], load_external_data=False)
    for names in (node.input for node in graph.graph.node):
        names[:] = ["lengths" if name == "seqlens_k" else name for name in names]
    [taken] = [entry for entry in graph.graph.input if entry.name == "seqlens_k"]
    taken.name = "lengths"
    files["decoder.onnx"] = tmp_path / "decoder.onnx"
    files["decoder.onnx"].write_bytes(graph.SerializeToString())
    with pytest.raises(CorruptArtifact, match="export the poet anew"):
        Poet.open(write_bundle(tmp_path / "older", poet.bundle.manifest, files))


@pytest.mark.parametrize("which", ["bundle", "small"])
def test_a_candidate_does_not_depend_on_its_neighbours(poet, which):
    opened = Poet.open(getattr(poet, which))
    form = FORMS["wujue"]
    free = opened.constraint(form, Rules(regulated=False))

    def lines(candidates: int) -> list[str]:
        poems = [""] * candidates
        for token in opened.compose(
            KEYWORDS, form=form, sampling=Sampling(), seed=3, constraint=free, candidates=candidates
        ):
            poems[token.candidate] += token.text
        return poems

    assert lines(4)[:2] == lines(2)


@pytest.mark.parametrize("which", ["bundle", "small"])
def test_cached_steps_equal_one_long_read(poet, which):
    engine = open_engine(getattr(poet, which))
    rng = np.random.default_rng(0)
    prompts = rng.integers(6, 20, (3, 5))
    together = engine.begin(prompts)
    alone = [engine.begin(prompts[row : row + 1]) for row in range(3)]
    for _ in range(4):
        ids = rng.integers(6, 20, (3, 1))
        together.step(ids)
        for row, decoding in enumerate(alone):
            decoding.step(ids[row : row + 1])
    np.testing.assert_allclose(together.logits, np.concatenate([d.logits for d in alone]), atol=1e-4)


def test_a_bundle_scores_verse_as_transformers_does(poet):
    [scored] = Scorer(poet.bundle).score([VERSE])
    names = tokenizer(poet.model.config.model_type)
    ids = torch.tensor([names.encode(line) for line in VERSE.lines])
    expected = -torch_logits(poet.model, names, ids).log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    np.testing.assert_allclose(scored.nats, expected.numpy(), atol=1e-4)


@torch.no_grad()
def torch_logits(model: PreTrainedModel, names: CharacterTokenizer, ids: torch.Tensor) -> torch.Tensor:
    """Logits (L, C, V) of the verse's characters, each line read on its own behind all that precedes it."""
    template = template_for(model.config.model_type)
    found = []
    for place, line in enumerate(ids):
        prompt = template.render(
            VERSE.keywords, form=VERSE.form, rhyme=VERSE.rhyme, lines=VERSE.lines[:place]
        )
        read = torch.tensor([names.encode(prompt)])
        if model.config.model_type == "t5":
            begun = torch.cat([torch.tensor([0]), line[:-1]])[None]
            found.append(model(input_ids=read, decoder_input_ids=begun).logits[0])
        else:
            found.append(model(input_ids=torch.cat([read, line[None, :-1]], 1)).logits[0, -len(line) :])
    return torch.stack(found)


def test_scores_do_not_depend_on_the_batch(poet):
    verses = [VERSE, Verse(form=VERSE.form, lines=VERSE.lines[::-1]), VERSE]
    scorer = Scorer(poet.bundle)
    together, alone = scorer.score(verses), [scorer.score([verse])[0] for verse in verses]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.nats, other.nats, atol=1e-4)
    assert not np.allclose(together[0].nats, together[1].nats)


def test_weights_are_rounded_alike_when_stored_and_when_loaded(poet, tmp_path):
    both = with_int8(poet.bundle, tmp_path / "both")
    assert both.file("model.safetensors").read_bytes() == poet.bundle.file("model.safetensors").read_bytes()
    graphs = [name for name in poet.bundle.manifest["files"] if name.endswith(".onnx")]
    added = [name.replace(".onnx", ".int8.onnx") for name in graphs]
    assert set(both.manifest["files"]) == {*poet.bundle.manifest["files"], *added}
    assert sum(both.file(name).stat().st_size for name in added) < 300_000
    prompts = [[3, 60, 61, 5], [3, 62, 5]]
    exact = open_engine(both, int8=False).begin(prompts).logits
    np.testing.assert_array_equal(exact, open_engine(poet.bundle).begin(prompts).logits)
    rounded = open_engine(both).begin(prompts).logits
    assert not np.array_equal(rounded, exact) or not exact_products()
    if exact_products():
        np.testing.assert_array_equal(rounded, open_engine(poet.small).begin(prompts).logits)


def test_rows_are_rounded_to_half_a_step():
    rows = np.random.default_rng(0).normal(size=(5, 60)).astype(np.float32)
    rows[0] = 0
    whole, scales = int8.rounded(rows)
    assert (whole.dtype, whole.shape, scales.shape) == (np.int8, (5, 60), (5,))
    assert (np.abs(whole * scales[:, None] - rows) <= scales[:, None] / 2 + 1e-6).all()
    assert not whole[0].any()


def test_products_are_rounded_row_by_row_and_through_relu():
    draw = np.random.default_rng(0)
    wide, narrow = draw.normal(size=(2, 64, 64)).astype(np.float32)
    nodes = [("MatMul", ["x", "wide"], "a"), ("Relu", ["a"], "b"), ("MatMul", ["b", "narrow"], "y")]
    weights = [numpy_helper.from_array(array, name) for name, array in (("wide", wide), ("narrow", narrow))]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 64]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node(op, into, [out]) for op, into, out in nodes], "two", sides[:1], sides[1:], weights
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    int8.quantise(model)
    # Rows of very different sizes: one scale for all of them would lose the small ones.
    values = draw.normal(size=(4, 64)).astype(np.float32) * np.array([[1e-3], [0], [1], [1e3]], np.float32)
    session = ort.InferenceSession(model.SerializeToString())
    [found] = session.run(None, {"x": values})
    expected = np.maximum(values @ wide, 0) @ narrow
    assert not found[1].any()
    error = np.abs(found - expected).mean(axis=1) / np.abs(expected).mean(axis=1).clip(1e-9)
    assert (error < 0.02).all()


@pytest.mark.parametrize("field", ["architecture", "prompt", "tokenizer"])
def test_a_manifest_that_describes_no_poet_is_refused(poet, field, tmp_path):
    bundle = poet.bundle
    facts = {name: value for name, value in bundle.manifest.items() if name != field}
    broken = write_bundle(tmp_path / "broken", facts, {n: bundle.file(n) for n in bundle.manifest["files"]})
    with pytest.raises(CorruptArtifact):
        Poet.open(broken)
