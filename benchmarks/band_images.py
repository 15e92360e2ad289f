"""The normaliser of band pictures: on drawn pictures whose truth is known, on real figures, and against the clock.

Usage: python benchmarks/band_images.py roundtrip --features FILE [--n 500] [--seed 0] [--sheet worst.png]
       python benchmarks/band_images.py figures [--figures FOLDER] [--sheet figures.png]
       python benchmarks/band_images.py speed --features FILE [--repeats 40]

FILE is a feature file with bands (``shc featurize --bands auto``). FOLDER holds the figures that
``benchmarks/band_figures.csv`` describes; the default is ``band_figures`` in SHC_DATA. The CSV was made by hand.

A panel is right if each edge lies within 1.5 % of the picture's size of the true one, or if common area divided by
united area is 0.95 or more. Offsets are rows of the model's picture between its middle and the true zero of energy. An
axis is right if the offset is at most 3 rows and its scale is right within 2 %. Ink differences are means of absolute
values over the rows that the figure shows. Speed is processor time of one thread with a told energy axis, for the
peer reads no tick labels; decoding included.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw

from shc.featurize.band_image.decode import read_picture
from shc.featurize.band_image.normalise import normalise
from shc.featurize.band_image.pixels import to_rgb
from shc.featurize.band_image.style_choices import TINTS
from shc.featurize.band_image.style_drawing import draw_styled
from shc.featurize.band_image.style_pictures import nearest_panel, shared, true_window
from shc.featurize.band_image.styles import random_style
from shc.featurize.band_image.types import Box, EnergyAxis, EnergyWindow
from shc.featurize.electronic.picture import IMAGE_SIZE
from shc.featurize.electronic.record import BAND_RANGE
from shc.featurize.store import FeatureFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shc.featurize.band_image.styles import Style
    from shc.featurize.band_image.types import BandPicture
    from shc.featurize.electronic.record import ElectronicRecord

    Pixels = NDArray[np.uint8]

ANNOTATIONS: Final = Path(__file__).with_name("band_figures.csv")
ROW_EV: Final = 2.0 * BAND_RANGE / IMAGE_SIZE
"""Height of a row of the model's picture, eV."""
EDGE: Final = 0.015
OVERLAP: Final = 0.95
OFFSET: Final = 3.0
SCALE: Final = 0.02
WORST: Final = 24
SIDE: Final = (1000, 800)


@dataclass(frozen=True)
class Outcome:
    """How well a picture was understood."""

    name: str
    panel: bool
    offset: float
    """Rows; not finite if no axis was read."""
    scale: float
    """Relative error."""
    ink: float
    """Difference to the ideal picture; not finite where there is none."""
    told_ink: float
    """The same with a told energy axis."""
    note: str
    picture: BandPicture
    rgb: Pixels
    truth: Box
    ideal: NDArray[np.float32] | None
    choices: tuple[str, ...] = ()
    """What decides how hard it is, in few words."""

    @property
    def axis(self) -> bool:
        """Whether the axis is right."""
        return bool(abs(self.offset) <= OFFSET and abs(self.scale) <= SCALE)


def panel_right(found: Box | None, true: Box, size: tuple[int, int]) -> bool:
    """Whether a panel is right; ``size`` is height and width of the picture."""
    if found is None:
        return False
    height, width = size
    across = max(abs(found.left - true.left), abs(found.right - true.right)) <= EDGE * width
    along = max(abs(found.top - true.top), abs(found.bottom - true.bottom)) <= EDGE * height
    return (across and along) or shared(found, true) >= OVERLAP


def axis_errors(found: EnergyAxis | None, true: EnergyAxis) -> tuple[float, float]:
    """Offset in rows of the model's picture and relative error of the scale; infinite without an axis."""
    if found is None:
        return float("inf"), float("inf")
    return found.energy(true.fermi_row) / ROW_EV, found.ev_per_pixel / true.ev_per_pixel - 1.0


