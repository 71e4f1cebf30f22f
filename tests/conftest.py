"""Everything small: a random BERT with its own vocabulary, and corpora of a made-up language."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import exports
import project
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.state import AcceleratorState
from project import run, stages_run
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from pipeline.core.rows import Rows

# Models this small only lose by sharing their work among threads.
torch.set_num_threads(1)

COLOURS = ["red", "green", "blue", "grey", "pink", "black", "white", "brown"]
THINGS = ["cat", "dog", "bird", "fish", "horse", "mouse", "frog", "snake"]
FILLERS = ["the", "a", "is", "this", "which", "animal", "here", "there", "now", "very"]
LABEL_NAMES = ("irrelevant", "relevant")
LONG_STAGES = {
    "finetune_teacher": (["t1"], "models/teachers/t1"),
    "dump_logits": (["general", "t1"], "data/logits/general/t1"),
    "dump_pool_logits": (["n1"], "data/logits/pool/n1"),
    "train_noisy_student": (["n1"], "models/teachers/n1"),
    "distill": ([], "models/student/stage1"),
    "finetune_student": ([], "models/student/stage2"),
}
"""Stages that several processes share and that resume: their arguments and outputs."""
TEACHER_STAGES = ("finetune_teacher", "dump_general_logits", "dump_task_logits")


def pairs(count: int, seed: int) -> pa.Table:
    """Pairs that are relevant where both texts name the same animal; all are different."""
    generator = random.Random(seed)
    table: dict[tuple[str, str], int] = {}
    while len(table) < count:
        colour, other = generator.choices(COLOURS, k=2)
        label = len(table) % 2
        thing = generator.choice(THINGS)
        answer = thing if label else generator.choice([one for one in THINGS if one != thing])
        filler = " ".join(generator.choices(FILLERS, k=generator.randint(1, 6)))
        table.setdefault((f"which {colour} {thing} is {filler}", f"the {other} {answer}"), label)
    texts = list(table)
    return pa.table(
        {
            "text_a": [a for a, _ in texts],
            "text_b": [b for _, b in texts],
            "label": pa.array(table.values(), pa.int64()),
        }
    )


def rows_of(count: int, seed: int = 0, name: str = "task/train") -> Rows:
    return Rows(name, pairs(count, seed), LABEL_NAMES)


def save_tiny_bert(directory: Path, words: list[str], layers: int = 2) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    numbers = {word: i for i, word in enumerate(vocabulary)}
    backend = Tokenizer(WordPiece(numbers, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(directory)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(directory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker ends long before the other."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Models compute in bfloat16, unless they are told otherwise."""
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a random two-layer BERT of width 32."""
    directory = tmp_path_factory.mktemp("bert")
    save_tiny_bert(directory, [*COLOURS, *THINGS, *FILLERS])
    return directory


@pytest.fixture
def models(tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of models in the current one, with the tiny BERT as ``pretrained/tiny``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/pretrained").mkdir(parents=True)
    (tmp_path / "models/pretrained/tiny").symlink_to(tiny_bert)
    return tmp_path / "models"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> exports.Export:
    """The export of a student with two classes."""
    root = tmp_path_factory.mktemp("exported")
    return exports.export(exports.save_student(root / "student", tiny_bert), root / "models")


@pytest.fixture(scope="session")
def exported_nli(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> exports.Export:
    """The export of a student with three classes, and heads of three layers."""
    root = tmp_path_factory.mktemp("exported-nli")
    names = ("entailment", "neutral", "contradiction")
    student = exports.save_student(root / "student", tiny_bert, label_names=names, head_layers=3)
    return exports.export(student, root / "models")


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source directory with a Parquet file per split: 300 unlabelled pairs, 120 + 40 + 60."""
    directory = tmp_path_factory.mktemp("source")
    sizes = {"train": 120, "validation": 40, "test": 60, "pool": 300}
    for seed, (split, count) in enumerate(sizes.items()):
        place = directory / ("general" if split == "pool" else "task")
        place.mkdir(exist_ok=True)
        pq.write_table(pairs(count, seed), place / f"{split}.parquet")
    return directory


