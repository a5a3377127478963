"""A picture that a person brings, and torchvision's ResNet on it: what it says, where, and by which side of each block."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Hashable
from hashlib import sha256
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from resnet_viz.engine.hub import hub
from resnet_viz.engine.jobs import Call, Job
from resnet_viz.figures.credit import draw_brought, draw_credit, find_reach, is_noise, list_credits, list_maps
from resnet_viz.records import N_, PICTURE_KINDS, PRETRAINED, ConfigError, CreditResult, Picture, PictureCredit
from resnet_viz.text import _, join, percent_sign, use_language, write_number
from resnet_viz.ui.charts import show_chart
from resnet_viz.ui.crediting import KEY, NONE, PICTURE_STAGES, change, choose, get_asked
from resnet_viz.ui.progress import POLL, follow_job
from resnet_viz.ui.words import label_maps, label_methods, sentence

MAX_PICTURE, MAX_WEIGHTS = 10, 200  # MB; of weights so much that a momentum may stand beside ResNet-50's
ENDINGS = ("safetensors", "pth", "pt", "bin", "th", "tar", "ckpt")  # "tar" for .pth.tar, which is none
MAX_KEPT = 6  # weight files that people have brought
MEGABYTES = {"resnet18": 45, "resnet34": 83, "resnet50": 98}  # of torchvision's files
STEPS, WINDOW = 20, 32  # from black to the picture; pixels a side of what occlusion hides
LARGE = 0.1  # a completeness error that a reader is told of

_mend_uploads = st.components.v2.component(
    "resnet_viz_upload",
    js=(Path(__file__).parents[2] / "assets" / "upload.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def show_brought() -> None:
    """The whole section."""
    st.header(_("A large net on a picture of yours"), anchor=False)
    st.markdown(_("torchvision’s ResNets, made for ImageNet’s 1000 classes. The picture goes to the server’s memory, is "
                  "looked at there, and is not kept; a link does not carry it."))
    _mend_uploads(key=KEY + "upload", data={"text": {
        "choose": _("Choose a file"), "limit": _("{high} MB at most"), "large": _("Too large: {high} MB at most."),
        "refused": _("Files of this kind are not read here."),
        "heic": _("HEIC is not read here: export it as JPEG first (on an iPhone: Settings, Camera, Formats, Most "
                  "Compatible).")}})
    left, right = st.columns(2, gap="medium")
    with left:
        upload = st.file_uploader(_("A picture: {kinds}").format(kinds=", ".join(PICTURE_KINDS)),
                                  sum(PICTURE_KINDS.values(), ()), key=KEY + "picture-file", max_upload_size=MAX_PICTURE)
    with right:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            choose(st.segmented_control, _("Net"), "picture_net", {name: name.replace("resnet", "ResNet-")
                                                                   for name in PRETRAINED}, required=True)
            kinds = {"random": _("Random"), "download": _("Download"), "file": _("A file")}
            choose(st.segmented_control, _("Weights"), "picture_weights", kinds, required=True)
        weights, label = take_weights()
    if get_asked().picture_weights == "random":
        st.warning(_("**Random weights.** Nobody trained this net: its answers and its maps say nothing about the "
                     "picture."), icon=":material/casino:")
    if upload is None:
        st.info(_("Choose a picture to go on."), icon=":material/image:")
        return
    try:
        picture = decode(sha256(upload.getbuffer()).hexdigest(), upload)
    except ConfigError as error:
        st.error(sentence(error), icon=":material/broken_image:")
        return
    if picture.bits is not None:
        st.info(tell_bits(picture.bits), icon=":material/exposure:")
    if weights is not None:
        show_picture(picture.pixels, weights, label)


def tell_bits(bits: int) -> str:
    return _("This file has 16 bits for each value, but none of its values needs more than {bits}. It was read as "
             "{bits}-bit data, {factor} times as bright as it stands there.").format(bits=bits, factor=2 ** (16 - bits))


@st.cache_data(max_entries=32, show_spinner=False)
def decode(name: str, _upload: UploadedFile) -> Picture:
    """A picture as the nets see it, decoded on a worker; `name` is its hash. Raises `ConfigError`."""
    if _upload.size > MAX_PICTURE * 2**20:  # the browser holds such a file back, but need not
        raise ConfigError("picture", _upload.name, N_("a file of {high} MB at most"), high=MAX_PICTURE)
    return hub.call(hub.demonstrate("pictures.decode_picture", _upload.getvalue(), _upload.name))


@st.cache_data(max_entries=32, show_spinner=False)
def list_classes(net: str, weights: str, label: str) -> tuple[str, ...] | ConfigError:
    """The names of a net's classes, numbers where nobody knows them; or what is wrong with a brought file."""
    if not label:
        return hub.call(hub.demonstrate("pretrained.list_classes"))
    try:
        return hub.call(hub.demonstrate("experiments.pictures.read_classes", net, weights, label))
    except ConfigError as error:
        return error


