"""Checkpoints of the original work become bundles that write what transformers writes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import BertTokenizer, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from models.bundle import open_bundle, sha256_of
from models.poet import Poet
from models.prosody import FORMS, Rules, is_han
from models.sampling import Sampling
from models.tokenizer import SPECIAL_TOKENS
from models.training import import_poet as importing
from models.training.foreign import UnsuitableCheckpoint, load_model, read_vocabulary
from models.training.import_poet import import_poet, main
from models.training.parity import ParityError
from models.wishes import OFF

# As the original's vocabularies: made of CCPC, so with its bar and its space; and some of BERT's tokens.
CHARACTERS = "关键词：明月光山水花鸟春秋江湖舟楼台风雨云天人一二三"
TOKENS = [*SPECIAL_TOKENS, " ", "|", *CHARACTERS, "##花", "[unused1]", "ing", "，"]
SIZE = len(TOKENS) + 3
KEYWORDS = ["明月", "江", "春花", "楼台"]
IDS = {"bos_token_id": 3, "eos_token_id": 2}
FACTS = {"origin": "made by a test", "licence": "none: random weights"}


def new_model(arch: str) -> T5ForConditionalGeneration | GPT2LMHeadModel:
    """A small model of the original's make, with weights large enough that not every place looks alike."""
    if arch == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(vocab_size=SIZE, n_embd=48, n_layer=1, n_head=3, **IDS))
    else:
        sizes = {"d_model": 48, "d_kv": 8, "num_heads": 4, "d_ff": 96, "num_layers": 1}
        model = T5ForConditionalGeneration(
            T5Config(vocab_size=SIZE, decoder_start_token_id=3, pad_token_id=0, **sizes, **IDS)
        )
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def save(arch: str, folder: Path) -> Path:
    """A folder as transformers 4 left it: `pytorch_model.bin`, and for a GPT2 buffers among its weights."""
    model = new_model(arch)
    model.config.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for late in ("scale_decoder_outputs", "dtype", "tie_word_embeddings"):
        config.pop(late, None)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = dict(model.state_dict())
    if arch == "gpt2":
        weights["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """With tensors so small, several threads wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["t5", "gpt2"])
def imported(request, tmp_path_factory):
    """The checkpoint's folder, and the bundle that the command made of it and found equal."""
    folder = tmp_path_factory.mktemp(request.param)
    source = save(request.param, folder)
    words = folder / "keywords.tsv"
    rows = "".join(f"{word}\t30\tsky\n" for word in KEYWORDS)
    words.write_text(f"word\tcount\tcategory\n{rows}", encoding="utf-8")
    out = folder / "original"
    flags = {"--source": source, "--out": out, "--keywords": words, "--prompts": 1}
    about = {"--origin": FACTS["origin"], "--licence": FACTS["licence"]}
    assert main([str(word) for pair in (flags | about).items() for word in pair]) == 0
    return source, open_bundle(out, kind="poet")


def written(bundle, form) -> list[int]:
    poet = Poet.open(bundle)
    free = poet.constraint(form, Rules(regulated=False))
    greedy = Sampling(temperature=0.0, frequency_penalty=0.0)
    tokens = poet.compose(KEYWORDS, form=form, sampling=greedy, seed=0, constraint=free, bonus=OFF)
    return [token.id for token in tokens]


def original_t5(source: Path, form) -> list[int]:
    """The original's loop: the encoder reads keywords and the lines so far, `generate` writes the next."""
    tokenizer = BertTokenizer(vocab=str(source / "vocab.txt"), eos_token="[EOS]")
    model = load_model(source).half().float()
    ids = tokenizer.encode(f"关键词：{' '.join(KEYWORDS)} [EOS] ")
    poem: list[int] = []
    for _ in range(form.lines):
        line = generate(model, ids, form.characters, lambda _: HAN)
        ids = [*ids[:-1], *line, tokenizer.eos_token_id, ids[-1]]
        poem += line
    return poem


def original_gpt2(source: Path, form) -> list[int]:
    """The original's call: one sequence from the keywords to the end; bars where they belong."""
    tokenizer = BertTokenizer(vocab=str(source / "vocab.txt"), eos_token="[EOS]")
    ids = [*tokenizer.encode(f"关键词：{' '.join(KEYWORDS)}")[:-1], tokenizer.eos_token_id]
    row = form.characters + 1
    poem = generate(
        load_model(source).half().float(),
        ids,
        form.lines * row - 1,
        lambda place: [TOKENS.index("|")] if (place - len(ids) + 1) % row == 0 else HAN,
    )
    return [token for place, token in enumerate(poem, start=1) if place % row]