def tiny_params(corpora: Path, bert: Path) -> dict[str, Any]:
    """Settings of a whole pipeline that computes for seconds."""
    corpus = {"label_names": list(LABEL_NAMES)}
    training = {"lr": 3e-3, "epochs": 6, "batch_size": 8, "dropout": 0.0}
    names = ["t1", "t2"]
    return {
        "alpha": 0.9,
        "max_length": 16,
        "general": ["web"],
        "task": "qa",
        "tests": ["qa"],
        "corpora": {
            "web": {**corpus, "source": str(corpora / "general"), "splits": {"pool": "pool"}},
            "qa": {
                **corpus,
                "source": str(corpora / "task"),
                "splits": {"train": "train", "validation": "validation", "test": "test"},
            },
        },
        "pretrained": {"tiny": {"source": str(bert)}},
        "teachers": {
            name: {**training, "corpus": "task", "weights": "pretrained/tiny", "seed": seed}
            for seed, name in enumerate(names)
        },
        "classifiers": {},
        "noisy_students": {},
        "student": {"weights": "pretrained/tiny", "layers": 1, "head_layers": 1},
        "stage1": {**training, "teachers": names},
        "stage2": {**training, "teachers": names},
        "export": {"int8_agreement": 0.5},
    }


def noisy_student(**changes: Any) -> dict[str, Any]:
    """An entry of ``noisy_students`` for ``tiny_params``."""
    return {
        "teacher": "t1",
        "weights": "pretrained/tiny",
        "pseudo_labels": {"top_share": 0.9, "balance": False},
        "lr": 3e-3,
        "epochs": 2,
        "batch_size": 40,
        **changes,
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert: Path) -> Path:
    """A project whose pipeline has run once and is committed."""
    directory = project.create(
        tmp_path_factory.mktemp("projects") / "finished", tiny_params(corpora, tiny_bert)
    )
    output = run(directory, "dvc", "repro")
    assert sorted(stages_run(output)) == sorted(
        ["download", "fetch_pretrained@tiny", "distill", "finetune_student", "evaluate", "export"]
        + [f"{stage}@t{i}" for stage in TEACHER_STAGES for i in (1, 2)]
        + [f"dump_test_logits@qa-t{i}" for i in (1, 2)]
    )
    assert "Results on the test set 'qa': 60 rows" in output
    project.commit(directory, "run")
    return directory


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert: Path) -> Path:
    """A project of one teacher whose stages have run, each long enough to be killed."""
    source = tmp_path_factory.mktemp("long")
    shutil.copytree(corpora / "task", source / "task")
    (source / "general").mkdir()
    pq.write_table(pairs(5000, 4), source / "general" / "pool.parquet")
    params = tiny_params(source, tiny_bert)
    for training in (params["teachers"]["t1"], params["stage1"], params["stage2"]):
        # Of 120 rows, the last batch has one.
        training |= {"epochs": 12, "batch_size": 7}
    for stage in ("stage1", "stage2"):
        params[stage]["teachers"] = ["t1"]
    params["stage1"]["rows"] = 300
    params["teachers"] = {"t1": params["teachers"]["t1"]}
    # Each process draws its own dropout and its own layers to skip.
    quiet = noisy_student(dropout=0.0, stochastic_depth=0.0)
    params["noisy_students"] = {
        "n1": {**quiet, "pseudo_labels": {"top_share": 0.2, "balance": False}}
    }
    directory = project.create(tmp_path_factory.mktemp("stages") / "uninterrupted", params)
    run(directory, "python", "stages/download.py")
    run(directory, "python", "stages/fetch_pretrained.py", "tiny")
    run(directory, "python", "stages/finetune_teacher.py", "t1")
    run(directory, "python", "stages/dump_pool_logits.py", "n1")
    run(directory, "python", "stages/pseudo_label.py", "n1")
    run(directory, "python", "stages/train_noisy_student.py", "n1")
    run(directory, "python", "stages/dump_logits.py", "general", "t1")
    run(directory, "python", "stages/dump_logits.py", "task", "t1")
    run(directory, "python", "stages/distill.py")
    run(directory, "python", "stages/finetune_student.py")
    return directory


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to change at will."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    yield tmp_path / "copy"
    shutil.rmtree(tmp_path / "copy")
