from __future__ import annotations

from dataclasses import fields, replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from shc.featurize.band_image.style_bands import shown_bands, shown_dos
from shc.featurize.band_image.style_choices import KNOWN, UNSEEN
from shc.featurize.band_image.style_drawing import draw_styled
from shc.featurize.band_image.style_pictures import shared, styled_pictures, training_style, true_window
from shc.featurize.band_image.styles import Frame, Layout, Lettering, Output, Strokes, Style, random_style
from shc.featurize.band_image.types import Box
from shc.featurize.electronic.codec import ENERGY_LIMIT
from shc.featurize.electronic.picture import band_image
from shc.featurize.electronic.record import DOS_GRID, ElectronicRecord
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_K = 121


def made_record(gap: float = 1.0) -> ElectronicRecord:
    """Two parabolas about a gap and a third band that leaves the known range in the middle of the path."""
    x = np.linspace(0.0, 1.0, N_K)
    valence = -0.5 * gap - 2.0 * (x - 0.5) ** 2
    conduction = 0.5 * gap + 4.0 * (x - 0.5) ** 2
    leaving = np.clip(1.5 + 4.0 * np.sin(np.pi * x), None, ENERGY_LIMIT)
    energy = np.sort(np.stack([valence, conduction, leaving], axis=1), axis=1).astype(np.float32)
    return ElectronicRecord(
        energy=energy,
        scalar_energy=(energy[:, :2] + np.float32(0.2)),
        distance=(2.0 * x).astype(np.float32),
        labels=((0, "GAMMA"), (60, "X"), (N_K - 1, "L")),
        breaks=(),
        shc=np.zeros((41, 3, 3, 3), np.float32),
        dos=np.linspace(0.0, 4.0, len(DOS_GRID), dtype=np.float32),
        fermi_ev=0.0,
        gap_ev=gap,
        k_mesh=(4, 4, 4),
        seconds=0.1,
        flags=(),
    )


PLAIN = Style(
    seed=1,
    program="",
    scalar=False,
    zero_at_valence=False,
    absolute=False,
    e_min_ev=-2.0,
    e_max_ev=3.0,
    strokes=Strokes("one", ("black", "red", "blue"), "jet", 1.0, "-", 1.0),
    frame=Frame("all", 1.0, "in", 3.0, False, False, "", "#cccccc", "-", "", "black", 1.0, "", "black", 1.0),
    lettering=Lettering("DejaVu Sans", 9.0, False, "Energy (eV)", 1.0, -1, "", True, "", ""),
    layout=Layout(4.0, 3.0, 100, 0.0, "", "", False, "white", "white", "black"),
    output=Output(0, 1.0, 0.0, 0.0, False),
)


def pixels(data: bytes) -> Floats:
    """``[H, W]`` grey levels."""
    return np.asarray(Image.open(BytesIO(data)).convert("RGB").convert("L"), dtype=np.float64)


def test_equal_seeds_give_equal_styles_and_files() -> None:
    one, two = (random_style(np.random.default_rng(5)) for _ in range(2))
    assert one == two
    assert draw_styled(made_record(), one).data == draw_styled(made_record(), two).data
    assert random_style(np.random.default_rng(6)) != one


def test_truth_box_lies_inside_the_frame() -> None:
    drawn = draw_styled(made_record(), replace(PLAIN, frame=replace(PLAIN.frame, width=3.0)))
    box, grey = drawn.panels[0].box, pixels(drawn.data)
    inside = grey[box.top : box.bottom, box.left : box.right]
    for line in (grey[box.top - 2, box.left : box.right], grey[box.bottom + 1, box.left : box.right]):
        assert line.mean() < 60.0
    for line in (grey[box.top : box.bottom, box.left - 2], grey[box.top : box.bottom, box.right + 1]):
        assert line.mean() < 60.0
    for edge in (inside[1], inside[-2], inside[:, 1], inside[:, -2]):
        assert np.median(edge) > 250.0


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_truth_axis_gives_the_rows_of_the_ticks_and_the_zero_line(scale: float) -> None:
    frame = replace(PLAIN.frame, zero="-", ticks="out", tick_length=6.0)
    style = replace(PLAIN, frame=frame, output=replace(PLAIN.output, scale=scale), e_min_ev=-2.5)
    drawn = draw_styled(made_record(gap=2.0), style)
    panel, grey = drawn.panels[0], pixels(drawn.data)
    ticks = 255.0 - grey[:, panel.box.left - round(6 * scale)]
    zero = 255.0 - grey[:, panel.box.left + 4]
    for energy in (-2.0, -1.0, 0.0, 1.0, 2.0):
        row = panel.axis.row(energy)
        near = np.arange(round(row) - 5, round(row) + 5)
        assert abs(np.average(near + 0.5, weights=ticks[near]) - row) < 1.0
    near = np.arange(round(panel.axis.fermi_row) - 4, round(panel.axis.fermi_row) + 4)
    assert abs(np.average(near + 0.5, weights=zero[near]) - panel.axis.fermi_row) < 1.0
    assert panel.e_max_ev == pytest.approx(3.0, abs=0.06)
    assert panel.e_min_ev == pytest.approx(-2.5, abs=0.06)


