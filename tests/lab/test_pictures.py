"""Only safe pictures come in, in every form that people have them in; what is none is named."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from resnet_viz.lab import pictures
from resnet_viz.lab.pictures import READ, decode_picture, name_kind
from resnet_viz.records import PICTURE_KINDS, ConfigError


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def draw(width: int = 300, height: int = 260) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(width: int, height: int, depth: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def claim_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""
    return write_png(width, height, 8, zlib.compress(b""))


def write_grey(values: np.ndarray, depth: int = 16, colour: int = 0, key: tuple[int, ...] | None = None) -> bytes:
    """A PNG of values (H, W) or (H, W, C), in 16 bits or packed by whoever calls, with a value that is transparent."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in values)
    width = width * 8 // depth if depth < 8 else width
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    middle = b"" if key is None else chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    return b"\x89PNG\r\n\x1a\n" + head + middle + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def decode(data: bytes) -> np.ndarray:
    return decode_picture(data).pixels


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "I;16", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("I;16", (50, 40), 30000) if mode == "I;16" else draw().convert(mode)
    assert decode(encode(image)).shape == (224, 224, 3)


@pytest.mark.parametrize("kind", ["1 pixel", "CMYK", "16 bit RGB", "animated", "huge comment"])
def test_odd_but_whole_pictures_are_seen_or_told(kind: str) -> None:
    """They give a picture, or a sentence; never another exception."""
    if kind == "1 pixel":
        data = encode(Image.new("RGB", (1, 1), "red"))
        assert (decode(data) == (255, 0, 0)).all()
    elif kind == "CMYK":
        assert decode(encode(draw().convert("CMYK"), "JPEG")).shape == (224, 224, 3)
    elif kind == "16 bit RGB":
        rows = b"".join(b"\0" + bytes([200, 0, 100, 0, 50, 0]) * 40 for _ in range(40))
        found = decode(write_png(40, 40, 16, zlib.compress(rows)))
        assert (found == (200, 100, 50)).all()
    elif kind == "animated":
        out = io.BytesIO()
        frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "blue")]
        frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
        assert (decode(out.getvalue()) == (255, 0, 0)).all()
    else:
        data = encode(draw())
        bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))
        with pytest.raises(ConfigError, match="a whole PNG"):
            decode_picture(data[:-12] + bomb + data[-12:])


def test_transparent_parts_are_white_and_16_bit_greys_are_greys() -> None:
    assert (decode(encode(Image.new("RGBA", (40, 40), (0, 0, 0, 0)))) == 255).all()
    assert (decode(encode(Image.new("I;16", (40, 40), 100 * 256))) == 100).all()


def test_a_picture_is_turned_as_its_camera_was() -> None:
    image = Image.new("RGB", (100, 100), "red")
    image.paste("blue", (0, 0, 100, 50))  # the upper half
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    found = decode(out.getvalue()).astype(int)
    assert np.abs(found[10, 112] - (255, 0, 0)).max() < 10 and np.abs(found[-10, 112] - (0, 0, 255)).max() < 10


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
MIF1 = b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(100)
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(100)


