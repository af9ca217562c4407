"""A made set of pictures with texts, and a small model, to see in a minute that fine-tuning learns.

python -m models.training.clip_tuning.shapes --out shapes
python -m models.training.finetune_clip --source shapes/model --pairs shapes/pairs.jsonl --out run --steps 300
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from PIL import Image, ImageDraw
from transformers import ChineseCLIPConfig, ChineseCLIPModel

COLOURS = {
    "红": (220, 40, 40),
    "绿": (40, 160, 60),
    "蓝": (40, 80, 220),
    "黄": (235, 205, 40),
    "紫": (140, 50, 170),
    "黑": (20, 20, 20),
}
FORMS = ("圆", "方", "三角", "横条", "竖条")
PLACES = {"左": 0.28, "中": 0.5, "右": 0.72}
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SIDE = 96


def draw(colour: str, form: str, place: str, random: random.Random) -> Image.Image:
    """A shape on a pale ground, a little different each time."""
    ground = tuple(random.randint(225, 255) for _ in range(3))
    image = Image.new("RGB", (_SIDE, _SIDE), ground)
    x, y = PLACES[place] * _SIDE + random.uniform(-4, 4), _SIDE / 2 + random.uniform(-12, 12)
    r = random.uniform(12, 18)
    wide, high = {"横条": (1.3, 0.4), "竖条": (0.4, 1.6)}.get(form, (1.0, 1.0))
    box = (x - r * wide, y - r * high, x + r * wide, y + r * high)
    fill = tuple(max(0, min(255, part + random.randint(-15, 15))) for part in COLOURS[colour])
    canvas = ImageDraw.Draw(image)
    if form == "圆":
        canvas.ellipse(box, fill=fill)
    elif form == "三角":
        canvas.polygon([(x, box[1]), (box[2], box[3]), (box[0], box[3])], fill=fill)
    else:
        canvas.rectangle(box, fill=fill)
    return image


def write_pairs(folder: Path, *, each: int = 8, seed: int = 0) -> Path:
    """Draw every colour, form and place `each` times; returns the JSONL file of pictures and texts."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, str]] = []
    for colour in COLOURS:
        for form in FORMS:
            for place in PLACES:
                for number in range(each):
                    name = f"{len(lines):05d}-{number}.png"
                    draw(colour, form, place, rng).save(folder / name)
                    lines.append({"image": name, "text": f"{place}边一个{colour}色的{form}"})
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def vocabulary() -> list[str]:
    """Special tokens, and the characters of the texts."""
    return [*_SPECIAL, *sorted(set("".join([*COLOURS, *FORMS, *PLACES]) + "边一个色的"))]


def write_model(folder: Path, *, seed: int = 0) -> Path:
    """A Chinese-CLIP of 0.3 million parameters with random weights, as a folder of transformers."""
    import torch

    torch.manual_seed(seed)
    tokens = vocabulary()
    tower = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = ChineseCLIPConfig(
        text_config={**tower, "vocab_size": len(tokens), "max_position_embeddings": 52},
        vision_config={**tower, "image_size": 48, "patch_size": 8, "projection_dim": 32},
        projection_dim=32,
    )
    ChineseCLIPModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.training.clip_tuning.shapes", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=8, help="pictures of each colour, form and place")
    options = parser.parse_args()
    print(write_pairs(options.out, each=options.each))
    print(write_model(options.out / "model"))


if __name__ == "__main__":
    main()
