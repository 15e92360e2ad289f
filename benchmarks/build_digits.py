"""Write ``featurize/data/digits.npz``, the network behind ``shc.featurize.band_image.digits``.

    python benchmarks/build_digits.py FONTS

FONTS is a folder with the unpacked Debian packages fonts-liberation, fonts-urw-base35, fonts-open-sans,
fonts-roboto-unhinted, fonts-noto-core, fonts-freefont-ttf, fonts-lmodern, fonts-cmu, fonts-stix, fonts-cantarell,
fonts-manrope, fonts-inconsolata, fonts-ebgaramond (training) and fonts-inter, fonts-lato, fonts-cabin,
fonts-crosextra-carlito, fonts-crosextra-caladea, fonts-linuxlibertine, fonts-comic-neue (only to measure). Lines of
text are drawn in random sizes, spacings, blurs and compressions; the network learns them by connectionist temporal
classification. Prints the share of lines read without a mistake, on the fonts of the training and on the others.
"""

from __future__ import annotations

import argparse
import io
import math
import random
import re
import time
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from shc.featurize.band_image import digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTPUT = Path(__file__).parent.parent / "featurize" / "data" / "digits.npz"
TRAINING_FONTS = (
    r"DejaVuSans(-|\.)", r"DejaVuSans(-|\.)", r"DejaVuSerif", r"DejaVuSansMono",
    r"LiberationSans-", r"LiberationSans-", r"LiberationSerif-", r"LiberationMono-", r"LiberationSansNarrow-",
    r"NimbusSans-", r"NimbusSans-", r"NimbusRoman-", r"NimbusMonoPS-", r"NimbusSansNarrow", r"P052-", r"URWBookman",
    r"OpenSans-", r"OpenSans-", r"Roboto-", r"RobotoCondensed-", r"NotoSans-", r"NotoSansDisplay-",
    r"FreeSans", r"FreeSerif", r"FreeMono", r"lmroman(8|10|12)-", r"lmsans(8|10|12)-", r"lmmono10-",
    r"cmunrm|cmunti|cmunbx|cmunsl", r"cmunss|cmunsx|cmunsi", r"cmr10|cmss10|cmb10", r"STIXGeneral", r"Cantarell-",
    r"Manrope-", r"Inconsolata", r"EBGaramond12-",
)  # fmt: skip
HELD_OUT_FONTS = (
    r"Inter-(Regular|Bold|Medium|Italic|Light)", r"Lato-(Regular|Bold|Medium|Italic)", r"Cabin-", r"Carlito-",
    r"Caladea-", r"LinLibertine_R", r"ComicNeue-", r"C059-", r"URWGothic-", r"NotoSerif-",
)  # fmt: skip
MINUS = "-\u2212\u2013"
LETTERS = "ABCDEFGHKLMNPQRSTUVWXYZabcdefghkmnpqrstuvwxyz"
CLEAR_LETTERS = "ACDHKLMNPQRTUVWXYaefhkmnprtuvwxy"
"""Letters that look like no digit."""
GREEK = "\u0393\u0394\u03a3\u039b\u03b5\u03bc\u03c3\u03c0\u03a9\u03b8"
WORDS = ("Energy", "(eV)", "eV", "DOS", "Energy (eV)", "E - E", "Spin", "up", "LDA", "PBE", "total", "k", "Wave", "meV")


@dataclass(frozen=True)
class Sample:
    """A scaled line and its classes."""

    line: NDArray[np.uint8]
    text: str


def font_families(folder: Path, patterns: tuple[str, ...]) -> list[list[Path]]:
    """Font files of each pattern, those of matplotlib included."""
    import matplotlib as mpl

    roots = [folder, Path(mpl.get_data_path()) / "fonts" / "ttf"]
    paths = sorted(p for root in roots for p in root.rglob("*") if p.suffix in {".ttf", ".otf"})
    families = [[p for p in paths if re.match(pattern, p.name)] for pattern in patterns]
    missing = [pattern for pattern, family in zip(patterns, families, strict=True) if not family]
    if missing:
        raise SystemExit(f"no font for {missing}")
    return families