# ---------------------------------------------------------------------------------------------------- weights


def take_weights() -> tuple[str | None, str]:
    """Where the weights are, None where there are none yet; and what errors call their file."""
    asked = get_asked()
    if asked.picture_weights == "random":
        return "random", ""
    if asked.picture_weights == "download":
        return show_download(asked.picture_net), ""
    upload = st.file_uploader(_("The weights: .safetensors, or a state dict"), ENDINGS, key=KEY + "weights-file",
                              max_upload_size=MAX_WEIGHTS)
    if upload is None:
        return None, ""
    path = keep_file(upload)
    with st.spinner(_("Looking into the file")):
        found = list_classes(asked.picture_net, path, upload.name)
    if isinstance(found, ConfigError):
        st.error(sentence(found), icon=":material/broken_image:")
        return None, ""
    return path, upload.name


def keep_file(upload: UploadedFile) -> str:
    """A brought file on the server's disk, where its workers read it. Only the newest are kept."""
    known = st.session_state.get(KEY + "kept")
    if known is not None and known[0] == upload.file_id and Path(known[1]).exists():
        return known[1]
    folder, data = open_folder(), upload.getbuffer()
    path = folder / sha256(data).hexdigest()
    part = folder / f"{upload.file_id}.part"
    part.write_bytes(data)
    os.replace(part, path)
    for old in sorted((p for p in folder.iterdir() if not p.suffix), key=lambda p: p.stat().st_mtime)[:-MAX_KEPT]:
        old.unlink(missing_ok=True)
    st.session_state[KEY + "kept"] = (upload.file_id, str(path))
    return str(path)


@functools.cache
def open_folder() -> Path:
    """A folder of this server's own, gone when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="resnet-viz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def show_download(name: str) -> str | None:
    """Fetch torchvision's weights, with progress; the word for them once they are there."""
    key, note = ("fetch", name), open_folder() / f"{name}.note"
    job = hub.jobs.get(key)
    if job is not None and job.state == "done":
        st.caption(_("The weights are here: trained on ImageNet by torchvision’s makers (IMAGENET1K_V1)."))
        return "download"
    if job is not None and job.state == "running":
        watch_download(job, note)
        return None
    if job is not None and isinstance(job.error, ConfigError):
        st.error(sentence(job.error), icon=":material/cloud_off:")
    st.button(_("Download {size} MB").format(size=MEGABYTES[name]), key=KEY + "download", icon=":material/download:",
              on_click=start_download, args=(key, name, note),
              help=_("From download.pytorch.org, by the server, once. Without a network choose a file."))
    return None


def start_download(key: Hashable, name: str, note: Path) -> None:
    note.write_text("")
    hub.call(hub.start(key, [Call("pretrained.fetch_weights", name, (str(note),))]))


@st.fragment(run_every=POLL)
def watch_download(job: Job, note: Path) -> None:
    use_language(st.session_state.language)  # a fragment runs by itself
    if job.state != "running":
        st.rerun()
    done, size = read_note(note)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(done / size if size else 0.0, text=_("Downloading: {done} of {total} MB").format(
            done=f"{done / 2**20:.0f}", total=f"{size / 2**20:.0f}" if size else "?"))
        st.button(_("Cancel"), key=KEY + "download.cancel", on_click=stop_download, args=(job, note))


def stop_download(job: Job, note: Path) -> None:
    note.unlink(missing_ok=True)  # by which the worker knows
    hub.loop.call_soon_threadsafe(job.cancel)