HAN = [index for index, token in enumerate(TOKENS) if len(token) == 1 and is_han(token)]


def generate(model, ids: list[int], count: int, allowed) -> list[int]:
    out = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=0,
        prefix_allowed_tokens_fn=lambda _, read: allowed(len(read)),
    )
    return out[0, -count:].tolist()


@pytest.mark.parametrize("name", ["wujue", "qijue"])
def test_a_bundle_writes_what_transformers_generates_from_the_originals_prompt(imported, name):
    source, bundle = imported
    original = original_t5 if bundle.manifest["architecture"] == "t5" else original_gpt2
    ours = written(bundle, FORMS[name])
    assert ours == original(source, FORMS[name])
    assert len(set(ours)) > 3


def test_it_writes_quatrains_of_han_characters_alone(imported):
    _, bundle = imported
    poet = Poet.open(bundle)
    assert poet.forms == ("wujue", "qijue")
    hot = Sampling(temperature=2.0, top_p=1.0)
    free = poet.constraint(FORMS["wujue"], Rules(regulated=False))
    asked = {"form": FORMS["wujue"], "sampling": hot, "seed": 0, "constraint": free, "candidates": 2}
    tokens = list(poet.compose(KEYWORDS, **asked))
    assert len(tokens) == 2 * 20
    assert all(is_han(token.text) for token in tokens)


def test_the_manifest_says_where_the_weights_came_from(imported):
    source, bundle = imported
    assert bundle.manifest["licence"] == FACTS["licence"]
    told = bundle.manifest["source"]
    assert told["origin"] == FACTS["origin"]
    names = ("config.json", "pytorch_model.bin", "vocab.txt")
    assert told["files"] == {name: sha256_of(source / name) for name in names}


@pytest.fixture
def unwritten(monkeypatch) -> dict:
    """Instead of a bundle being written: what would have been, by name."""
    seen: dict = {}

    def write(model, tokenizer, out, **facts):
        seen.update(facts, model=model, tokenizer=tokenizer)
        return SimpleNamespace(path=out)

    monkeypatch.setattr(importing, "write_poet", write)
    monkeypatch.setattr(importing, "check_greedy", lambda *_, **__: 0)
    return seen


def test_another_layout_is_given_as_a_file_and_as_options(tmp_path, unwritten):
    template = tmp_path / "template.json"
    template.write_text(json.dumps({"keyword_separator": " ", "line": "{line}，"}), encoding="utf-8")
    flags = ["--template", str(template), "--line", "{line}[EOS]", "--forms", "wujue", "--max-tokens", "90"]
    places = ["--source", str(save("gpt2", tmp_path)), "--out", str(tmp_path / "mine")]
    assert main([*places, *flags, "--origin", "a test", "--licence", "none"]) == 0
    layout = unwritten["template"]
    assert layout.render(["月", "江"], form=FORMS["wujue"], lines=["花"]) == "[CLS]关键词：月 江[EOS]花[EOS]"
    assert (dict(layout.forms), layout.max_tokens, unwritten["name"]) == ({"wujue": ""}, 90, "mine")
    assert unwritten["facts"]["source"]["tokens_renamed"] == {}


def test_what_ends_a_line_of_gpt2_is_called_so_and_keeps_its_id(tmp_path, unwritten):
    import_poet(save("gpt2", tmp_path), tmp_path / "out", **FACTS)
    text = unwritten["template"].render(["月"], form=None, lines=["花"])
    assert text == "[CLS]关键词：月[END]花[EOS]"
    ids = unwritten["tokenizer"].encode(text)
    assert [TOKENS[index] for index in ids] == ["[CLS]", *"关键词：月", "[EOS]", "花", "|"]


def test_a_bundle_that_writes_something_else_is_not_kept(tmp_path, unwritten, monkeypatch, capsys):
    def differ(*_: object, **__: object) -> int:
        raise ParityError("7 instead of 8")

    monkeypatch.setattr(importing, "check_greedy", differ)
    out = tmp_path / "out"
    out.mkdir()
    flags = ["--source", str(save("gpt2", tmp_path)), "--out", str(out), "--origin", "a", "--licence", "b"]
    assert main(flags) == 1
    assert not out.exists()
    assert "7 instead of 8" in capsys.readouterr().err