@lru_cache(1000)
def load_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font at a size; not all are kept, as each holds its file in memory."""
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def characters(path: Path) -> frozenset[int]:
    """Code points that a font can draw."""
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(path)).get_charmap())


def number(rng: random.Random) -> str:
    """A number as it stands at a tick."""
    kind = rng.random()
    if kind < 0.4:
        text = str(rng.randint(0, 12))
    elif kind < 0.5:
        text = str(rng.choice((15, 20, 25, 30, 40, 50, 100, 200, rng.randint(0, 999))))
    elif kind < 0.8:
        text = f"{rng.choice((0.5 * rng.randint(0, 30), 0.2 * rng.randint(0, 30), 0.1 * rng.randint(0, 99))):.1f}"
    elif kind < 0.95:
        text = f"{0.25 * rng.randint(0, 24):.2f}" if rng.random() < 0.6 else f"{0.01 * rng.randint(0, 999):.2f}"
    else:
        text = f"{rng.randint(0, 9)}.{rng.randint(0, 999):03d}"
    sign = rng.random()
    return "-" + text if sign < 0.5 else "+" + text if sign < 0.53 else text


def draw_number(text: str, path: Path, size: int, rng: random.Random) -> Image.Image:
    """Draw a number glyph by glyph; the spacing and the kind of minus and comma vary."""
    font = load_font(path, size)
    have = characters(path)
    minus = rng.choice([c for c in MINUS if ord(c) in have])
    comma = rng.random() < 0.06
    spacing = size * rng.choice((0.0, 0.0, rng.uniform(-0.06, 0.12)))
    canvas = Image.new("L", (round(size * (len(text) + 3)), 2 * size))
    pen = ImageDraw.Draw(canvas)
    x = float(size)
    for glyph in text:
        drawn = minus if glyph == "-" else "," if glyph == "." and comma else glyph
        pen.text((x, size // 3), drawn, fill=255, font=font)
        x += font.getlength(drawn) + spacing
    if rng.random() < 0.04:  # a tick mark to the right is no part of the number
        y = size * rng.uniform(0.8, 1.1)
        x += size * rng.uniform(0.1, 0.4)
        pen.line((x, y, x + size * rng.uniform(0.2, 0.6), y), fill=255, width=max(1, size // 12))
    return canvas


def draw_fermi(path: Path, size: int, rng: random.Random) -> Image.Image:
    """Draw E_F, the F as an index or on the line."""
    font = load_font(path, size)
    index = size if rng.random() < 0.2 else max(4, round(size * rng.uniform(0.6, 0.8)))
    canvas = Image.new("L", (4 * size, 2 * size))
    pen = ImageDraw.Draw(canvas)
    pen.text((size, size // 3), "E", fill=255, font=font)
    drop = 0.0 if index == size else size - index + size * rng.uniform(0.0, 0.25)
    x = size + font.getlength("E") + size * rng.uniform(-0.04, 0.06)
    pen.text((x, size // 3 + drop), rng.choice("FFFf"), fill=255, font=load_font(path, index))
    return canvas


def draw_junk(path: Path, size: int, rng: random.Random) -> Image.Image:
    """Draw something that is no number: words, rotated words, strokes, markers."""
    canvas = Image.new("L", (8 * size, 8 * size if rng.random() < 0.4 else 2 * size))
    pen = ImageDraw.Draw(canvas)
    if rng.random() < 0.6:
        have = characters(path)
        greek = [c for c in GREEK if ord(c) in have]
        kind = rng.random()
        word = rng.choice(WORDS) if kind < 0.4 else "".join(rng.choices(LETTERS, k=rng.randint(1, 6)))
        word = rng.choice(CLEAR_LETTERS) if len(word) == 1 else word
        word = rng.choice(greek) if greek and kind > 0.85 else word
        pen.text((size, size // 3), word, fill=255, font=load_font(path, size))
        return canvas.rotate(90, expand=True) if rng.random() < 0.5 else canvas
    width, height = size * rng.uniform(0.3, 4.0), size * rng.uniform(0.5, 1.5)
    kind = rng.random()
    for _ in range(rng.randint(1, 6)):
        points = [size + rng.uniform(0, width) if i % 2 == 0 else rng.uniform(0, height) + 2 for i in range(6)]
        thick = max(1, round(size * rng.uniform(0.03, 0.2)))
        if kind < 0.4:
            pen.line(points[: rng.choice((4, 6))], fill=255, width=thick)
        elif kind < 0.7:
            pen.line((points[0], points[1], points[0] + width * rng.random(), points[1]), fill=255, width=thick)
        else:
            r = size * rng.uniform(0.05, 0.3)
            pen.ellipse((points[0] - r, points[1], points[0] + r, points[1] + 2 * r), fill=255)
    return canvas


def with_junk_on_the_left(canvas: Image.Image, path: Path, size: int, rng: random.Random) -> Image.Image:
    """Put a rotated letter of an axis title to the left of a number."""
    box = canvas.getbbox()
    letter = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(letter).text(
        (size // 2, size // 3), rng.choice(LETTERS + "()"), fill=255, font=load_font(path, size)
    )
    letter = letter.rotate(90)
    mark = letter.getbbox()
    if box is None or mark is None:
        return canvas
    letter = letter.crop(mark)
    x = box[0] - letter.width - round(size * rng.uniform(0.25, 0.5))
    wide = Image.new("L", (canvas.width + 2 * size, canvas.height))
    wide.paste(canvas, (2 * size, 0))
    wide.paste(letter, (x + 2 * size, (box[1] + box[3] - letter.height) // 2 + rng.randint(-size // 4, size // 4)))
    return wide


def distorted(canvas: Image.Image, rng: random.Random) -> Image.Image:
    """Make glyphs wider or narrower, slanted, bolder or thinner, like those of fonts that are not at hand."""
    if rng.random() < 0.4:
        stretch, slant = rng.uniform(0.8, 1.25), rng.choice((0.0, rng.uniform(-0.25, 0.1)))
        shift = -slant * canvas.height / 2
        matrix = (1.0 / stretch, -slant, -shift, 0.0, 1.0, 0.0)
        size = (math.ceil(canvas.width * max(1.0, stretch)), canvas.height)
        canvas = canvas.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    if canvas.height > 60 and rng.random() < 0.15:
        canvas = canvas.filter(ImageFilter.MaxFilter(3) if rng.random() < 0.6 else ImageFilter.MinFilter(3))
    return canvas


def spoil(canvas: Image.Image, factor: float, rng: random.Random) -> NDArray[np.float32]:
    """Shrink, blur and compress a drawing as figures are; ink from 0 to 1."""
    box = canvas.getbbox() or (0, 0, 4, 4)
    image = Image.new("L", (box[2] - box[0] + 24, box[3] - box[1] + 24))
    image.paste(canvas.crop(box), (12, 12))
    if factor != 1.0:
        size = (max(4, round(image.width / factor)), max(4, round(image.height / factor)))
        method = rng.choice((Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS))
        image = image.resize(size, method)
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.05 * max(8, image.height - 24 / factor))))
    grey = np.asarray(image, np.float32) / 255.0
    if rng.random() < 0.06:
        grey = (grey > rng.uniform(0.3, 0.6)).astype(np.float32)
    dark, light = rng.choice(((0.0, 1.0), (0.0, 1.0), (rng.uniform(0, 0.5), rng.uniform(0.75, 1)), (1.0, 0.0)))
    picture = light + (dark - light) * grey
    picture += np.random.default_rng(rng.getrandbits(32)).normal(0.0, rng.choice((0, 0, 0.02)), picture.shape)
    data = np.clip(picture * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        buffer = io.BytesIO()
        Image.fromarray(data).save(buffer, "JPEG", quality=rng.randint(30, 95))
        data = np.asarray(Image.open(buffer))
    ink: NDArray[np.float32] = np.clip(np.abs(data / 255.0 - light) / abs(dark - light), 0.0, 1.0).astype(np.float32)
    return ink


def sample(families: list[list[Path]], rng: random.Random) -> Sample | None:
    """Draw one line; None if nothing is left of it."""
    path = rng.choice(rng.choice(families))
    rows = math.exp(rng.uniform(math.log(6.0), math.log(36.0)))
    factor = 1.0 if rng.random() < 0.5 else rng.uniform(1.3, 4.0)
    size = max(6, round(rows * 1.38 * factor))
    kind = rng.random()
    text = number(rng)
    if kind < 0.74:
        canvas = draw_number(text, path, size, rng)
        if kind < 0.06:
            canvas, text = with_junk_on_the_left(canvas, path, size, rng), "#" + text
    elif kind < 0.82:
        canvas, text = draw_fermi(path, size, rng), "EF"
    else:
        canvas, text = draw_junk(path, size, rng), "#"
    ink = spoil(distorted(canvas, rng), factor, rng)
    dark = ink > rng.uniform(0.25, 0.5) * float(ink.max())
    rows_set, columns_set = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    if rows_set.size < 4:
        return None
    box = (int(columns_set[0]), int(rows_set[0]), int(columns_set[-1]) + 1, int(rows_set[-1]) + 1)
    line = digits.scaled_line(ink, box)
    if text == "#" and line.shape[0] <= 8:  # a thin stroke can be a 1 as well
        return None
    return Sample(np.rint(255 * line).astype(np.uint8), text) if line.shape[0] >= 4 * len(text) + 2 else None


def samples(families: list[list[Path]], count: int, seed: int) -> list[Sample]:
    """Draw many lines."""
    rng = random.Random(seed)  # noqa: S311
    drawn: list[Sample] = []
    while len(drawn) < count:
        one = sample(families, rng)
        if one is not None:
            drawn.append(one)
    return drawn


class Network(torch.nn.Module):
    """The network of ``digits`` in torch."""

    def __init__(self, width: int) -> None:
        """Three convolutions and a linear map."""
        super().__init__()
        sizes = (digits.ROWS, width, width, width)
        taps = (7, 5, 5)
        self.convolution = torch.nn.ModuleList(
            torch.nn.Conv1d(sizes[i], sizes[i + 1], taps[i], digits.STRIDES[i], d * (taps[i] // 2), d)
            for i, d in enumerate(digits.DILATIONS)
        )
        self.output = torch.nn.Linear(width, 1 + len(digits.GLYPHS))

    def forward(self, lines: torch.Tensor) -> torch.Tensor:
        """``[n, n_columns, ROWS]`` to ``[n, n_outputs, n_classes]`` log probabilities."""
        x = lines.transpose(1, 2)
        for layer in self.convolution:
            x = torch.relu(layer(x))
        return torch.log_softmax(self.output(x.transpose(1, 2)), dim=2)

    def weights(self) -> dict[str, NDArray[np.float16]]:
        """Weights in the layout that ``digits`` reads."""
        table: dict[str, NDArray[np.float16]] = {}
        for name, value in self.state_dict().items():
            array = value.detach().numpy()
            array = array.transpose(2, 1, 0) if array.ndim == 3 else array.T
            table[name] = np.ascontiguousarray(array).astype(np.float16)
        return table


def train(drawn: list[Sample], steps: int, batch_size: int, seed: int) -> Network:
    """Fit the network; lines of like length go together."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network(64)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps, pct_start=0.1)
    order = np.argsort([s.line.shape[0] for s in drawn], kind="stable")
    start, shown = time.perf_counter(), 0.0
    for step in range(steps):
        first = int(rng.integers(0, len(drawn) - 4 * batch_size))
        chosen = [drawn[i] for i in rng.choice(order[first : first + 4 * batch_size], batch_size, replace=False)]
        columns = max(s.line.shape[0] for s in chosen)
        lines = np.zeros((batch_size, columns, digits.ROWS), np.float32)
        for i, s in enumerate(chosen):
            lines[i, : s.line.shape[0]] = np.roll(s.line, int(rng.integers(-1, 2)), axis=1) / 255.0
        lines **= rng.uniform(0.7, 1.4, (batch_size, 1, 1)).astype(np.float32)
        targets = torch.tensor([digits.GLYPHS.index(g) + 1 for s in chosen for g in s.text])
        loss = torch.nn.functional.ctc_loss(
            network(torch.from_numpy(lines)).transpose(0, 1), targets,
            torch.tensor([digits.n_outputs(s.line.shape[0]) for s in chosen]),
            torch.tensor([len(s.text) for s in chosen]),
            zero_infinity=True,
        )  # fmt: skip
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        shown += float(loss.detach())
        if (step + 1) % 500 == 0:
            print(f"step {step + 1}: loss {shown / 500:.4f}, {time.perf_counter() - start:.0f} s", flush=True)
            shown = 0.0
    return network