def ink_difference(image: NDArray[np.float32], ideal: NDArray[np.float32], window: tuple[float, float]) -> float:
    """Mean absolute difference over the rows within a window, eV."""
    middle = BAND_RANGE - ROW_EV * (np.arange(IMAGE_SIZE) + 0.5)
    rows = (middle > window[0]) & (middle < window[1])
    return float(np.abs(image[0, rows] - ideal[0, rows]).mean())


def random_record(file: FeatureFile, rng: np.random.Generator) -> ElectronicRecord:
    """Bands of a random crystal that has some."""
    while True:
        (record,) = file.bands(rng.integers(0, len(file), 1))
        if record is not None and record.energy.shape[1] and record.scalar_energy.shape[1]:
            return record


def described(style: Style) -> str:
    """The choices that make a picture hard to read."""
    frame, text, layout, output = style.frame, style.lettering, style.layout, style.output
    letter = text.size * layout.dpi / 72.0 * output.scale
    words = [
        f"[{style.e_min_ev:g},{style.e_max_ev:g}] step {text.step:g}",
        f"{style.strokes.paint} '{style.strokes.line}' {style.strokes.width:.1f}pt",
        f"frame {frame.sides}",
        f"{text.family} {letter:.0f}px",
        f"zero '{frame.zero}'",
        layout.beside and f"beside {layout.beside}",
        layout.legend and f"legend {layout.legend}",
        frame.grid and "grid",
        layout.inset and "inset",
        layout.margin and "margin",
        style.absolute and "absolute",
        layout.inside != "white" and layout.inside,
        output.jpeg and f"jpeg {output.jpeg}",
        output.scale < 1.0 and "smaller",
        output.blur and "blur",
        output.noise and "noise",
        output.transparent and "transparent",
    ]
    return ", ".join(str(word) for word in words if word)


def between(value: float, low: float, high: float) -> str:
    """Below, between or above two bounds."""
    if value < low:
        return f"below {low:g}"
    return f"from {low:g} to {high:g}" if value < high else f"above {high:g}"


def chosen(style: Style) -> tuple[str, ...]:
    """Choices by which outcomes are counted."""
    frame, layout, output = style.frame, style.layout, style.output
    letter = style.lettering.size * layout.dpi / 72.0 * output.scale
    panel = layout.height * layout.dpi * output.scale
    return (
        f"frame {frame.sides}",
        f"beside {layout.beside or 'nothing'}",
        f"legend {layout.legend or 'none'}",
        f"paint {style.strokes.paint}",
        f"line {style.strokes.line}",
        f"width {between(style.strokes.width, 1.0, 2.0)} pt",
        f"letters {between(letter, 14.0, 28.0)} px",
        f"height {between(panel, 400.0, 800.0)} px",
        f"grid {frame.grid or 'none'}",
        f"zero {frame.zero or 'none'}",
        f"ticks {frame.ticks if frame.tick_length else 'none'}",
        f"file {'JPEG below 60' if 0 < output.jpeg < 60 else 'JPEG' if output.jpeg else 'PNG'}",
        f"background {'white' if layout.inside == 'white' else 'tinted' if layout.inside in TINTS else 'dark'}",
        "absolute axis" if style.absolute else "axis from its zero",
    )


def print_choices(outcomes: Sequence[Outcome]) -> None:
    """How often panel and axis are right, and the ink difference, by choice."""
    print("| choice | pictures | panel right % | axis right % | ink difference, told |")
    print("|---|---|---|---|---|")
    for choice in sorted({choice for o in outcomes for choice in o.choices}):
        some = [o for o in outcomes if choice in o.choices]
        panel, axis = (100.0 * float(np.mean(flags)) for flags in ([o.panel for o in some], [o.axis for o in some]))
        print(f"| {choice} | {len(some)} | {panel:.0f} | {axis:.0f} | {np.median([o.told_ink for o in some]):.3f} |")


