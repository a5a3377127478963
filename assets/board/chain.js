/* One net as a picture: a chain of blocks, coloured by gradient norm, under shortcuts as thick as what they carry.
 *
 * The board is told which block a reader points at or selects; it shows the same block in all its views. A shortcut that may
 * be cut is a button of its own, above its block's.
 */

import { gradientColour } from "./colour.js";
import { fill, html, isNumber, last, setAttribute, setText, svg } from "./tools.js";

/** Where everything stands, in pixels, for K blocks in `width` (wider, and scrolling, if they do not fit). */
function chainGeometry(blocks, width) {
  const end = width < 600 ? 28 : 40;
  const breaks = blocks.filter((block, k) => k > 0 && block.stage !== blocks[k - 1].stage).length;
  const cells = blocks.length + 0.5 * breaks;
  const inner = width - 2 * end - 2;
  const pitch = Math.max(width < 600 ? 24 : 9, inner / (cells + 0.35));
  const block = Math.min(72, Math.max(5, pitch * 0.64));
  const reach = Math.min(18, (pitch - block) / 2); // from a block's edge to its shortcut's foot
  let x = 1 + end + (pitch * 0.35) / 2;
  const left = blocks.map(({ stage }, k) => {
    if (k > 0 && stage !== blocks[k - 1].stage) x += pitch / 2;
    x += pitch;
    return x - pitch / 2 - block / 2;
  });
  const total = Math.round(x + (pitch * 0.35) / 2 + end + 1);
  return { end, pitch, block, reach, left, width: total, middle: 60, half: 18 };
}

export class Chain {
  constructor(board, index) {
    Object.assign(this, { board, index, focused: 0, focusedArc: 0, blocks: [] });
    this.scroll = html("div", { class: "rv-chain", "data-testid": `chain-${index}` });
  }

  build(lane) {
    const { stamp, race } = this.board;
    if (this.stamp === stamp && this.race === race) return;
    const width = this.scroll.clientWidth;
    if (!width) return;
    const hadFocus = this.scroll.contains(document.activeElement);
    const onArc = document.activeElement?.matches?.(".rv-arc");
    Object.assign(this, { stamp, race });
    this.geometry = chainGeometry(lane.blocks, width);
    this.focused = Math.min(this.focused, lane.blocks.length - 1);
    this.focusedArc = Math.min(this.focusedArc, lane.blocks.length - 1);
    const { geometry } = this;
    const staged = new Set(lane.blocks.map((block) => block.out)).size > 1;
    const height = staged ? 116 : 98;
    const root = svg("svg", { width: geometry.width, height, role: "group" });
    root.append(svg("path", { class: "rv-wire", d: `M1 ${geometry.middle}H${geometry.width - 1}` }));
    root.append(...this.ends(geometry));
    this.blocks = lane.blocks.map((block, k) => this.block(block, k));
    root.append(...this.blocks.map(({ node }) => node), ...this.blocks.map(({ arc }) => arc.node), ...this.blocks.flatMap(({ plus }) => plus));
    if (staged) root.append(...this.stageLabels(lane));
    this.svg = root;
    this.scroll.replaceChildren(root);
    if (hadFocus) (onArc ? this.blocks[this.focusedArc]?.arc : this.blocks[this.focused])?.node.focus();
  }

  ends({ width, end, middle, half }) {
    const { text } = this.board;
    const box = (x) => svg("rect", { class: "rv-end", x, y: middle - half, width: end, height: 2 * half, rx: 4 });
    const label = (x, anchor, words) => this.label(x, anchor, words, middle + half + 16);
    this.stem = box(1);
    return [this.stem, box(width - 1 - end), label(1, "start", text.stem), label(width - 1, "end", text.head)];
  }