def test_bands_lie_where_the_truth_says() -> None:
    record = made_record()
    drawn = draw_styled(record, PLAIN)
    panel, grey = drawn.panels[0], pixels(drawn.data)
    box = panel.box
    for index in (20, 45, 90):
        column = box.left + int(index / (N_K - 1) * box.width)
        row = panel.axis.row(float(record.energy[index, 0]))
        near = np.arange(int(row) - 4, int(row) + 5)
        assert abs(np.average(near + 0.5, weights=255.0 - grey[near, column]) - row) < 1.0


def test_ideal_is_the_models_picture_within_the_window() -> None:
    record = made_record()
    ideal = draw_styled(record, PLAIN).panels[0].ideal
    expected = band_image(record)
    first_unknown = 112 + round(2.0 / 3.0 * 112)
    np.testing.assert_array_equal(ideal[:, 3 : first_unknown - 3], expected[:, 3 : first_unknown - 3])
    assert not ideal[:, first_unknown + 3 :].any()


def test_scalar_bands_and_both_kinds() -> None:
    record = made_record()
    scalar = draw_styled(record, replace(PLAIN, scalar=True)).panels[0]
    assert scalar.scalar
    moved = replace(record, energy=record.scalar_energy)
    np.testing.assert_array_equal(scalar.ideal[:, :180], draw_styled(moved, PLAIN).panels[0].ideal[:, :180])
    both = draw_styled(record, replace(PLAIN, strokes=replace(PLAIN.strokes, paint="coupling"))).panels[0].ideal
    np.testing.assert_array_equal(both, np.maximum(draw_styled(record, PLAIN).panels[0].ideal, scalar.ideal))


def test_pair_shows_bands_with_and_without_spin_orbit_coupling() -> None:
    drawn = draw_styled(made_record(), replace(PLAIN, layout=replace(PLAIN.layout, beside="pair", width=7.0)))
    first, second = drawn.panels
    assert (first.scalar, second.scalar) == (False, True)
    assert first.box.right < second.box.left
    assert shared(first.box, second.box) == 0.0


def test_zero_at_the_valence_bands_moves_bands_not_the_axis() -> None:
    record = made_record(gap=0.8)
    top = shown_bands(record, (-2.0, 3.0), np.random.default_rng(0), scalar=False, at_valence=True)
    assert top.zero_ev == pytest.approx(-0.4)
    assert top.energy[:, 0].max() == pytest.approx(0.0, abs=1e-6)
    wide = shown_bands(made_record(gap=3.0), (-2.0, 3.0), np.random.default_rng(0), scalar=False, at_valence=True)
    assert wide.zero_ev == 0.0


def test_beyond_the_known_range_lines_go_on_and_bands_are_added_outside_only() -> None:
    record = made_record()
    shown = shown_bands(record, (-6.0, 6.0), np.random.default_rng(0), scalar=False, at_valence=False)
    known = np.abs(record.energy) < ENERGY_LIMIT - 0.01
    np.testing.assert_allclose(shown.energy[:, :3][known], record.energy[known])
    bridged = shown.energy[:, :3][~known]
    assert bridged.min() >= ENERGY_LIMIT - 0.01
    assert bridged.max() > 4.0
    assert np.abs(np.diff(shown.energy[:, :3], axis=0)).max() < 0.35
    added = shown.energy[:, 3:]
    assert added.shape[1] > 1
    assert np.abs(added).min() > ENERGY_LIMIT
    assert (added > 0.0).any()
    assert (added < 0.0).any()


def test_added_bands_do_not_bend_towards_the_other_side_of_a_break() -> None:
    record = made_record()
    distance = record.distance.copy()
    distance[61:] -= distance[61] - distance[60]
    labels = ((0, "GAMMA"), (60, "X"), (61, "U"), (N_K - 1, "L"))
    broken = replace(record, distance=distance, labels=labels, breaks=(61,))
    added = shown_bands(broken, (-9.0, 9.0), np.random.default_rng(0), scalar=False, at_valence=False).energy[:, 3:]
    steps = np.abs(np.diff(added, axis=0)).max(axis=1)
    assert steps[60] > 0.5
    assert np.delete(steps, 60).max() < 0.2