def read_note(note: Path) -> tuple[int, int]:
    """Bytes so far, and of all; 0 where that is not known."""
    try:
        done, size = map(int, note.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return 0, 0
    return min(done, size) if size else done, size


# ---------------------------------------------------------------------------------------------------- results


def show_picture(picture: np.ndarray, weights: str, label: str) -> None:
    """Choose what is asked, measure, and show it."""
    classes = list_classes(get_asked().picture_net, weights, label)
    if (get_asked().picture_target or 0) >= len(classes):  # a link's, or another file's
        change(picture_target=None)
    asked = get_asked()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choose(st.segmented_control, _("Map"), "picture_map", label_maps(), required=True)
        if asked.picture_map == "grad-cam":
            choose(st.segmented_control, _("Stage"), "picture_stage", {k: str(k + 1) for k in range(PICTURE_STAGES)},
                   required=True)
        choose(st.selectbox, _("Method of the bars"), "picture_method", label_methods(), width=220)
        names = {NONE: _("The likeliest")} | {
            k: name if name == str(k) else f"{name} ({k})" for k, name in enumerate(classes)}
        choose(st.selectbox, _("Credit for the class"), "picture_target", names, width=260)
    key = ("brought", asked.picture_net, weights, sha256(picture.tobytes()).hexdigest(), asked.picture_map,
           asked.picture_stage if asked.picture_map == "grad-cam" else None, asked.picture_method, asked.picture_target)
    common = (asked.picture_net, weights, label)
    calls = [Call("experiments.pictures.measure_brought_picture", picture,
                  (*common, asked.picture_map, asked.picture_target, STEPS, WINDOW, asked.picture_stage)),
             Call("experiments.pictures.measure_brought_blocks", picture,
                  (*common, asked.picture_method, asked.picture_target, STEPS))]
    job = hub.jobs.get(key)
    if job is None or job.state in ("cancelled", "failed"):
        st.button(_("Look at the picture"), key=KEY + "look", icon=":material/visibility:", type="primary",
                  on_click=lambda: hub.call(hub.start(key, calls)))
        st.plotly_chart(draw_brought(picture, None), key=KEY + "brought", config={"displayModeBar": False},
                        alt=_("The picture as the net gets it: its middle, 224×224."))
    follow_job(key, KEY + "brought", lambda job: show_results(picture, job))


def show_results(picture: np.ndarray, job: Job) -> None:
    seen, blocks = job.results
    if seen is not None:
        show_seen(picture, seen)
    if blocks is not None:
        show_bars(blocks)


def show_seen(picture: np.ndarray, seen: PictureCredit) -> None:
    """The five likeliest classes, and beside them the map."""
    left, right = st.columns([1, 2], gap="medium")
    with left:
        show_classes(seen)
    with right:
        show_credit_map(picture, seen)


def show_classes(seen: PictureCredit) -> None:
    st.subheader(_("What the net says"), anchor=False)
    heads = " | ".join([_("Class"), _("Probability")])
    lines = [f"| {name} | {100 * share:.1f}{percent_sign()} |" for name, share in seen.probabilities]
    st.markdown("\n".join([f"| {heads} |", "|:--|--:|", *lines]))
    if seen.random:
        st.caption(_("From random weights: an answer without meaning."))


def show_credit_map(picture: np.ndarray, seen: PictureCredit) -> None:
    asked, (best, share) = get_asked(), seen.probabilities[0]
    alt = _("The picture, and the credit of its pixels for “{name}” by {method}. The net’s first answer: {best}, "
            "{share} %.").format(name=seen.target_name, method=label_maps()[asked.picture_map], best=best,
                                 share=f"{100 * share:.1f}")
    show_chart(draw_brought(picture, seen.map), "brought-map", alt, list_maps([asked.picture_net], [seen.map]))
    st.caption(_("Credit for “{name}”, against a black picture: blue for it, orange against it. The colours end at the "
                 "99th percentile.").format(name=seen.target_name))


def show_bars(result: CreditResult) -> None:
    """Shortcut and branch of every block, and how far they are from adding up."""
    asked, words = get_asked(), label_methods()
    st.subheader(_("Shortcut or branch, block by block"), anchor=False)
    alt = _("{method}: the shortcut has more credit than the branch in {count} of {blocks} blocks.").format(
        method=words[asked.picture_method], count=int((result.shortcut > result.branch).sum()), blocks=len(result.branch))
    show_chart(draw_credit(result, {}, find_reach([result])), "brought-blocks", alt,
               list_credits([asked.picture_net], [{asked.picture_method: result}], [None]))
    error = float(result.completeness_error.max())
    st.markdown(join(alt, _("The logit is {change} away from a black picture’s; completeness error {error} % at "
                            "most.").format(change=f"{result.output_change:+.2f}", error=write_number(100 * error, 2))))
    if error > LARGE:
        st.warning(_("These bars do not add up well: do not read small differences from them. DeepLift adds up here."),
                   icon=":material/warning:")
    if is_noise(result):
        st.info(_("The change of the logit is small beside the credits, which cancel: the error in per cent says little."),
                icon=":material/info:")
    st.caption(_("Conductance and integrated gradients take {steps} steps here, few for so deep a net: look at the error. "
                 "Never to be added across blocks.").format(steps=STEPS))