  block(block, k) {
    const { left, block: width, reach, pitch, middle, half } = this.geometry;
    const [x, y] = [left[k], middle - half];
    const node = svg("g", { class: "rv-block", role: "button", "data-testid": `block-${this.index}-${k + 1}` });
    const [from, to] = [x - reach, x + width + reach];
    const face = svg("rect", { class: "rv-face", x, y, width, height: 2 * half, rx: width > 14 ? 4 : 2 });
    const parts = [
      svg("rect", { class: "rv-hit", x: x + width / 2 - pitch / 2, y: 0, width: pitch, height: middle + half + 20 }),
      svg("rect", { class: "rv-ring", x: x - 3, y: y - 3, width: width + 6, height: 2 * half + 6, rx: 6 }),
      face,
    ];
    if (width > 14) parts.push(svg("path", { class: "rv-seam", d: `M${x + width / 2} ${y + 6}V${middle + half - 6}` }));
    const every = pitch >= 19 ? 1 : pitch >= 11 ? 5 : 10;
    if (k === 0 || (k + 1) % every === 0) parts.push(this.label(x + width / 2, "middle", k + 1, middle + half + 16));
    node.append(...parts);
    node.setAttribute("aria-label", fill(this.board.text.block, { number: k + 1 }));
    if (this.board.data.cutting) node.setAttribute("aria-keyshortcuts", "S");
    this.listen(node, k);
    const arc = this.arc(block, k, from, to);
    const plus = pitch > 48 ? [svg("path", { class: "rv-plus", d: this.plusPath(to, middle) })] : [];
    return { node, face, arc, plus };
  }

  /** A shortcut: its line, the two ends that are left of it where it is cut, and what a pointer can hit. */
  arc({ shortcut }, k, from, to) {
    const { middle, pitch } = this.geometry;
    const [rise, centre, part] = [middle - 58, (from + to) / 2, 0.32];
    const whole = `M${from} ${middle}C${from} ${rise} ${to} ${rise} ${to} ${middle}`;
    const stub = (start, other) => {
      const across = start + (other - start) * part ** 2 * (3 - 2 * part); // de Casteljau: the curve's first `part`
      const up = middle - 58 * 3 * part * (1 - part);
      return `M${start} ${middle}C${start} ${middle - 58 * part} ${start + (other - start) * part ** 2} ${middle - 58 * (2 * part - part ** 2)} ${across} ${up}`;
    };
    const line = svg("path", { class: `rv-shortcut rv-${shortcut}`, d: whole });
    const ends = svg("path", { class: "rv-shortcut rv-ends", d: stub(from, to) + stub(to, from) });
    const node = svg("g", { class: "rv-arc", "data-testid": `arc-${this.index}-${k + 1}` }, svg("path", { class: "rv-arc-hit", d: whole }), line, ends);
    if (shortcut === "projection") node.append(this.projectionMark(centre));
    const scissors = svg("text", { class: "rv-scissors", x: centre, y: 21, "text-anchor": "middle" });
    if (pitch >= 15) node.append(scissors);
    if (shortcut === "none") node.classList.add("rv-none");
    else if (this.board.data.cutting) this.listenToArc(node, k);
    return { node, line, scissors };
  }

  label(x, anchor, words, y) {
    return svg("text", { class: "rv-label", x, y, "text-anchor": anchor }, words);
  }

  plusPath(x, y) {
    return `M${x - 6} ${y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0M${x - 3} ${y}h6M${x} ${y - 3}v6`;
  }

  projectionMark(x) {
    const mark = svg("text", { class: "rv-mark", x, y: 34, "text-anchor": "middle" }, "W");
    mark.append(svg("tspan", { dy: 3, "font-size": 9 }, "s"));
    return mark;
  }

  stageLabels(lane) {
    const { left, block, middle, half } = this.geometry;
    const stages = [...new Set(lane.blocks.map(({ stage }) => stage))];
    return stages.flatMap((stage) => {
      const members = lane.blocks.flatMap((b, k) => (b.stage === stage ? [k] : []));
      const [x0, x1] = [left[members[0]], left[last(members)] + block];
      const width = lane.blocks[last(members)].out;
      const known = /^\d+$/.test(width);
      const words = known ? fill(this.board.text[lane.family === "conv" ? "channels" : "units"], { width }) : width;
      const label = this.label((x0 + x1) / 2, "middle", words, middle + half + 36);
      return [svg("path", { class: "rv-bracket", d: `M${x0} ${middle + half + 22.5}H${x1}` }), label];
    });
  }