def accuracy(drawn: list[Sample]) -> dict[str, float]:
    """Share of lines read without a mistake, by kind, and errors per glyph of numbers."""
    right: dict[str, list[bool]] = {"numbers": [], "E_F": [], "junk": []}
    wrong = glyphs = 0
    for s in drawn:
        image = s.line.T.astype(np.float32) / 255.0
        height = digits.TEXT_ROWS
        margin = (digits.ROWS - height) // 2
        line = digits.read_lines(image, [(margin, margin, image.shape[1] - margin, margin + height)])[0]
        kind = "E_F" if s.text == "EF" else "junk" if s.text == "#" else "numbers"
        number_like = re.fullmatch(r"#?[-+]?\d+(\.\d+)?|EF", line.text) is not None
        right[kind].append(not number_like if kind == "junk" else line.text == s.text)
        if kind == "numbers":
            glyphs += len(s.text)
            wrong += edit_distance(line.text, s.text)
    return {kind: float(np.mean(values)) for kind, values in right.items()} | {"glyphs": 1.0 - wrong / glyphs}


def edit_distance(a: str, b: str) -> int:
    """Fewest insertions, removals and exchanges."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, last + (x != y))
    return row[-1]


def main() -> None:
    """Draw, train, write and measure."""
    parser = argparse.ArgumentParser(description="Train the reader of tick labels.")
    parser.add_argument("fonts", type=Path)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--steps", type=int, default=18_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    families = font_families(arguments.fonts, TRAINING_FONTS)
    others = font_families(arguments.fonts, HELD_OUT_FONTS)
    start = time.perf_counter()
    drawn = samples(families, arguments.lines, seed=1)
    print(f"{len(drawn)} lines drawn in {time.perf_counter() - start:.0f} s", flush=True)
    network = train(drawn, arguments.steps, 128, seed=2)
    np.savez(OUTPUT, allow_pickle=False, **network.weights())
    for name, fonts in (("fonts of the training", families), ("other fonts", others)):
        shares = accuracy(samples(fonts, 4000, seed=3))
        print(f"{name}: " + ", ".join(f"{kind} {100 * share:.2f} %" for kind, share in shares.items()))


if __name__ == "__main__":
    main()
