"""Training: our loop against the Trainer of transformers, and both against the matrix rate.

Same weights, rows, batch size, optimizer, schedule, clipping and precision; all get their rows
tokenised. The Trainer runs as it is, and with our switches: products by oneDNN, where our loop uses
it, and the plain formula of attention. All keep freed memory and have threads that yield. Rates
count tokens of texts, without padding.
"""

import tempfile
from collections.abc import Callable
from statistics import median

import torch
from side_by_side import (
    WEIGHTS,
    default_rows,
    matrix_rate,
    out,
    random_bert,
    start,
    table,
    take_turns,
    times,
)
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from pipeline.core import runtime
from pipeline.core.checkpoints import Checkpoint
from pipeline.core.rows import Rows
from pipeline.model.encoding import Encoded
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN
from pipeline.training.loop import Examples, train
from pipeline.training.settings import Training

BATCH_SIZE = 8
SETTINGS = Training(lr=3e-5, epochs=1, batch_size=BATCH_SIZE, dropout=0.0)


def minilm(layers: int) -> PreTrainedModel:
    encoder, _ = load_encoder(WEIGHTS, layers=layers)
    return encoder


def our_loop(encoder: PreTrainedModel, rows: Rows, encoded: Encoded) -> Callable[[], object]:
    classes = len(rows.label_names)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=classes, dropout=0.0)
    labels, no_teachers = torch.from_numpy(rows.labels), torch.empty(len(rows), 0, classes)

    def loss(logits: Tensor, labels: Tensor, _: Tensor) -> Tensor:
        return cross_entropy(logits[:, 0], labels, reduction="none")

    return lambda: train(
        model,
        Examples(encoded, labels, no_teachers),
        Examples(encoded.first(1), labels[:1], no_teachers[:1]),
        heads=[GOLDEN],
        loss=loss,
        settings=SETTINGS,
        name="",
        checkpoint=Checkpoint("benchmark", "training"),
    )


def trainer(
    encoder: PreTrainedModel, rows: Rows, encoded: Encoded, *, switches: bool = False
) -> Callable[[], object]:
    attention = "eager" if switches and not torch.cuda.is_available() else "sdpa"
    model = AutoModelForSequenceClassification.from_config(
        encoder.config, attn_implementation=attention
    )
    model.bert.load_state_dict(encoder.state_dict(), strict=False)
    items = [
        {
            "input_ids": encoded.ids[first:last].tolist(),
            "token_type_ids": encoded.types[first:last].tolist(),
            "attention_mask": [1] * int(last - first),
            "labels": int(label),
        }
        for first, last, label in zip(
            encoded.offsets[:-1], encoded.offsets[1:], rows.labels, strict=True
        )
    ]
    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        per_device_train_batch_size=BATCH_SIZE,
        num_train_epochs=1,
        optim="adamw_torch_fused",
        learning_rate=SETTINGS.lr,
        weight_decay=SETTINGS.weight_decay,
        warmup_steps=SETTINGS.warmup,
        max_grad_norm=SETTINGS.clip,
        bf16=runtime.precision() == "bf16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(WEIGHTS))
    made = Trainer(model, arguments, train_dataset=items, data_collator=collator)
    made.remove_callback(PrinterCallback)

    def run() -> None:
        ours = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(ours if switches else "highest")
        made.train()
        torch.set_float32_matmul_precision(ours)

    return run


def products(config: PretrainedConfig, first_token_only: bool) -> float:
    """FLOPs of the matrix products of a training step, per token: backward counts twice."""
    width, inner = config.hidden_size, config.intermediate_size
    whole = 2 * (4 * width * width + 2 * width * inner)
    highest = 2 * 2 * width * width if first_token_only else whole
    return float(3 * ((config.num_hidden_layers - 1) * whole + highest))


def main() -> None:
    start()
    peak = matrix_rate()
    made = table(
        f"Training at batch {BATCH_SIZE}; a matrix product reaches {peak / 1e9:,.0f} GFLOP/s",
        "model",
        "length",
        "ours, tokens/s",
        "Trainer",
        "ours is faster",
        "than it with our switches",
        "of peak",
        "Trainer",
    )
    cases: list[tuple[str, Callable[[], PreTrainedModel], int, int]] = [
        ("MiniLM, 6 layers", lambda: minilm(6), 256, 40),
        ("MiniLM, 6 layers", lambda: minilm(6), 256, 128),
        ("MiniLM, 3 layers", lambda: minilm(3), 512, 40),
        ("MiniLM, 3 layers", lambda: minilm(3), 512, 128),
        ("MiniLM, 1 layer", lambda: minilm(1), 512, 40),
        ("BERT-base, random", lambda: random_bert(12, 768), 32, 40),
    ]
    for name, encoder, count, most in cases:
        rows, encoded = default_rows("train", count, most)
        tokens = len(encoded.ids)
        own, theirs = encoder(), encoder()
        seconds = take_turns(
            {
                "ours": our_loop(own, rows, encoded),
                "Trainer": trainer(theirs, rows, encoded),
                "switched": trainer(theirs, rows, encoded, switches=True),
            }
        )
        rate = {who: tokens / median(each) for who, each in seconds.items()}
        flops = {
            "ours": products(own.config, own.config.head_pooling == "cls"),
            "Trainer": products(theirs.config, False),
        }
        made.add_row(
            name,
            str(most),
            f"{rate['ours']:,.0f}",
            f"{rate['Trainer']:,.0f}",
            times(seconds["Trainer"], seconds["ours"]),
            times(seconds["switched"], seconds["ours"]),
            *(f"{rate[who] * flops[who] / peak:.0%}" for who in flops),
        )
    out.print(made)


if __name__ == "__main__":
    main()
