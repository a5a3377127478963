"""A picture that a person brings, decoded safely and as torchvision's nets see it; what is no such picture is named."""

from __future__ import annotations

import io
import re
import warnings
from typing import NoReturn

import numpy as np
from PIL import Image, ImageOps, features
from torchvision.transforms import functional as T

from resnet_viz.records import N_, PICTURE_KINDS, ConfigError, Picture

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 20_000_000
MAX_RATIO = 10  # a line of one pixel would become enormous when its short side is made 256
SIDE, CROP = 256, 224
READ = tuple(kind for kind in PICTURE_KINDS if kind.lower() not in ("webp", "avif") or features.check(kind.lower()))
DEPTHS = (8, 10, 12, 14, 16)  # bits of what cameras and microscopes write into 16
BEGINNINGS = {  # of files, by what they are
    rb"\x89PNG\r\n\x1a\n": "PNG", rb"\xff\xd8\xff": "JPEG", rb"RIFF....WEBP": "WebP", rb"GIF8[79]a": "GIF", rb"BM": "BMP",
    rb"II[*+]\x00|MM\x00[*+]": "TIFF", rb"%PDF": "PDF", rb"8BPS": "PSD", rb"\x00\x00\x01\x00": "ICO",
    rb"\xff\x0a|\x00{3}\x0cJXL ": "JPEG XL", rb"\x00{3}\x0cjP  |\xff\x4f\xff\x51": "JPEG 2000",
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.{0,300}-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg": "SVG",
}
BRANDS = (({"avif", "avis"}, "AVIF"), ({"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"}, "HEIC"))


def decode_picture(data: bytes, name: str = "") -> Picture:
    """A picture as the nets see it: its short side made 256 and the middle cut out.

    Raises `ConfigError` for any other content, more than 10 MB or 20 megapixels (before anything is decoded), or a
    picture more than ten times as long as it is high.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError("picture", f"{len(data)} bytes", N_("a file of {high} MB at most"), high=MAX_BYTES // 2**20)
    kind = name_kind(data)
    if kind not in READ:
        _refuse_kind(name, kind, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if kind == "WebP":  # whose decoder makes room for the picture when it is opened
                _check_size(*_read_webp_size(data))
            image = Image.open(io.BytesIO(data), formats=(kind.upper(),))
            _check_size(*image.size)
            image, bits = _to_rgb(image, data)
            image = ImageOps.exif_transpose(image)
    except ConfigError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _refuse_pixels("so many pixels")
    except Exception:  # a broken file can fail in any of a decoder's ways
        raise ConfigError("picture", name, N_("a whole {found} picture, and this one is broken or ends too early"),
                          found=kind) from None
    return Picture(np.array(T.center_crop(T.resize(image, [SIDE], antialias=True), [CROP])), bits)


def name_kind(data: bytes) -> str | None:
    """What a file is by how it begins, whatever its name says; None for what is not known."""
    head = data[:4096]
    if head[4:8] == b"ftyp":  # a box of brands: AVIF, HEIC and films have one form
        brands = {head[i : i + 4].decode("latin-1") for i in (8, *range(16, min(head[3], 200), 4))}
        return next((kind for known, kind in BRANDS if known & brands), "MP4")
    return next((kind for form, kind in BEGINNINGS.items() if re.match(form, head, re.DOTALL)), None)


def _refuse_kind(name: str, kind: str | None, data: bytes) -> NoReturn:
    """Raise `ConfigError` with what the file is in place of a picture that is read here."""
    takes = N_("one of {allowed}, and this file is none of them")
    if kind == "HEIC":
        takes = N_("one of {allowed}, and this file is HEIC, as phones save it: export it as JPEG first (on an iPhone: "
                   "Settings, Camera, Formats, Most Compatible)")
    elif kind is not None:
        takes = N_("one of {allowed}, and this file is {found}: save it as one of them first")
    elif not data:
        takes = N_("a picture, and this file is empty")
    elif data.startswith(b"version https:"):
        takes = N_("a picture, and this file is only a Git LFS pointer to one: fetch what it points to, such as by “git "
                   "lfs pull”")
    elif re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml)", data[:200], re.IGNORECASE):
        takes = N_("a picture, and this file is a web page: save the picture itself, not the page about it")
    raise ConfigError("picture", name, takes, allowed=", ".join(READ), found=kind)


def _refuse_pixels(value: str) -> NoReturn:
    raise ConfigError("picture", value, N_("{high} megapixels at most"), high=MAX_PIXELS // 10**6)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        _refuse_pixels(f"{width}×{height}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ConfigError("picture", f"{width}×{height}", N_("sides of which one is at most {high} times the other"),
                          high=MAX_RATIO)


def _read_webp_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header; RFC 9649."""
    form, bits = data[12:16], int.from_bytes(data[21:25], "little")
    if form == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if form == b"VP8L":
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _to_rgb(image: Image.Image, data: bytes) -> tuple[Image.Image, int | None]:
    """Transparent parts become white. Of a picture of 16 bits a value also how many were taken for all, where its largest
    value leaves some empty: as it is, it would be nearly black.
    """
    depth = data[24] if image.format == "PNG" else 8
    if depth < 16:
        return _whiten(image, depth), None
    if image.mode.startswith("I"):  # a grey; of colours Pillow keeps the upper 8 bits
        values, key = np.asarray(image).astype(np.uint16), image.info.get("transparency")
        seen = np.full(values.shape, True) if key is None else values != key
        bits = _count_bits(int(values[seen].max(initial=0)))
        return Image.fromarray(np.where(seen, values >> bits - 8, 255).astype(np.uint8)).convert("RGB"), _tell(bits)
    image.load()
    rgba = np.array(_scale_key(image, depth).convert("RGBA"))
    bits = _count_bits(256 * int(rgba[rgba[..., 3] > 0, :3].max(initial=0)))
    rgba[..., :3] <<= 16 - bits
    return _whiten(Image.fromarray(rgba), 8), _tell(bits)


def _count_bits(largest: int) -> int:
    """How many bits of 16 a picture uses, by its largest value."""
    return next(bits for bits in DEPTHS if largest < 2**bits) if largest else DEPTHS[-1]


def _tell(bits: int) -> int | None:
    return bits if bits < DEPTHS[-1] else None


def _whiten(image: Image.Image, depth: int) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = _scale_key(image, depth).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _scale_key(image: Image.Image, depth: int) -> Image.Image:
    """The value that a PNG calls transparent, as 8 bits: Pillow brings the pixels to them, and not this."""
    key = image.info.get("transparency")
    if depth in (2, 4) and image.mode == "L" and key is not None:
        image.info["transparency"] = key * 255 // (2**depth - 1)
    elif depth == 16 and image.mode == "RGB" and key is not None:
        image.info["transparency"] = tuple(part >> 8 for part in key)
    return image
