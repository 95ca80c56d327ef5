"""Pictures as they are sent: still, upright, no larger than asked, in a format that all services read."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from llx_magic.core import message
from llx_magic.core.message import File, Message
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.preview import as_html, piece_facts
from llx_magic.pieces.reading import read

ORIENTATION, PLACE = 0x0112, 0x8825


def sent(source, longest=2048, **given):
    """What is sent for one image."""
    (asked,) = read([Message("user", (message.Image(source, **given),))], longest)
    return asked.content[0]


def pixels(piece):
    return Image.open(io.BytesIO(piece.data))


def written(picture, form, **options):
    page = io.BytesIO()
    picture.save(page, format=form, **options)
    return page.getvalue()


def refusal(source):
    with pytest.raises(UnreadableError) as caught:
        sent(source)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def png_header(width, height):
    """A file that says it is this large, and holds nothing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    begin = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return begin + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_that_can_be_sent_is_sent_as_it_is(form):
    data = written(Image.new("RGB", (30, 20), "red"), form)
    piece = sent(data)
    assert (piece.data, piece.media_type, piece.size) == (data, f"image/{form.lower()}", (30, 20))


@pytest.mark.parametrize("form", ["BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_become_png(form):
    piece = sent(written(Image.new("RGB", (32, 32), "red"), form))
    assert (piece.media_type, pixels(piece).getpixel((5, 5))) == ("image/png", (255, 0, 0))


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (5000, 2)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_the_long_side_is_scaled(size, form):
    piece = sent(written(Image.new("RGB", size), form), 1000)
    assert max(piece.size) == 1000 == max(pixels(piece).size)
    assert min(piece.size) == max(1, round(min(size) * 1000 / max(size)))


@pytest.mark.parametrize("longest", [40, 2048])
def test_a_photograph_is_upright_and_says_no_more_where_it_was_taken(longest):
    picture, facts = Image.new("RGB", (80, 60), "white"), Image.Exif()
    ImageDraw.Draw(picture).rectangle((0, 0, 20, 59), fill="black")
    facts[ORIENTATION] = 6
    facts.get_ifd(PLACE)[1] = "N"
    piece = sent(written(picture, "JPEG", exif=facts))
    shown = pixels(piece)
    assert shown.size == (60, 80)
    assert shown.convert("L").getpixel((30, 4)) < 50 < 200 < shown.convert("L").getpixel((30, 76))
    assert not shown.getexif()


def test_what_a_file_says_beside_its_pixels_is_not_sent():
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_text("Author", "somebody")
    assert b"somebody" not in sent(written(Image.new("RGB", (9, 9)), "PNG", pnginfo=notes)).data


@pytest.mark.parametrize("mode", ["P", "PA", "LA", "RGBa", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "1", "L", "F", "I"])
def test_pictures_of_every_mode_become_grey_or_colours(mode):
    if mode in ("RGBa", "PA"):
        picture = Image.new({"RGBa": "RGBA", "PA": "P"}[mode], (20, 20)).convert(mode)
    else:
        picture = Image.new(mode, (20, 20))
    assert pixels(sent(picture)).mode in ("L", "RGB", "RGBA")


def test_transparency_stays_also_in_a_palette():
    picture = Image.new("RGBA", (3000, 20), (255, 0, 0, 0)).convert("P")
    piece = sent(written(picture, "GIF", transparency=picture.getpixel((0, 0))))
    assert pixels(piece).getpixel((5, 5))[3] == 0


def test_grey_of_16_bits_is_not_cut_off():
    wide = Image.fromarray(np.array([[0, 32_768, 65_535]] * 3, dtype=np.uint16))
    shown = pixels(sent(written(wide, "PNG")))
    assert [shown.getpixel((at, 0)) for at in range(3)] == [0, 127, 255]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_frame_is_sent(form):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    piece = sent(written(frames[0], form, save_all=True, append_images=frames[1:], duration=50))
    shown = pixels(piece)
    assert not getattr(shown, "is_animated", False)
    assert shown.convert("RGB").getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=6)


def test_a_large_picture_without_transparency_becomes_a_jpeg():
    noise = np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    piece = sent(noise)
    assert piece.media_type == "image/jpeg"
    assert len(piece.data) < 4 << 20


@pytest.mark.parametrize("size", [(30_000, 30_000), (12_000, 12_000), (9_500, 9_500), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(size):
    assert "million" in refusal(png_header(*size))


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"no picture", "is no image of a format that is read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is no image of a format that is read"),
        (written(Image.new("RGB", (90, 90), "red"), "JPEG")[:300], "the image cannot be read"),
        (written(Image.effect_noise((90, 90), 9), "PNG")[:900], "the image cannot be read"),
        (3, "3 is no image; it takes a path, bytes"),
        (None.__class__, "is no image"),
        (np.zeros((3, 4, 5, 6)), "an array of shape (3, 4, 5, 6) and type float64 is no image"),
        (np.full((30, 30), 7.5), "an array of shape (30, 30)"),
        (np.full((30, 30), -1), "an array of shape (30, 30)"),
        (np.full((30, 30), np.nan), "an array of shape (30, 30)"),
        (np.zeros((0, 30, 3), np.uint8), "an array of shape (0, 30, 3)"),
        ("http://example.com/plot.png", "must begin with https://"),
        ("data:image/png;base64,AAAA://", "must begin with https://"),
        ("/nowhere/plot.png", "/nowhere/plot.png: cannot be read (no such file or directory)"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(source, why):
    assert why in refusal(source)


@pytest.mark.parametrize("array", [np.zeros((20, 30), bool), np.full((20, 30, 1), 0.5), np.full((20, 30, 4), 200)])
def test_arrays_are_pictures(array):
    assert sent(array).size == (30, 20)


def test_a_figure_its_axes_and_a_picture_of_ipython_are_pictures():
    from IPython.display import Image as Displayed

    figure = Figure(figsize=(3, 2), dpi=100)
    axes = figure.subplots()
    assert sent(figure).media_type == sent(axes).media_type == "image/png"
    assert max(sent(figure, 100).size) <= 110
    data = written(Image.new("RGB", (8, 8)), "PNG")
    assert sent(Displayed(data)).data == data
    assert sent(Displayed(url="https://example.com/a.png")).url == "https://example.com/a.png"


def test_the_users_own_picture_stays_as_it_is():
    own = Image.new("RGB", (300, 200))
    own.info["comment"] = "mine"
    sent(own, 100)
    assert (own.size, own.info) == ((300, 200), {"comment": "mine"})


def test_content_decides_what_a_file_is(tmp_path):
    def of(name, content):
        (tmp_path / name).write_bytes(content)
        return read([Message("user", (File(tmp_path / name),))], 2048)[0].content[0]

    assert of("a.pdf", b"%PDF-1.7 ...") == File(media_type="application/pdf", data=b"%PDF-1.7 ...", name="a.pdf")
    assert isinstance(of("b.bin", written(Image.new("RGB", (8, 8)), "PNG")), message.Image)
    assert of("c.md", "# Zürich".encode()) == "c.md:\n\n```\n# Zürich\n```\n\n"
    assert of("d.xlsx", b"PK\x03\x04\0").media_type.endswith("spreadsheetml.sheet")
    assert of("e", b"\0\xff").media_type == "application/octet-stream"


def test_a_pdf_that_is_given_as_an_image_is_sent_as_a_file(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 ...")
    assert sent(tmp_path / "a.pdf") == File(media_type="application/pdf", data=b"%PDF-1.7 ...", name="a.pdf")


def test_what_is_sent_is_said_with_type_and_size():
    piece = sent(Image.new("RGB", (1200, 800)), name="plot.png")
    assert piece_facts(piece) == f"image plot.png, PNG, 1,200 x 800 pixels, {round(len(piece.data) / 1000)} kB"
    assert piece_facts(message.Image(url="https://a.example/b.png")).endswith("read by the backend from its address")


def test_what_is_shown_is_small_and_escaped():
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    page = as_html(
        [sent(noise, name='<img src=x onerror="alert(1)">'), File(media_type="application/pdf", name="a<b>")]
    )
    assert len(page) < 600_000
    assert "<img src=x" not in page
    assert "a&lt;b&gt;" in page
    assert "max-width:100%" in page


def test_bytes_that_nothing_reads_are_shown_by_their_name():
    assert "<img" not in as_html([message.Image(data=b"odd", media_type="image/png", name="odd")])
