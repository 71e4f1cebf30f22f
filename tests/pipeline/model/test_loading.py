"""Encoders of every family load, cut and read pairs; what they are is kept with the weights."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import families
import numpy as np
import pytest
import torch
from conftest import COLOURS, FILLERS, LABEL_NAMES, THINGS, rows_of, save_tiny_bert
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPTNeoConfig,
    GPTNeoModel,
)

from pipeline.core.errors import UserError
from pipeline.dumping import tokenizer_hash
from pipeline.evaluation import speed
from pipeline.model import pair_model
from pipeline.model.encoding import collate, encode
from pipeline.model.inference import predict
from pipeline.model.loading import load_encoder, longest_input
from pipeline.model.pair_model import Card, PairModel
from pipeline.model.settings import GOLDEN, Pretrained
from pipeline.pretrained import fetch
from pipeline.training.vocabulary import only_tokens_of

WORDS = [*COLOURS, *THINGS, *FILLERS]
ROWS = rows_of(6)
ALL = np.arange(6)
POOLING = dict.fromkeys(families.FAMILIES, "cls") | {"gpt2": "last"}
LONGEST = {"roberta": 128, "gpt2": 128, "modernbert": 8192}


@pytest.fixture(params=sorted(families.FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fetched(family: str, tmp_path: Path) -> Path:
    families.save(family, tmp_path / "source", WORDS, AutoModel)
    fetch(Pretrained(source=str(tmp_path / "source")), tmp_path / "fetched")
    return tmp_path / "fetched"


def model_of(directory: Path, **options: Any) -> tuple[PairModel, Any]:
    encoder, tokenizer = load_encoder(directory, **options)
    torch.manual_seed(1)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0)
    return model.eval(), tokenizer


def test_a_family_is_read_at_its_own_place(family: str, fetched: Path) -> None:
    encoder, tokenizer = load_encoder(fetched)
    assert encoder.config.head_pooling == POOLING[family]
    assert tokenizer.pad_token is not None
    has_types = "token_type_ids" in tokenizer.model_input_names
    assert has_types == (family == "electra")


def test_padding_changes_no_logit(fetched: Path) -> None:
    """Each row alone has the logits that it has in a batch."""
    model, tokenizer = model_of(fetched)
    tokens = encode(tokenizer, ROWS, 60)
    assert len(set(tokens.lengths)) > 1
    together = model(collate(tokens, ALL), [GOLDEN])
    alone = [model(collate(tokens, ALL[i : i + 1]), [GOLDEN]) for i in range(6)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-6)
    assert together.std(dim=0).min() > 0


def test_a_cut_encoder_has_the_lowest_layers_and_no_dropout(fetched: Path) -> None:
    model, tokenizer = model_of(fetched, layers=1)
    assert model.encoder.config.num_hidden_layers == 1
    tokens = collate(encode(tokenizer, ROWS, 60), ALL)
    expected = model(tokens, [GOLDEN])
    torch.testing.assert_close(model.train()(tokens, [GOLDEN]), expected)
    noisy, _ = model_of(fetched, layers=1, dropout=0.5)
    first, second = (noisy.train()(tokens, [GOLDEN]) for _ in range(2))
    assert not torch.equal(first, second)


def test_a_cut_model_is_saved_and_made_again_from_its_configuration(
    fetched: Path, tmp_path: Path
) -> None:
    model, tokenizer = model_of(fetched, layers=1)
    card = Card(LABEL_NAMES, 60, 1, (GOLDEN,))
    pair_model.save(tmp_path / "saved", model, tokenizer, card=card)
    again, _, _ = pair_model.load(tmp_path / "saved")
    tokens = encode(tokenizer, ROWS, 60)
    expected = model(collate(tokens, ALL), [GOLDEN])
    torch.testing.assert_close(again.eval()(collate(tokens, ALL), [GOLDEN]), expected)
    configuration = json.loads(json.dumps(model.encoder.config.to_diff_dict()))
    twin = speed.untrained_twin(configuration, tokens.lengths.tolist(), 2)
    assert isinstance(twin.model, PairModel)
    assert pair_model.parameters(twin.model) == pair_model.parameters(model)
    assert twin.model.encoder.config.head_pooling == model.encoder.config.head_pooling
    assert twin.encoded.lengths.tolist() == tokens.lengths.tolist()
    assert predict(twin.model, twin.encoded, twin.heads).shape == (6, 1, 2)


def test_an_embedding_table_of_the_tokens_that_occur_gives_the_same(fetched: Path) -> None:
    model, tokenizer = model_of(fetched)
    tokens = encode(tokenizer, ROWS, 60)
    expected = model(collate(tokens, ALL), [GOLDEN])
    with only_tokens_of(model, tokens) as (fewer,):
        table = cast(nn.Embedding, model.encoder.get_input_embeddings())
        assert table.num_embeddings < len(tokenizer)
        torch.testing.assert_close(model(collate(fewer, ALL), [GOLDEN]), expected)


def test_the_longest_pair_is_what_the_model_can_read(family: str, fetched: Path) -> None:
    longest = LONGEST.get(family, 512)
    encoder, _ = load_encoder(fetched, max_length=longest)
    assert longest_input(encoder, 10**6) == longest
    if family in ("roberta", "gpt2", "electra"):
        tokens = torch.full((1, longest), 5)
        assert encoder(input_ids=tokens).last_hidden_state.shape[1] == longest
        with pytest.raises((IndexError, RuntimeError)):
            encoder(input_ids=torch.full((1, longest + 1), 5))
    with pytest.raises(UserError, match=f"reads at most {longest} tokens"):
        load_encoder(fetched, max_length=longest + 1)


@pytest.mark.parametrize(
    ("content", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "lasttoken"}, "last"),
    ],
)
def test_weights_may_say_how_they_are_pooled(
    tiny_bert: Path, tmp_path: Path, content: dict[str, Any], pooling: str
) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling/config.json").write_text(json.dumps(content))
    fetch(Pretrained(source=str(source)), tmp_path / "fetched")
    assert load_encoder(tmp_path / "fetched")[0].config.head_pooling == pooling
    fetch(Pretrained(source=str(source), pooling="last"), tmp_path / "other")
    assert load_encoder(tmp_path / "other")[0].config.head_pooling == "last"


@pytest.mark.parametrize(
    "content",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_sqrt_len_tokens": True},
        {"pooling_mode": "max"},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
    ],
)
def test_another_pooling_is_refused_and_not_replaced(
    tiny_bert: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling/config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="another pooling than mean, cls or last: set pooling"):
        fetch(Pretrained(source=str(source)), tmp_path / "fetched")
    fetch(Pretrained(source=str(source), pooling="mean"), tmp_path / "fetched")


def test_an_encoder_decoder_and_a_tokenizer_that_cannot_pad_are_refused(tmp_path: Path) -> None:
    families.save("bart", tmp_path / "bart", WORDS, AutoModel)
    with pytest.raises(UserError, match="is an encoder-decoder"):
        fetch(Pretrained(source=str(tmp_path / "bart")), tmp_path / "fetched")
    families.save("gpt2", tmp_path / "gpt2", WORDS, AutoModel)
    path = tmp_path / "gpt2/tokenizer_config.json"
    content = json.loads(path.read_text())
    path.write_text(
        json.dumps({**content, "eos_token": None, "tokenizer_class": "TokenizersBackend"})
    )
    with pytest.raises(UserError, match="has neither a padding nor an end token"):
        fetch(Pretrained(source=str(tmp_path / "gpt2")), tmp_path / "fetched")


def test_weights_that_are_missing_do_not_stay_random(family: str, tmp_path: Path) -> None:
    """As with weights saved from another library, under names that transformers does not know."""
    families.save(family, tmp_path / "source", WORDS, AutoModel)
    path = tmp_path / "source/model.safetensors"
    renamed = {f"backbone.net.{name}": value for name, value in load_file(path).items()}
    save_file(renamed, path, {"format": "pt"})
    with pytest.raises(UserError, match="tensors that would stay random"):
        fetch(Pretrained(source=str(tmp_path / "source")), tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_dropout_rate_written_as_a_whole_number_is_set_too(
    tiny_bert: Path, tmp_path: Path
) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    path = source / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_dropout_prob": 0}))
    assert load_encoder(source, dropout=0.3)[0].config.hidden_dropout_prob == 0.3


def test_positions_may_start_after_a_padding_token_of_number_0(tmp_path: Path) -> None:
    families.save("roberta", tmp_path, WORDS, AutoModel, pad_token_id=0)
    encoder = AutoModel.from_pretrained(tmp_path)
    longest = longest_input(encoder, 10**6)
    encoder(input_ids=torch.full((1, longest), 5))
    with pytest.raises((IndexError, RuntimeError)):
        encoder(input_ids=torch.full((1, longest + 1), 5))


def test_a_family_that_cannot_be_cut_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    families.save("gpt2", tmp_path, WORDS, AutoModel)
    layers: dict[str, Any] = {"attention_types": [[["global", "local"], 1]], "num_layers": 2}
    GPTNeoModel(
        GPTNeoConfig(vocab_size=300, hidden_size=32, num_heads=2, **layers)
    ).save_pretrained(tmp_path)
    assert load_encoder(tmp_path)[0].config.num_hidden_layers == 2
    with pytest.raises(UserError, match="is a gpt_neo, which transformers cannot cut to 1 of"):
        load_encoder(tmp_path, layers=1)


def test_the_pooler_of_a_bert_is_left_out(tiny_bert: Path, tmp_path: Path) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    BertForMaskedLM(BertConfig.from_pretrained(tiny_bert)).save_pretrained(source)
    fetch(Pretrained(source=str(source)), tmp_path / "fetched")
    assert load_encoder(tmp_path / "fetched")[0].pooler is None


def test_too_many_layers_and_a_missing_model_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 2 layers, so it cannot give its lowest 3"):
        load_encoder(tiny_bert, layers=3)
    with pytest.raises(UserError, match=r"'max_length' is 33, but .* reads at most 32 tokens"):
        load_encoder(tiny_bert, max_length=33)
    with pytest.raises(UserError, match="holds no model"):
        load_encoder(tmp_path)


def test_the_tokenizer_hash_tells_vocabularies_and_casing_apart(
    tiny_bert: Path, tmp_path: Path
) -> None:
    hashes = {tokenizer_hash(AutoTokenizer.from_pretrained(tiny_bert))}
    save_tiny_bert(tmp_path / "other", [*THINGS, *COLOURS, *FILLERS])
    hashes.add(tokenizer_hash(AutoTokenizer.from_pretrained(tmp_path / "other")))
    save_tiny_bert(tmp_path / "cased", [*COLOURS, *THINGS, *FILLERS])
    path = tmp_path / "cased" / "tokenizer.json"
    content = json.loads(path.read_text())
    content["normalizer"]["lowercase"] = False
    path.write_text(json.dumps(content))
    cased = AutoTokenizer.from_pretrained(tmp_path / "cased")
    assert cased.tokenize("THE") == ["[UNK]"]
    hashes.add(tokenizer_hash(cased))
    assert len(hashes) == 3