@pytest.mark.parametrize("data, word", [
    (b"", "is empty"), (b"GIF89a" + bytes(50), "a whole GIF"), (encode(draw())[:400], "a whole PNG"),
    (encode(draw(), "JPEG")[:5000], "a whole JPEG"), (b"\x89PNG\r\n\x1a\n" + bytes(100), "a whole PNG"),
    (encode(draw(), "WEBP")[:2000], "a whole WebP"), (encode(draw(), "AVIF")[:600], "a whole AVIF"),
    (encode(draw(), "BMP")[:600], "a whole BMP"),
    (HEIC, "is HEIC, as phones save it: export it as JPEG"), (MIF1, "is HEIC"), (MP4, "is MP4"),
    (encode(draw(), "TIFF"), "is TIFF: save it as one of them"), (encode(draw(), "PDF"), "is PDF"),
    (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "is SVG"), (b"<svg/>", "is SVG"), (encode(draw(40, 40), "ICO"), "is ICO"),
    (b"\xff\x0a" + bytes(50), "is JPEG XL"), (encode(draw(), "JPEG2000"), "is JPEG 2000"),
    (b"<!DOCTYPE html><html>", "is a web page"), (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
    (b"hello", "one of PNG, JPEG, WebP, AVIF, GIF, BMP, and this file is none of them"),
    (bytes(10 * 2**20 + 1), "10 MB"),
    (claim_size(5000, 5000), "20 megapixels"), (claim_size(60000, 60000), "20 megapixels"),
    (claim_size(1, 1_000_000), "10 times"), (encode(Image.new("RGB", (1, 5000))), "10 times")])
def test_what_is_no_safe_picture_is_named(data: bytes, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        decode_picture(data)


@pytest.mark.parametrize("kind", PICTURE_KINDS)
def test_what_pillow_reads_is_read(kind: str) -> None:
    """Whatever the file is called: what it is stands in it."""
    data = encode(draw().resize((260, 260), Image.Resampling.BICUBIC), kind.upper())
    assert name_kind(data) == kind
    if kind in READ:
        close = np.abs(decode(data).astype(int) - decode(encode(draw().resize((260, 260)))).astype(int)).mean()
        assert close < (60 if kind in ("JPEG", "AVIF", "WebP", "GIF") else 1)
    else:
        with pytest.raises(ConfigError, match=f"is {kind}"):
            decode_picture(data)


@pytest.mark.parametrize("mode, lossless, place, size", [
    ("RGB", False, 26, struct.pack("<HH", 5000, 4100)), ("RGB", True, 21, struct.pack("<I", 4999 | 4099 << 14)),
    ("RGBA", False, 24, struct.pack("<I", 4999)[:3] + struct.pack("<I", 4099)[:3])])
def test_no_room_is_made_for_a_large_webp(monkeypatch: pytest.MonkeyPatch, mode: str, lossless: bool, place: int,
                                          size: bytes) -> None:
    """In any of its three forms, the size is read before the decoder makes room."""
    out = io.BytesIO()
    Image.new(mode, (50, 40), "#80402080" if mode == "RGBA" else "red").save(out, "WEBP", lossless=lossless)
    data = out.getvalue()
    assert pictures._read_webp_size(data) == (50, 40)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(ConfigError, match="5000×4100"):
        decode_picture(data[:place] + size + data[place + len(size):])


GREYS = np.tile(np.array([1000, 30000], np.uint16), (40, 20))
COLOURS = np.tile(np.array([[1000, 2000, 3000], [30000, 20000, 10000]], np.uint16), (40, 20, 1))


@pytest.mark.parametrize("data, dark, light", [
    (write_grey(GREYS, key=(1000,)), 255, 117),
    (write_grey(COLOURS, colour=2, key=(1000, 2000, 3000)), 255, 117),
    (write_grey(np.full((40, 40), 0xF1), 4, key=(15,)), 17, 255),
    (write_grey(np.full((40, 40), 0x1F), 4, key=(1,)), 255, 255),
    (write_grey(np.full((40, 40), 0b1100_1100), 2, key=(3,)), 0, 255),
    (write_grey(np.full((40, 40), 0x55), 1, key=(1,)), 0, 255)])
def test_a_value_that_is_transparent_is_white_in_every_depth(data: bytes, dark: int, light: int) -> None:
    """Pillow brings pixels of 1, 2, 4 and 16 bits to 8, and not the value that is transparent."""
    image, bits = pictures._to_rgb(Image.open(io.BytesIO(data)), data)
    values = np.asarray(image)[..., 0]
    assert bits is None and {int(values.min()), int(values.max())} == {min(dark, light), max(dark, light)}


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("largest, bits", [(255, 8), (1023, 10), (4095, 12), (4000, 12), (16383, 14), (16384, None),
                                           (65535, None), (0, None)])
def test_data_of_fewer_bits_in_16_is_as_bright_as_in_8(colour: int, largest: int, bits: int | None) -> None:
    """By the largest value; transparent ones do not count. Of colours Pillow keeps 8 bits, so that 8 of 16 are all dark."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    values = np.full((40, 40, channels), largest, np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
        values[:5] = [65535] * (channels - 1) + [0]
    data = write_grey(values, colour=colour, key=(65535,) if colour == 0 and largest < 65535 else None)
    found = decode_picture(data)
    if bits == 8 and colour:
        assert found.bits is None and found.pixels[-1].max() == 0
    else:
        assert found.bits == bits
        lost = 2 ** (16 - (bits or 16)) if colour else 0
        assert abs(int(found.pixels[-1].max()) - (largest >> (bits or 16) - 8)) <= lost


def test_nothing_is_decoded_before_its_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ConfigError, match="megapixels"):
        decode_picture(claim_size(5000, 5000))