  listen(node, k) {
    const { board } = this;
    node.addEventListener("pointerenter", () => board.point(this.index, k));
    node.addEventListener("pointerleave", () => board.point(null, null));
    node.addEventListener("focus", () => {
      this.focused = k;
      board.point(this.index, k);
    });
    node.addEventListener("blur", () => board.point(null, null));
    node.addEventListener("click", () => board.select(k));
    node.addEventListener("keydown", (event) => this.keyPressed(event, k));
  }

  listenToArc(node, k) {
    node.setAttribute("role", "button");
    node.setAttribute("aria-label", fill(this.board.text.cut_label, { number: k + 1 }));
    node.addEventListener("pointerenter", () => this.board.point(this.index, k));
    node.addEventListener("pointerleave", () => this.board.point(null, null));
    node.addEventListener("focus", () => (this.focusedArc = k));
    node.addEventListener("click", () => this.board.cut(this.index, k));
    node.addEventListener("keydown", (event) => this.arcKeyPressed(event, k));
  }

  arcKeyPressed(event, k) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: this.blocks.length - 1 }[event.key];
    if (target !== undefined) this.focusArc(target);
    else if (event.key === "ArrowDown") this.focus(k);
    else if (["Enter", " ", "s", "S"].includes(event.key)) this.board.cut(this.index, k);
    else return;
    event.preventDefault();
  }

  focusArc(k) {
    this.focusedArc = Math.min(this.blocks.length - 1, Math.max(0, k));
    this.blocks[this.focusedArc].arc.node.setAttribute("tabindex", 0);
    this.blocks[this.focusedArc].arc.node.focus();
    this.blocks[this.focusedArc].node.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  keyPressed(event, k) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const end = this.blocks.length - 1;
    const target = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: end }[event.key];
    const lane = { ArrowUp: this.index - 1, ArrowDown: this.index + 1 }[event.key];
    if (target !== undefined) this.focus(target);
    else if (lane !== undefined) this.board.rows.chains[lane]?.focus(k);
    else if (event.key === "Enter" || event.key === " ") this.board.select(k);
    else if (event.key.toLowerCase() === "s" && this.board.canCut(this.index)) this.board.cut(this.index, k);
    else return;
    event.preventDefault();
  }

  focus(k) {
    this.focused = Math.min(this.blocks.length - 1, Math.max(0, k));
    this.blocks[this.focused].node.focus();
    this.blocks[this.focused].node.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  draw(lane, { pointed, selected }) {
    setAttribute(this.stem, "style", `fill:${gradientColour(lane.gradient?.[0])}`);
    setAttribute(this.svg, "aria-label", fill(this.board.text.chain_label, { lane: this.board.laneName(this.index) }));
    this.scroll.classList.toggle("rv-plain", !lane.cuts); // the toggle of the whole net is off
    const thickest = Math.min(6, Math.max(1.6, 0.15 * this.geometry.pitch));
    this.blocks.forEach(({ node, face, arc, plus }, k) => {
      setAttribute(face, "style", `fill:${gradientColour(lane.gradient?.[2 * k + 2])}`);
      const [share, cut] = [lane.share?.[k], lane.cuts?.includes(k) ?? false];
      setAttribute(arc.line, "style", `stroke-width:${(thickest * (isNumber(share) ? 0.1 + 0.9 * share : 0.3)).toFixed(2)}`);
      setAttribute(node, "aria-pressed", k === selected);
      setAttribute(node, "tabindex", k === this.focused ? 0 : -1);
      node.classList.toggle("rv-pointed", k === pointed);
      arc.node.classList.toggle("rv-cut", cut);
      setText(arc.scissors, cut ? "✂\ufe0e" : "");
      plus.forEach((sum) => sum.classList.toggle("rv-none", cut));
      if (!arc.node.hasAttribute("role")) return;
      setAttribute(arc.node, "aria-pressed", cut);
      setAttribute(arc.node, "tabindex", k === this.focusedArc ? 0 : -1);
    });
  }
}