def draw_and_read(file: FeatureFile, seed: int) -> Outcome:
    """One round trip: a random crystal in a random style."""
    rng = np.random.default_rng(seed)
    record, style = random_record(file, rng), random_style(rng)
    drawn = draw_styled(record, style)
    rgb = to_rgb(Image.open(BytesIO(drawn.data)))
    picture, told = normalise(rgb), normalise(rgb, true_window(drawn))
    true = drawn.panels[0] if picture.panel is None else nearest_panel(picture.panel, drawn)
    offset, scale = axis_errors(picture.axis, true.axis)
    window = (true.e_min_ev, true.e_max_ev)
    return Outcome(
        name=f"seed {seed}",
        panel=panel_right(picture.panel, true.box, picture.size),
        offset=offset,
        scale=scale,
        ink=ink_difference(picture.image, true.ideal, window),
        told_ink=ink_difference(told.image, true.ideal, window),
        note=described(style),
        picture=picture,
        rgb=rgb,
        truth=true.box,
        ideal=true.ideal,
        choices=chosen(style),
    )


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median and 95 % point of absolute values."""
    if not values:
        return "none"
    sizes = np.abs(np.array(values))
    return f"median {np.median(sizes):{form}}, 95 % {np.percentile(sizes, 95):{form}}, largest {sizes.max():{form}}"


def share(flags: Sequence[bool]) -> str:
    """A share with its standard error."""
    part = float(np.mean(flags))
    return f"{sum(flags)} of {len(flags)} ({100 * part:.1f} +- {100 * (part * (1 - part) / len(flags)) ** 0.5:.1f} %)"


def roundtrip(options: argparse.Namespace) -> None:
    """Drawn pictures: what is found without help, and the worst."""
    file = FeatureFile.open(options.features)
    outcomes: list[Outcome] = []
    for seed in range(options.seed, options.seed + options.n):
        outcome = draw_and_read(file, seed)
        if not options.sheet:
            outcome = replace(outcome, rgb=outcome.rgb[:1, :1])
        outcomes.append(outcome)
    read = [o for o in outcomes if o.picture.axis is not None]
    ideal = [float(o.ideal.mean()) for o in outcomes if o.ideal is not None]
    print(f"panel right           {share([o.panel for o in outcomes])}")
    print(f"axis read             {share([o.picture.axis is not None for o in outcomes])}")
    print(f"axis right, no help   {share([o.axis for o in outcomes])}")
    print(f"zero offset, rows     {spread([o.offset for o in read])}   where an axis was read")
    print(f"scale error           {spread([o.scale for o in read], '.4f')}   where an axis was read")
    print(f"ink difference        {spread([o.ink for o in read], '.4f')}   where an axis was read")
    print(f"ink difference, told  {spread([o.told_ink for o in outcomes], '.4f')}")
    print(f"ink of ideal pictures {spread(ideal, '.4f')}")
    for bound in (0.9, 0.7, 0.5, 0.3):
        sure = [o for o in outcomes if o.picture.confidence >= bound]
        if sure:
            right = share([o.panel and o.axis for o in sure])
            print(f"confidence >= {bound}     {len(sure)} pictures, panel and axis right in {right}")
    print_choices(outcomes)
    worst = sorted(outcomes, key=lambda o: (o.panel, o.axis, -o.told_ink))[:WORST]
    print_outcomes(worst)
    if options.sheet:
        save_sheet(worst, options.sheet)


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """A line for each picture."""
    for o in outcomes:
        marks = f"{'panel' if o.panel else 'PANEL'} {'axis' if o.axis else 'AXIS'}"
        ink = f" ink {o.told_ink:.3f}" if np.isfinite(o.told_ink) else ""
        reasons = "; ".join(o.picture.reasons)
        print(
            f"{o.name:34} {marks} offset {o.offset:7.2f} scale {100 * o.scale:7.2f} %{ink} "
            f"confidence {o.picture.confidence:.2f} | {o.note} | {reasons}"
        )


def save_sheet(outcomes: Sequence[Outcome], path: Path) -> None:
    """Each picture with the true panel (magenta), the found one (green) and its zero, the result and the ideal."""
    width, height = 900, 300
    sheet = Image.new("RGB", (2 * width, -(-len(outcomes) // 2) * height), "#606060")
    for place, o in enumerate(outcomes):
        tile = Image.fromarray(o.rgb)
        draw = ImageDraw.Draw(tile)
        thick = max(1, tile.width // 300)
        boxes = [(o.truth, "magenta"), *([(o.picture.panel, "lime")] if o.picture.panel else [])]
        for box, colour in boxes:
            draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=colour, width=thick)
        if o.picture.axis is not None:
            row = o.picture.axis.fermi_row
            draw.line((0, row, tile.width, row), fill="lime", width=thick)
        tile.thumbnail((width - 2 * IMAGE_SIZE - 20, height - 30))
        x, y = place % 2 * width, place // 2 * height
        sheet.paste(tile, (x, y + 20))
        for column, image in enumerate((o.picture.image, o.ideal)):
            if image is not None:
                grey = Image.fromarray(np.rint(255.0 * (1.0 - image[0])).astype(np.uint8))
                sheet.paste(grey, (x + width - (2 - column) * (IMAGE_SIZE + 6), y + 20))
        label = f"{o.name} {o.note}"[:110]
        ImageDraw.Draw(sheet).text((x + 2, y + 4), label, fill="white" if o.panel and o.axis else "yellow")
    sheet.save(path)


def figures(options: argparse.Namespace) -> None:
    """Real figures against what was read off by hand."""
    folder = options.figures or Path(os.environ.get("SHC_DATA", ".")) / "band_figures"
    with ANNOTATIONS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    outcomes: list[Outcome] = []
    for name in dict.fromkeys(row["file"] for row in rows):
        rgb = read_picture(folder / name)
        picture = normalise(rgb)
        answers = [_compare(picture, rgb, row) for row in rows if row["file"] == name]
        outcomes.append(max(answers, key=lambda o: (o.panel, o.axis, -abs(o.offset))))
    print_outcomes(outcomes)
    print(f"panel right          {share([o.panel for o in outcomes])}")
    print(f"zero within {OFFSET:g} rows   {share([abs(o.offset) <= OFFSET for o in outcomes])}")
    print(f"axis right           {share([o.axis for o in outcomes])}")
    print(f"zero offset, rows    {spread([o.offset for o in outcomes if o.picture.axis is not None])}")
    if options.sheet:
        save_sheet(outcomes, options.sheet)


def _compare(picture: BandPicture, rgb: Pixels, row: dict[str, str]) -> Outcome:
    box = Box(*(int(row[edge]) for edge in ("left", "top", "right", "bottom")))
    ev_per_pixel = (float(row["e_max_ev"]) - float(row["e_min_ev"])) / box.height
    offset, scale = axis_errors(picture.axis, EnergyAxis(float(row["fermi_row"]), ev_per_pixel))
    right = panel_right(picture.panel, box, picture.size)
    missing = float("nan")
    return Outcome(row["file"], right, offset, scale, missing, missing, row["note"], picture, rgb, box, None)


def peer_opencv(path: Path, window: EnergyWindow) -> NDArray[np.float32]:
    """The same steps with OpenCV.

    Decoding, distance from the background, frame and straight lines by opening and by Hough's transform, text by
    connected components, resampling to the model's picture.
    """
    cv2: Any = importlib.import_module("cv2")
    cv2.setNumThreads(1)
    colour = cv2.imread(str(path), cv2.IMREAD_COLOR)
    corners = colour[[0, 0, -1, -1], [0, -1, 0, -1]]
    background = np.median(corners, axis=0)
    distance = np.abs(colour.astype(np.int16) - background.astype(np.int16)).max(axis=2).astype(np.uint8)
    saturation = cv2.cvtColor(colour, cv2.COLOR_BGR2HSV)[..., 1]
    mask = (distance > 40).astype(np.uint8)
    height, width = mask.shape
    across = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, (width // 3, 1)))
    along = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, (1, height // 3)))
    lines = cv2.HoughLinesP(across | along, 1, np.pi / 2, 200, minLineLength=height // 3, maxLineGap=4)
    if lines is None:
        return np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    ends = lines.reshape(-1, 4)
    left, right = int(ends[:, [0, 2]].min()), int(ends[:, [0, 2]].max())
    top, bottom = int(ends[:, [1, 3]].min()), int(ends[:, [1, 3]].max())
    straight = ((across | along) > 0) & (saturation < 60)
    mask[cv2.dilate(straight.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = 0
    inside = np.ascontiguousarray(mask[top + 3 : bottom - 2, left + 3 : right - 2])
    if inside.size == 0:
        return np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    small = (stats[:, cv2.CC_STAT_WIDTH] < 0.03 * width) & (stats[:, cv2.CC_STAT_HEIGHT] < 0.03 * height)
    inside[small[labels]] = 0
    rows = round(IMAGE_SIZE * (window.e_max_ev - window.e_min_ev) / (2.0 * BAND_RANGE))
    ink = cv2.resize(inside.astype(np.float32), (IMAGE_SIZE, rows), interpolation=cv2.INTER_AREA)
    return placed(ink, window)


def peer_skimage(path: Path, window: EnergyWindow) -> NDArray[np.float32]:
    """The same steps with scikit-image; see `peer_opencv`."""
    io, color, morphology, measure, transform = (
        importlib.import_module(f"skimage.{name}") for name in ("io", "color", "morphology", "measure", "transform")
    )
    rgb = io.imread(path)[..., :3]
    background = np.median(rgb[[0, 0, -1, -1], [0, -1, 0, -1]], axis=0)
    mask = np.abs(rgb.astype(np.int16) - background.astype(np.int16)).max(axis=2) > 40
    saturation = color.rgb2hsv(rgb)[..., 1]
    height, width = mask.shape
    across = morphology.opening(mask, np.ones((1, width // 3), bool))
    along = morphology.opening(mask, np.ones((height // 3, 1), bool))
    lines = transform.probabilistic_hough_line(
        across | along, threshold=200, line_length=height // 3, line_gap=4, rng=0, theta=np.array([0.0, np.pi / 2])
    )
    if not lines:
        return np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    ends = np.array(lines).reshape(-1, 2)
    (left, top), (right, bottom) = ends.min(axis=0), ends.max(axis=0)
    mask &= ~morphology.dilation((across | along) & (saturation < 0.25), np.ones((3, 3), bool))
    inside = mask[top + 3 : bottom - 2, left + 3 : right - 2].copy()
    if inside.size == 0:
        return np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    labels = measure.label(inside)
    for region in measure.regionprops(labels):
        y0, x0, y1, x1 = region.bbox
        if x1 - x0 < 0.03 * width and y1 - y0 < 0.03 * height:
            inside[y0:y1, x0:x1][region.image] = False
    rows = round(IMAGE_SIZE * (window.e_max_ev - window.e_min_ev) / (2.0 * BAND_RANGE))
    ink = transform.resize(inside.astype(np.float32), (rows, IMAGE_SIZE), anti_aliasing=True)
    return placed(ink, window)


def placed(ink: NDArray[np.float32], window: EnergyWindow) -> NDArray[np.float32]:
    """Put the rows of a window at their energies in the model's picture."""
    image = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    first = round(IMAGE_SIZE * (BAND_RANGE - window.e_max_ev + window.fermi_ev) / (2.0 * BAND_RANGE))
    start, stop = max(first, 0), min(first + len(ink), IMAGE_SIZE)
    image[0, start:stop] = ink[start - first : stop - first]
    return image