def test_a_checkpoint_is_imported_in_int8(tmp_path, capsys):
    words = tmp_path / "keywords.tsv"
    rows = "".join(f"{word}\t30\tsky\n" for word in KEYWORDS)
    words.write_text(f"word\tcount\tcategory\n{rows}", encoding="utf-8")
    out = tmp_path / "original"
    places = ["--source", str(save("gpt2", tmp_path)), "--out", str(out), "--keywords", str(words)]
    assert main([*places, "--origin", "a test", "--licence", "none", "--precision", "int8"]) == 0
    assert "times fp32's perplexity" in capsys.readouterr().out
    bundle = open_bundle(out, kind="poet")
    assert bundle.manifest["precision"]["stored"] == "int8"
    assert 0.99 < bundle.manifest["precision"]["perplexity_ratio"] <= 1.01
    assert len(written(bundle, FORMS["qijue"])) == 28


def test_weights_beyond_fp16_are_refused_in_fp16_alone(tmp_path, unwritten):
    source = save("gpt2", tmp_path)
    weights = torch.load(source / "pytorch_model.bin")
    weights["transformer.ln_f.weight"][0] = 1e5
    torch.save(weights, source / "pytorch_model.bin")
    with pytest.raises(UnsuitableCheckpoint, match="fp16 cannot hold"):
        import_poet(source, tmp_path / "out", **FACTS)
    import_poet(source, tmp_path / "out", precision="fp32", **FACTS)
    assert unwritten["precision"] == "fp32"


@pytest.mark.parametrize("lacking", ["--origin", "--licence"])
def test_origin_and_licence_must_be_told(lacking):
    flags = {"--source": "a", "--out": "b", "--origin": "c", "--licence": "d"}
    with pytest.raises(SystemExit) as stopped:
        main([word for flag in flags if flag != lacking for word in (flag, flags[flag])])
    assert stopped.value.code == 2


def edit_config(source: Path, **changes: object) -> None:
    path = source / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def lose_a_weight(source: Path) -> None:
    weights = torch.load(source / "pytorch_model.bin")
    torch.save(dict(list(weights.items())[:-3]), source / "pytorch_model.bin")


BREAKS = {
    "model_type is 'bert'": lambda source: edit_config(source, model_type="bert"),
    "is no JSON object": lambda source: (source / "config.json").write_text("[1]", encoding="utf-8"),
    "output layer": lambda source: edit_config(source, tie_word_embeddings=False),
    "do not agree": lose_a_weight,
    "cannot be read": lambda source: edit_config(source, vocab_size=99),
    "the weights": lambda source: (source / "pytorch_model.bin").write_bytes(b"no weights"),
    "needs 99 ids": lambda source: (source / "vocab.txt").write_text(
        "\n".join([*SPECIAL_TOKENS, *map(str, range(93))])
    ),
    "not a vocabulary": lambda source: (source / "vocab.txt").write_text("[PAD]\n[EOS]\n", encoding="utf-8"),
    "lacks a character": lambda source: (source / "vocab.txt").write_text("\n".join(SPECIAL_TOKENS)),
    "no token to begin": lambda source: edit_config(source, decoder_start_token_id=None),
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_folder_that_does_not_fit_is_refused(tmp_path, message):
    source = save("t5", tmp_path)
    BREAKS[message](source)
    with pytest.raises(UnsuitableCheckpoint, match=message):
        import_poet(source, tmp_path / "out", **FACTS)
    assert not (tmp_path / "out").exists()


WRONG_LAYOUTS = [
    {"colour": "red"},
    {"forms": {"haiku": ""}},
    {"forms": {}},
    {"prompt": "{form}", "forms": {"wujue": "☃"}},
    {"line": "{line}☃"},
    {"keyword_separator": "☃"},
    {"prompt": "{nothing}"},
    {"max_tokens": "many"},
]


@pytest.mark.parametrize("layout", WRONG_LAYOUTS)
def test_a_template_that_does_not_fit_is_refused(tmp_path, layout):
    with pytest.raises(UnsuitableCheckpoint):
        import_poet(save("gpt2", tmp_path), tmp_path / "out", layout=layout, **FACTS)


def test_vocabularies_are_read_as_bert_reads_them(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text(
        "\n".join([*SPECIAL_TOKENS[:-1], "花", "月", "花", "##月", "ing"]) + "\n", encoding="utf-8"
    )
    tokenizer = read_vocabulary(path, 13, {})
    assert len(tokenizer) == 13
    assert tokenizer.encode("花月[EOS]") == [7, 6, 10]
    assert tokenizer.vocabulary[5] == "[NONE5]"
    assert tokenizer.vocabulary[11:] == ("[NONE11]", "[NONE12]")