def test_density_of_states_is_the_records_own_in_its_range() -> None:
    record = made_record()
    energies = np.linspace(-5.0, 5.0, 101)
    dos = shown_dos(record, energies, 0.0, np.random.default_rng(0))
    known = np.abs(energies) <= 3.0
    np.testing.assert_allclose(dos[known], np.interp(energies[known], DOS_GRID, record.dos), rtol=1e-6)
    assert (dos >= 0.0).all()


def test_absolute_axis_tells_its_zero() -> None:
    drawn = draw_styled(made_record(), replace(PLAIN, absolute=True))
    window = true_window(drawn)
    assert drawn.printed_zero_ev != 0.0
    assert window.fermi_ev == drawn.printed_zero_ev
    assert window.e_max_ev - window.fermi_ev == pytest.approx(drawn.panels[0].e_max_ev)


def test_jpeg_and_transparent_files() -> None:
    jpeg = draw_styled(made_record(), replace(PLAIN, output=replace(PLAIN.output, jpeg=40, noise=3.0, blur=0.5)))
    assert Image.open(BytesIO(jpeg.data)).format == "JPEG"
    clear = Image.open(BytesIO(draw_styled(made_record(), replace(PLAIN, output=Output(0, 1.0, 0.0, 0.0, True))).data))
    assert clear.mode == "RGBA"
    assert clear.getpixel((0, 0)) == (255, 255, 255, 0)


@pytest.mark.parametrize("paint", ["cycle", "valence", "spin", "coupling", "gradient", "circles", "outlined"])
@pytest.mark.parametrize("line", ["-", ".", ".-"])
def test_all_paints_leave_ink_on_the_bands(paint: str, line: str) -> None:
    strokes = replace(PLAIN.strokes, paint=paint, line=line, width=2.0)
    drawn = draw_styled(made_record(), replace(PLAIN, strokes=strokes))
    panel, grey = drawn.panels[0], pixels(drawn.data)
    column = panel.box.left + panel.box.width // 4
    column_rows = grey[panel.box.top + 2 : panel.box.bottom - 2, column]
    row = int(panel.axis.row(float(made_record().energy[N_K // 4, 0]))) - panel.box.top - 2
    assert column_rows[row - 3 : row + 4].min() < 235.0
    assert np.median(column_rows) > 250.0


def test_known_programs_use_names_that_exist() -> None:
    parts: dict[str, type[Strokes | Frame | Lettering | Layout]] = {
        "strokes": Strokes,
        "frame": Frame,
        "lettering": Lettering,
        "layout": Layout,
    }
    assert set(UNSEEN) < set(KNOWN)
    for known in KNOWN.values():
        for part, choices in known.items():
            assert set(choices) <= {field.name for field in fields(parts[part])}


def test_random_styles_can_all_be_drawn_and_differ() -> None:
    record = made_record()
    drawn = [draw_styled(record, random_style(np.random.default_rng(seed))) for seed in range(60)]
    assert len({picture.data for picture in drawn}) == len(drawn)
    for picture in drawn:
        size = Image.open(BytesIO(picture.data)).size
        for panel in picture.panels:
            assert 0 <= panel.box.left < panel.box.right <= size[0]
            assert 0 <= panel.box.top < panel.box.bottom <= size[1]
            assert panel.e_min_ev < 0.0 < panel.e_max_ev


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ShcError) as caught:
        draw_styled(made_record(), PLAIN)
    assert "shc-predict[plot]" in caught.value.hint
    assert caught.value.exit_code is ExitCode.NO_BACKEND


def test_shared_area() -> None:
    box = Box(0, 0, 10, 10)
    assert shared(box, box) == 1.0
    assert shared(box, Box(5, 0, 15, 10)) == pytest.approx(1.0 / 3.0)
    assert shared(box, Box(20, 20, 30, 30)) == 0.0


def test_styled_pictures_are_read_with_their_true_axis() -> None:
    pictures = styled_pictures(made_record(), seed=3, n=6)
    again = styled_pictures(made_record(), seed=3, n=6)
    assert 3 <= len(pictures) <= 6
    for (picture, style), same in zip(pictures, again, strict=True):
        np.testing.assert_array_equal(picture.image, same.picture.image)
        assert style == same.style
        assert picture.image.shape == (1, 224, 224)
        assert picture.axis is not None
        assert picture.image.any()


def test_training_styles_leave_some_programs_out() -> None:
    rng = np.random.default_rng(0)
    programs = {training_style(rng).program for _ in range(400)}
    assert programs == {"", *KNOWN} - set(UNSEEN)