def speed(options: argparse.Namespace) -> None:
    """Time from a PNG of 1000 x 800 pixels to the model's picture."""
    file = FeatureFile.open(options.features)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        cases = [_save_case(file, rng, Path(folder) / f"{index}.png") for index in range(options.pictures)]
        ways: dict[str, Callable[[Path, EnergyWindow], object]] = {
            "ours": lambda path, window: normalise(read_picture(path), window),
            "ours, axis read": lambda path, _: normalise(read_picture(path)),
            "ours, decoding alone": lambda path, _: read_picture(path),
        }
        peers = (("OpenCV", peer_opencv, "cv2"), ("scikit-image", peer_skimage, "skimage"))
        ways |= {name: way for name, way, module in peers if find_spec(module)}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for path, window in cases:
            for way in ways.values():
                way(path, window)
        for name, way in list(ways.items()) * options.rounds:
            for path, window in cases:
                start = time.process_time()
                way(path, window)
                times[name].append(1e3 * (time.process_time() - start))
    base = statistics.median(times["ours"])
    for name, values in times.items():
        middle = statistics.median(values)
        tenth, ninetieth = np.percentile(values, [10, 90])
        spread = f"mean {statistics.mean(values):.2f}, 10 to 90 %: {tenth:.2f} to {ninetieth:.2f}"
        print(f"{name:22} {middle:7.2f} ms ({spread}), {middle / base:.2f} of ours")


def draw(options: argparse.Namespace) -> None:
    """Draw crystals in random styles as PNG of 1000 x 800 pixels, named like the crystals."""
    file = FeatureFile.open(options.features)
    options.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    for name, record in zip(file.material_ids[: options.n], file.bands(slice(options.n)), strict=True):
        if record is not None and record.energy.shape[1] and record.scalar_energy.shape[1]:
            _save(record, rng, options.output / f"{name}.png")


def _save_case(file: FeatureFile, rng: np.random.Generator, path: Path) -> tuple[Path, EnergyWindow]:
    """A picture of a random crystal, and what its axis shows."""
    return path, _save(random_record(file, rng), rng, path)


def _save(record: ElectronicRecord, rng: np.random.Generator, path: Path) -> EnergyWindow:
    """Draw bands in a random style, but of a fixed size; tells what the axis shows."""
    style = random_style(rng)
    layout = replace(style.layout, width=SIDE[0] / 100.0, height=SIDE[1] / 100.0, dpi=100)
    output = replace(style.output, jpeg=0, scale=1.0, transparent=False)
    drawn = draw_styled(record, replace(style, layout=layout, output=output))
    path.write_bytes(drawn.data)
    return true_window(drawn)


def main() -> None:
    """Run one of the three measurements, or draw pictures for others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for verb, what in (("roundtrip", roundtrip), ("figures", figures), ("speed", speed), ("draw", draw)):
        one = verbs.add_parser(verb, help=(what.__doc__ or "").strip())
        one.set_defaults(run=what)
        one.add_argument("--seed", type=int, default=0)
        if verb != "figures":
            one.add_argument("--features", type=Path, required=True, help="feature file with bands")
        if verb not in {"speed", "draw"}:
            one.add_argument("--sheet", type=Path, help="save a contact sheet here")
    verbs.choices["roundtrip"].add_argument("--n", type=int, default=500, help="pictures")
    verbs.choices["draw"].add_argument("--n", type=int, default=100, help="crystals, the first of the file")
    verbs.choices["draw"].add_argument("--output", type=Path, required=True, help="folder to write to")
    verbs.choices["figures"].add_argument("--figures", type=Path, help="folder of the figures")
    verbs.choices["speed"].add_argument("--rounds", type=int, default=2, help="times that every way sees all pictures")
    verbs.choices["speed"].add_argument("--pictures", type=int, default=40)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("set OMP_NUM_THREADS=1: one thread is measured")
    main()
