/* The live board: a race of nets, drawn while it runs.
 *
 * The server pushes a snapshot, then about ten deltas a second, over a WebSocket; this module keeps
 * the newest state and draws it once per animation frame. Streamlit calls the default export again
 * on every rerun, so a board is kept per parent element: words, theme and feed are exchanged in
 * place and a chart, once mounted, stays (its zoom with it). All words come from `data.text`.
 * Order of this file: numbers, colour, series, feed, chain (the net as a picture), charts, board.
 */

const KEPT = 2000; // points held per series
const DRAWN = 400; // points drawn per series
const HIDDEN_MS = 15000; // a tab hidden this long lets its race rest
const SETTLE_MS = 300;
const AGAIN_MS = 3000;
const SUMMARY_MS = 5000; // pause between two spoken summaries
const CHARTS_MS = 28; // what one frame may spend on charts; the others wait for the next
const SCALE = { low: -8, high: 2 }; // log10 of the gradient norm: the ends of the colour scale
const SYMBOLS = ["circle", "diamond", "square", "triangle-up"];
const SVG = "http://www.w3.org/2000/svg";
const POINTS = ["step", "loss", "accuracy"];
const PROBES = [...POINTS, "weight_norm", "ratio", "cosine"];

// ---- small tools ------------------------------------------------------------------------------

function make(namespace, tag, attributes, children) {
  const node = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
const html = (tag, attributes = {}, ...children) => make(null, tag, attributes, children);
const svg = (tag, attributes = {}, ...children) => make(SVG, tag, attributes, children);
/** The sentence with its values; between Chinese words that meet, such as “37.3万 个参数”, there is no space (see text.py). */
const fill = (sentence, values) => sentence
  .replace(/\{(\w+)\}/g, (_, name) => `\0${values[name] ?? ""}\0`)
  .replace(/([\u3001-\u303f\u4e00-\u9fff\uff01-\uff65])(?: \0|\0 )(?=[\u4e00-\u9fff])|\0/g, "$1");
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// ---- numbers ----------------------------------------------------------------------------------

const superscript = (n) => String(n).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

/** 0.0421, 3.1, or 1.2 × 10⁻⁷ when the number is very small or very large. */
function scientific(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 0.01 && size < 1000) return size < 100 ? value.toPrecision(2) : value.toFixed(0);
  const [mantissa, exponent] = value.toExponential(1).split("e");
  return `${mantissa} × 10${superscript(Number(exponent))}`;
}
const fixed = (value, digits) => (isNumber(value) ? value.toFixed(digits) : "–");
const percent = (share) => (isNumber(share) ? `${(100 * share).toFixed(1)} %` : "–");

/** The smallest "round" number that is not below `value`. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value * 0.9999);
}

// ---- colour -----------------------------------------------------------------------------------

/** Blue to yellow in equal steps of OKLab lightness: uniform to the eye, safe for the colour-blind. */
function scaleColour(position) {
  const t = Math.min(1, Math.max(0, position));
  const [L, a, b] = [0.3 + 0.62 * t, -0.015 - 0.03 * Math.sin(Math.PI * t), -0.105 + 0.265 * t];
  const [l, m, s] = [
    (L + 0.3963377774 * a + 0.2158037573 * b) ** 3,
    (L - 0.1055613458 * a - 0.0638541728 * b) ** 3,
    (L - 0.0894841775 * a - 1.291485548 * b) ** 3,
  ];
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const bytes = linear.map((c) => {
    const bounded = Math.min(1, Math.max(0, c));
    return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
  });
  return `rgb(${bytes.join(",")})`;
}

function gradientColour(norm) {
  if (!isNumber(norm)) return "var(--rv-neutral)";
  const power = norm > 0 ? Math.log10(norm) : SCALE.low;
  return scaleColour((power - SCALE.low) / (SCALE.high - SCALE.low));
}

// ---- series -----------------------------------------------------------------------------------

const emptySeries = (names) => Object.fromEntries(names.map((name) => [name, []]));

function averageBins(values, size) {
  const out = [];
  for (let start = 0; start < values.length; start += size) {
    const bin = values.slice(start, start + size).filter(isNumber);
    out.push(bin.length ? bin.reduce((sum, v) => sum + v, 0) / bin.length : null);
  }
  return out;
}

function append(series, more) {
  if (!more) return;
  for (const name in series) for (const value of more[name] ?? []) series[name].push(value);
  if (series.step.length > KEPT) for (const name in series) series[name] = averageBins(series[name], 2);
}

/** x and y of at most DRAWN points; the bin is a power of two, so old bins stay put as points arrive. */
function thinned(series, name) {
  const size = 2 ** Math.max(0, Math.ceil(Math.log2(series.step.length / DRAWN)));
  if (size === 1) return { x: series.step.slice(), y: series[name].slice() };
  return { x: averageBins(series.step, size), y: averageBins(series[name], size) };
}
const last = (values) => values?.[values.length - 1] ?? null;

// ---- feed -------------------------------------------------------------------------------------

/** The socket: reconnects with backoff, rests while the tab is hidden, heals a gap by a new snapshot. */
class Feed {
  constructor(onMessage, onConnection) {
    Object.assign(this, { onMessage, onConnection, url: null, socket: null, seq: null, delay: 250 });
    this.whenVisible = () => this.visibilityChanged();
    document.addEventListener("visibilitychange", this.whenVisible);
    window.addEventListener("online", this.whenVisible);
  }

  follow(feed) {
    if (feed === this.feed) return;
    this.feed = feed;
    this.url = new URL(feed, window.location.href);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.delay = 250;
    this.drop();
    this.connect();
  }

  connect() {
    clearTimeout(this.retry);
    if (!this.url || this.socket) return;
    const socket = (this.socket = new WebSocket(this.url));
    this.seq = null;
    socket.onmessage = (event) => socket === this.socket && this.receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
  }

  receive(message) {
    if (message.type === "delta" && message.seq !== this.seq + 1) return this.socket.close();
    this.seq = message.seq;
    if (message.type === "snapshot") {
      this.delay = 250;
      this.onConnection("open");
    }
    this.onMessage(message);
  }

  lost(code) {
    this.socket = null;
    if (code === 4403 || code === 4404) {
      this.url = null;
      return this.onConnection(code === 4403 ? "refused" : "gone");
    }
    this.onConnection("lost");
    if (this.resting) return;
    this.retry = setTimeout(() => this.connect(), this.delay * (0.75 + 0.5 * Math.random()));
    this.delay = Math.min(5000, 2 * this.delay);
  }

  visibilityChanged() {
    clearTimeout(this.rest);
    this.resting = false;
    if (!document.hidden) return this.connect();
    this.rest = setTimeout(() => {
      this.resting = true;
      this.drop();
    }, HIDDEN_MS);
  }

  drop() {
    clearTimeout(this.retry);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  dispose() {
    clearTimeout(this.rest);
    document.removeEventListener("visibilitychange", this.whenVisible);
    window.removeEventListener("online", this.whenVisible);
    this.drop();
    this.url = null;
  }
}

// ---- chain: one net as a picture --------------------------------------------------------------

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

class Chain {
  constructor(board, index) {
    Object.assign(this, { board, index, focused: 0, blocks: [] });
    this.scroll = html("div", { class: "rv-chain", "data-testid": `chain-${index}` });
  }

  build(lane) {
    const { stamp, race } = this.board;
    if (this.stamp === stamp && this.race === race) return;
    const width = this.scroll.clientWidth;
    if (!width) return;
    const hadFocus = this.scroll.contains(document.activeElement);
    Object.assign(this, { stamp, race });
    this.geometry = chainGeometry(lane.blocks, width);
    this.focused = Math.min(this.focused, lane.blocks.length - 1);
    const { geometry } = this;
    const staged = new Set(lane.blocks.map((block) => block.out)).size > 1;
    const height = staged ? 116 : 98;
    const root = svg("svg", { width: geometry.width, height, role: "group" });
    root.append(svg("path", { class: "rv-wire", d: `M1 ${geometry.middle}H${geometry.width - 1}` }));
    root.append(...this.ends(geometry));
    this.blocks = lane.blocks.map((block, k) => this.block(block, k));
    root.append(...this.blocks.map((block) => block.node), ...this.blocks.flatMap((block) => block.plus));
    if (staged) root.append(...this.stageLabels(lane));
    this.svg = root;
    this.scroll.replaceChildren(root);
    if (hadFocus) this.blocks[this.focused]?.node.focus();
  }

  ends({ width, end, middle, half }) {
    const { text } = this.board;
    const box = (x) => svg("rect", { class: "rv-end", x, y: middle - half, width: end, height: 2 * half, rx: 4 });
    const label = (x, anchor, words) => {
      const node = svg("text", { class: "rv-label", x, y: middle + half + 16, "text-anchor": anchor });
      node.textContent = words;
      return node;
    };
    this.stem = box(1);
    return [this.stem, box(width - 1 - end), label(1, "start", text.stem), label(width - 1, "end", text.head)];
  }

  block(block, k) {
    const { left, block: width, reach, pitch, middle, half } = this.geometry;
    const [x, y] = [left[k], middle - half];
    const node = svg("g", { class: "rv-block", role: "button", "data-testid": `block-${this.index}-${k + 1}` });
    const [from, to] = [x - reach, x + width + reach];
    const rise = middle - 58;
    const arc = svg("path", { class: `rv-shortcut rv-${block.shortcut}`, d: `M${from} ${middle}C${from} ${rise} ${to} ${rise} ${to} ${middle}` });
    const face = svg("rect", { class: "rv-face", x, y, width, height: 2 * half, rx: width > 14 ? 4 : 2 });
    const parts = [
      svg("rect", { class: "rv-hit", x: x + width / 2 - pitch / 2, y: 0, width: pitch, height: middle + half + 20 }),
      svg("rect", { class: "rv-ring", x: x - 3, y: y - 3, width: width + 6, height: 2 * half + 6, rx: 6 }),
      arc,
      face,
    ];
    if (width > 14) parts.push(svg("path", { class: "rv-seam", d: `M${x + width / 2} ${y + 6}V${middle + half - 6}` }));
    if (block.shortcut === "projection") parts.push(this.projectionMark(x + width / 2));
    const every = pitch >= 19 ? 1 : pitch >= 11 ? 5 : 10;
    if (k === 0 || (k + 1) % every === 0) {
      const label = svg("text", { class: "rv-label", x: x + width / 2, y: middle + half + 16, "text-anchor": "middle" });
      label.textContent = k + 1;
      parts.push(label);
    }
    node.append(...parts);
    node.setAttribute("aria-label", fill(this.board.text.block, { number: k + 1 }));
    this.listen(node, k);
    const plus = pitch > 48 ? [svg("path", { class: "rv-plus", d: this.plusPath(to, middle) })] : [];
    return { node, face, arc, plus };
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
      const label = svg("text", { class: "rv-label", x: (x0 + x1) / 2, y: middle + half + 36, "text-anchor": "middle" });
      label.textContent = words;
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

  keyPressed(event, k) {
    const end = this.blocks.length - 1;
    const target = { ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: end }[event.key];
    const lane = { ArrowUp: this.index - 1, ArrowDown: this.index + 1 }[event.key];
    if (target !== undefined) this.focus(target);
    else if (lane !== undefined) this.board.chains[lane]?.focus(k);
    else if (event.key === "Enter" || event.key === " ") this.board.select(k);
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
    this.scroll.classList.toggle("rv-plain", !lane.skip);
    const thickest = Math.min(6, Math.max(1.6, 0.15 * this.geometry.pitch));
    this.blocks.forEach(({ node, face, arc }, k) => {
      setAttribute(face, "style", `fill:${gradientColour(lane.gradient?.[2 * k + 2])}`);
      const share = lane.share?.[k];
      setAttribute(arc, "style", `stroke-width:${(thickest * (isNumber(share) ? 0.1 + 0.9 * share : 0.3)).toFixed(2)}`);
      setAttribute(node, "aria-pressed", k === selected);
      setAttribute(node, "tabindex", k === this.focused ? 0 : -1);
      node.classList.toggle("rv-pointed", k === pointed);
    });
  }
}

// ---- charts -----------------------------------------------------------------------------------

let plotlyLoading = null;

function loadPlotly(address) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  plotlyLoading ??= new Promise((resolve, reject) => {
    const script = html("script", { src: address });
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return plotlyLoading;
}

const ICONS = {
  reset: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v3h3",
  download: "M8 2v8M4.8 7 8 10.2 11.2 7M3 13.5h10",
  numbers: "M2.5 3h11v10h-11zM2.5 6.5h11M2.5 9.7h11M6.5 3v10",
};

/** A line of lane `i`; the shape of its markers tells lanes apart without colour, and open ones those of one colour. */
function trace(board, i, { x, y }, { dash = "solid", markers = 0, series = "", digits = ".3~g", unit = "" }) {
  const name = board.laneName(i) + (series && ` · ${series}`);
  const { colour, dash: apart } = board.look(i);
  const color = board.theme.lanes[colour];
  const marker = { symbol: SYMBOLS[colour] + (apart ? "-open" : ""), size: 6, maxdisplayed: markers, color };
  return {
    type: "scatter", x, y, name, marker, mode: markers ? "lines+markers" : "lines", connectgaps: false,
    line: { color, width: dash === "solid" ? 2 : 1.5, dash },
    hovertemplate: `%{y:${digits}}${unit}<extra>${name}</extra>`,
  };
}

function stepTraces(board, name, scale, options) {
  const scaled = ({ x, y }) => ({ x, y: y.map((value) => (isNumber(value) ? value * scale : null)) });
  return board.lanes.flatMap((lane, i) => [
    trace(board, i, scaled(thinned(lane.points, name)), { ...options, series: board.text.training_batch }),
    trace(board, i, scaled(thinned(lane.probes, name)), { ...options, series: board.text.held_out_set, dash: "dash", markers: 12 }),
  ]);
}

/** Steps grow in the strides 1, 2, 5: the curve uses the room, and the axis seldom moves. */
function stepRange(board) {
  const steps = board.lanes.flatMap(({ points, probes }) => [last(points.step), last(probes.step)]);
  const newest = Math.max(50, ...steps.filter(isNumber));
  const unit = 10 ** Math.floor(Math.log10(newest));
  const end = [1, 2, 5, 10].map((stride) => stride * unit).find((value) => value >= newest);
  return [0, Math.min(end, Math.max(board.race?.limit ?? end, newest))];
}
const valuesOf = (traces) => traces.flatMap(({ y }) => y).filter(isNumber);

function lossFigure(board, mode) {
  const traces = stepTraces(board, "loss", 1, {});
  const values = valuesOf(traces);
  const range = { range: stepRange(board) };
  if (mode !== "log") {
    // BatchNorm's running statistics can throw the first held-out losses far off: the training loss sets the scale.
    const trained = board.lanes.reduce((high, lane) => Math.max(high, ...lane.points.loss), 0) || Math.log(board.race?.classes ?? 10);
    return { traces, x: range, y: { range: [0, roundUp(1.02 * Math.min(Math.max(trained, ...values), 2 * trained))] } };
  }
  const positive = values.filter((value) => value > 0);
  const ends = positive.length ? positive : [0.1, 10];
  const [low, high] = [Math.floor(Math.log10(Math.min(...ends))), Math.ceil(Math.log10(Math.max(...ends)))];
  return { traces, x: range, y: logAxis(low, Math.max(high, low + 1)) };
}

function accuracyFigure(board) {
  const chance = 100 * (board.race?.chance ?? 0);
  const line = { type: "line", xref: "paper", x0: 0, x1: 1, y0: chance, y1: chance, line: { color: board.theme.muted, width: 1, dash: "dot" } };
  const words = fill(board.text.chance, { chance: Number(chance.toPrecision(3)) });
  const label = { xref: "paper", x: 1, y: chance, xanchor: "right", yanchor: "bottom", text: words, showarrow: false, font: { size: 11, color: board.theme.muted } };
  return {
    traces: stepTraces(board, "accuracy", 100, { digits: ".1f", unit: " %" }),
    x: { range: stepRange(board) },
    y: { range: [-2, 102], ticksuffix: " %", dtick: 25, tick0: 0 },
    shapes: board.race ? [line] : [],
    annotations: board.race ? [label] : [],
  };
}

/** One line a lane, of what is measured every few steps; dashed where the lane is. */
function probeTraces(board, name, scale = 1, options = {}, from = "probes") {
  return board.lanes.flatMap((lane, i) => {
    const { x, y } = thinned(lane[from], name);
    const values = y.map((value) => (isNumber(value) ? value * scale : null));
    const dash = board.look(i).dash ? "dash" : "solid";
    return values.some(isNumber) ? [trace(board, i, { x, y: values }, { markers: 10, dash, ...options })] : [];
  });
}

function normFigure(board, mode) {
  const traces = probeTraces(board, "weight_norm", 1, { digits: ".3~g" });
  const values = valuesOf(traces).filter((value) => value > 0);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0.1, 10];
  const y = mode === "log" ? logAxis(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high) + 1e-9)) : { range: [0, roundUp(1.02 * high)] };
  return { traces, x: { range: stepRange(board) }, y };
}

function ratioFigure(board) {
  const traces = probeTraces(board, "ratio");
  return { traces, x: { range: stepRange(board) }, y: { range: [0, roundUp(1.02 * Math.max(0.1, ...valuesOf(traces)))] } };
}

function directionFigure(board) {
  const traces = probeTraces(board, "cosine");
  const low = Math.min(0, ...valuesOf(traces).map((value) => (value < 0 ? -roundUp(-value) : 0)));
  return { traces, x: { range: stepRange(board) }, y: { range: [low - 0.03, 1.03] } };
}

/** The accuracy figure with one line a lane. */
function scoreFigure(board, mode) {
  const training = mode === "training";
  const traces = probeTraces(board, "accuracy", 100, { digits: ".1f", unit: " %", markers: training ? 0 : 10 }, training ? "points" : "probes");
  return { ...accuracyFigure(board), traces };
}

/** Whole decades, six labels at most, in the same script as the words around. */
function logAxis(low, high) {
  const stride = Math.ceil((high - low) / 6) || 1;
  const powers = [];
  for (let power = Math.ceil(low / stride) * stride; power <= high; power += stride) powers.push(power);
  const label = (power) => (power === 0 ? "1" : `10${superscript(power)}`);
  return { type: "log", range: [low - 0.1, high + 0.1], tickvals: powers.map((power) => 10 ** power), ticktext: powers.map(label) };
}

function band(board, x0, x1) {
  const fillcolor = board.theme.text;
  return { type: "rect", yref: "paper", y0: 0, y1: 1, x0, x1, line: { width: 0 }, fillcolor, opacity: 0.08, layer: "below" };
}

/** The decades shown only ever widen (until the race or the choice changes), so the axis holds still. */
function layersFigure(board, mode, chart) {
  const weights = mode === "weights";
  const of = (lane) => (weights ? lane.weight_gradient : lane.gradient);
  const count = Math.max(2, ...board.race?.lanes.map((lane) => lane.layers.length + (weights ? 1 : 0)) ?? [2]);
  const traces = board.lanes.flatMap((lane, i) => {
    const values = of(lane)?.map((v) => (v > 0 ? v : null));
    return values ? [trace(board, i, { x: values.map((_, l) => l + 1), y: values }, { markers: 60, digits: ".2e" })] : [];
  });
  const powers = valuesOf(traces).map(Math.log10);
  chart.decades ??= { low: Infinity, high: -Infinity };
  chart.decades.low = Math.min(chart.decades.low, ...powers.map(Math.floor));
  chart.decades.high = Math.max(chart.decades.high, ...powers.map(Math.ceil));
  const { low, high } = powers.length || chart.decades.low <= chart.decades.high ? chart.decades : SCALE;
  const k = board.selected;
  const shapes = k === null ? [] : [band(board, 2 * k + 1.5, 2 * k + 3.5)];
  return { traces, x: { range: [0.5, count + 0.5] }, y: logAxis(low, Math.max(high, low + 1)), shapes };
}

function blocksFigure(board, mode, chart) {
  const count = Math.max(1, ...board.race?.lanes.map((lane) => lane.blocks.length) ?? [1]);
  const traces = board.lanes.flatMap((lane, i) =>
    lane[mode]?.some(isNumber) ? [trace(board, i, { x: lane[mode].map((_, k) => k + 1), y: lane[mode] }, { markers: 60 })] : []);
  const values = valuesOf(traces);
  chart.low = Math.min(chart.low ?? 0, ...values.map((v) => (v < 0 ? -roundUp(-v) : 0)));
  chart.high = Math.max(chart.high ?? 0, ...values.map((v) => roundUp(v * 1.02)));
  const range = mode === "ratio" ? [0, chart.high || 1] : [chart.low, 1];
  const slack = 0.03 * (range[1] - range[0]);
  const k = board.selected;
  const shapes = k === null ? [] : [band(board, k + 0.5, k + 1.5)];
  return { traces, x: { range: [0.5, count + 0.5] }, y: { range: [range[0] - slack, range[1] + slack] }, shapes };
}

function layersNote(board, mode) {
  return board.lanes.flatMap((lane, i) => {
    const values = mode === "weights" ? lane.weight_gradient : lane.gradient;
    const ratio = values && last(values) > 0 ? values[0] / last(values) : null;
    const sentence = mode === "weights" ? board.text.weights_note : board.text.gradient_note;
    return isNumber(ratio) ? [fill(sentence, { lane: board.laneName(i), ratio: scientific(ratio) })] : [];
  });
}

const ADVICE = {
  weight_norm: (board) => [board.text.weight_norm_note],
  branch_ratio: (board) => [board.text.ratio_note],
  direction: (board) => [board.text.cosine_note],
  blocks: (board, mode) => (mode === "cosine" || board.lanes.some((lane) => lane.skip) ? [board.text[`${mode}_note`]] : [board.text.no_shortcuts]),
  layers: layersNote,
};

const CHARTS = [
  { id: "loss", x: "axis_step", modes: ["linear", "log"], figure: lossFigure },
  { id: "accuracy", x: "axis_step", modes: [], figure: accuracyFigure },
  { id: "layers", x: "axis_layer", modes: ["activations", "weights"], figure: layersFigure },
  { id: "blocks", x: "axis_block", modes: ["ratio", "share", "cosine"], figure: blocksFigure },
  { id: "weight_norm", x: "axis_step", modes: ["linear", "log"], figure: normFigure },
  { id: "held_out", x: "axis_step", modes: ["held_out", "training"], figure: scoreFigure },
  { id: "branch_ratio", x: "axis_step", modes: [], figure: ratioFigure },
  { id: "direction", x: "axis_step", modes: [], figure: directionFigure },
];

class Chart {
  constructor(board, spec) {
    Object.assign(this, { board, spec, mode: spec.modes[0], visible: true, held: false, stale: true, drawnAt: 0, cost: 20, revision: 0 });
    this.title = html("h3");
    this.buttons = spec.modes.map((mode) => this.button(() => this.choose(mode)));
    this.reset = this.iconButton("reset", () => this.unzoom());
    this.download = this.iconButton("download", () => this.save());
    this.numbers = this.iconButton("numbers", () => this.saveNumbers());
    this.plot = html("div", { class: "rv-plot" });
    this.hint = html("p", { class: "rv-hint" });
    this.note = html("div", { class: "rv-note" });
    const modes = html("div", { class: "rv-segments", role: "group" }, ...this.buttons);
    this.modes = modes;
    const tools = html("div", { class: "rv-tools" }, this.reset, this.download, this.numbers);
    const head = html("div", { class: "rv-chart-head" }, this.title, tools, ...(spec.modes.length ? [modes] : []));
    const frame = html("div", { class: "rv-plot-frame" }, this.plot, this.hint);
    this.node = html("section", { class: "rv-chart", "data-testid": `chart-${spec.id}` }, head, frame, this.note);
    this.plot.addEventListener("pointerdown", () => (this.held = true));
  }

  button(action, attributes = {}) {
    const node = html("button", { type: "button", ...attributes });
    node.addEventListener("click", action);
    return node;
  }

  iconButton(name, action) {
    const node = this.button(action, { class: "rv-icon" });
    node.append(svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[name] })));
    return node;
  }

  choose(mode) {
    this.mode = mode;
    this.forget();
    this.board.refresh([this]);
  }

  /** A new choice or a new race: the axes may find their place again. */
  forget() {
    Object.assign(this, { decades: null, low: null, high: null, frozen: null });
    this.revision += 1;
  }

  unzoom() {
    this.frozen = null;
    this.revision += 1;
    this.board.refresh([this]);
  }

  save() {
    window.Plotly?.downloadImage(this.plot, { format: "png", scale: 2, filename: `resnet-viz-${this.spec.id}` });
  }

  /** What the chart shows, as a table in UTF-8 with the mark that spreadsheets look for. */
  saveNumbers() {
    const { traces } = this.spec.figure(this.board, this.mode, this);
    const quote = (words) => `"${words.replaceAll('"', '""')}"`;
    const rows = traces.flatMap(({ name, x, y }) => x.map((at, i) => [quote(name), at, y[i] ?? ""].join(",")));
    const table = ["\ufeffline,x,y", ...rows].join("\n");
    const address = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
    html("a", { href: address, download: `resnet-viz-${this.spec.id}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address));
  }

  relabel() {
    const { text } = this.board;
    const { id, modes } = this.spec;
    setText(this.title, text[`${id}_title`]);
    this.buttons.forEach((button, i) => setText(button, text[`mode_${modes[i]}`]));
    this.modes.setAttribute("aria-label", text[`${id}_title`]);
    for (const name of ["reset", "download", "numbers"]) {
      const words = fill(text[name], { chart: text[`${id}_title`] });
      this[name].setAttribute("aria-label", words);
      this[name].setAttribute("title", words);
    }
  }

  layout({ x, y, shapes = [], annotations = [] }) {
    const { theme, text } = this.board;
    const axis = {
      gridcolor: theme.grid, zeroline: false, linecolor: theme.line, tickcolor: theme.line, ticks: "outside", ticklen: 4,
      tickfont: { size: 12, color: theme.muted }, automargin: false, fixedrange: false, hoverformat: "~g",
    };
    // A zoom lives only as long as the ranges the board asks for stay the same (see uirevision).
    const ranges = (this.asked = this.frozen ?? { x: x.range, y: y.range });
    const title = { text: text[this.spec.x], font: { size: 12, color: theme.muted }, standoff: 8 };
    return {
      width: this.plot.clientWidth, height: this.plot.clientHeight, margin: { l: 52, r: 12, t: 8, b: 42 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "x", dragmode: "zoom",
      font: { family: theme.font, color: theme.text, size: 12 }, uirevision: this.revision, shapes, annotations,
      hoverlabel: { bgcolor: theme.background, bordercolor: theme.line, font: { family: theme.font, color: theme.text, size: 12 }, namelength: -1 },
      xaxis: { ...axis, showgrid: false, nticks: 8, ...x, title, range: ranges.x },
      yaxis: { ...axis, nticks: 6, ...y, range: ranges.y },
    };
  }

  draw(Plotly) {
    this.stale = false;
    this.drawnAt = performance.now();
    this.buttons.forEach((button, i) => setAttribute(button, "aria-pressed", this.spec.modes[i] === this.mode));
    this.drawNote();
    const figure = this.spec.figure(this.board, this.mode, this);
    const empty = !figure.traces.some(({ y }) => y.length > 1);
    this.hint.hidden = !empty;
    const { status, text } = this.board;
    setText(this.hint, { "": "", ready: text.press_play }[status.state] ?? text.nothing_yet);
    const layout = this.layout(figure);
    if (this.mounted) this.redraw(Plotly, figure.traces, layout);
    else this.mount(Plotly, figure.traces, layout);
    setAttribute(this.plot.querySelector(".main-svg"), "aria-label", this.spokenTitle());
    this.cost = performance.now() - this.drawnAt;
  }

  /** New numbers in the same picture take the short way: measured, 11 ms against 17 for Plotly.react. */
  redraw(Plotly, traces, layout) {
    const picture = JSON.stringify([layout, traces, this.board.looks], (name, value) => (name === "x" || name === "y") && Array.isArray(value) ? null : value);
    if (picture !== this.picture || !traces.length) Plotly.react(this.plot, traces, layout);
    else Plotly.restyle(this.plot, { x: traces.map(({ x }) => x), y: traces.map(({ y }) => y) });
    this.picture = picture;
  }

  get drawable() {
    return this.stale && !this.held && (this.visible || !this.mounted) && this.plot.clientWidth > 0;
  }

  spokenTitle() {
    const { text } = this.board;
    return `${text[`${this.spec.id}_title`]}${this.spec.modes.length ? ` · ${text[`mode_${this.mode}`]}` : ""} · ${text[this.spec.x]}`;
  }

  drawNote() {
    const lines = ADVICE[this.spec.id]?.(this.board, this.mode) ?? [];
    while (this.note.children.length > lines.length) this.note.lastChild.remove();
    while (this.note.children.length < lines.length) this.note.append(html("p"));
    lines.forEach((line, i) => setText(this.note.children[i], line));
  }

  mount(Plotly, traces, layout) {
    this.mounted = true;
    this.board.root.dataset.mounts = Number(this.board.root.dataset.mounts) + 1;
    Plotly.newPlot(this.plot, traces, layout, { displayModeBar: false, displaylogo: false, doubleClick: false, scrollZoom: false });
    this.plot.querySelectorAll(".main-svg").forEach((node, i) =>
      i === 0 ? node.setAttribute("role", "img") : node.setAttribute("aria-hidden", "true"));
    this.plot.on("plotly_relayout", (change) => {
      if (Object.keys(change).some((name) => name.includes("axis.range"))) this.frozen = this.asked;
    });
    this.plot.on("plotly_doubleclick", () => this.unzoom());
    this.plot.on("plotly_click", ({ points }) => this.clicked(points[0].x));
  }

  end() {
    if (this.mounted) window.Plotly?.purge(this.plot);
  }

  clicked(x) {
    const block = { layers: Math.floor(x / 2) - 1, blocks: x - 1 }[this.spec.id];
    if (block >= 0 && block < this.board.blockCount()) this.board.select(block);
  }
}

// ---- board ------------------------------------------------------------------------------------

class Board {
  constructor(root) {
    Object.assign(this, { root, race: null, lanes: [], chains: [], charts: [], looks: [], selected: null, pointed: null, connection: "" });
    this.status = { state: "", step: 0 }; // until the feed tells: a race that is paused is not called ready
    Object.assign(root.dataset, { mounts: 0, frames: 0, step: 0, state: "", seq: "", connection: "" });
    this.build();
    this.feed = new Feed((message) => this.receive(message), (connection) => this.connectionChanged(connection));
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(root);
    this.sight = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "100px" });
    this.release = () => this.released();
    for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, this.release);
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.escape());
  }

  build() {
    const node = (name, tag = "div", attributes = {}) => html(tag, { class: `rv-${name}`, "data-testid": name, ...attributes });
    const words = ["state", "step", "speed", "connection"].map((name) => node(name, name === "state" ? "strong" : "span"));
    this.words = Object.fromEntries(["state", "step", "speed", "connection"].map((name, i) => [name, words[i]]));
    this.bar = html("i");
    this.heading = html("h2", { class: "rv-hidden" });
    this.notice = node("notice", "p");
    this.rows = node("lanes");
    this.grid = html("div", { class: "rv-grid" });
    this.key = node("key");
    this.details = node("details", "section");
    this.legend = node("legend", "ul");
    this.tooltip = node("tooltip", "div", { "aria-hidden": "true" });
    this.spoken = node("summary", "p", { class: "rv-hidden", "aria-live": "polite" });
    for (const hidden of [this.notice, this.details, this.tooltip]) hidden.hidden = true;
    this.root.replaceChildren(
      this.heading, node("status", "div"), html("div", { class: "rv-progress", "aria-hidden": "true" }, this.bar), this.notice, this.rows,
      this.key, this.details, this.legend, this.grid, this.tooltip, this.spoken,
    );
    this.root.querySelector(".rv-status").append(...words);
  }

  // -- what Streamlit tells: words, names, feed

  update(data) {
    this.data = data;
    const spoken = JSON.stringify([data.text, data.language, data.lanes, data.charts, data.chains]);
    Object.assign(this, { text: data.text, language: data.language.replace("_", "-"), looks: data.lanes });
    this.choose(data.charts);
    if (spoken !== this.spokenIn) this.relabel();
    this.spokenIn = spoken;
    this.feed.follow(data.feed);
    loadPlotly(data.plotly).then(() => this.refresh(), () => (plotlyLoading = null));
    this.refresh();
  }

  /** Show these charts. As long as they are the same, so are the plots. */
  choose(ids) {
    if (ids.join() === this.charts.map(({ spec }) => spec.id).join()) return;
    this.charts.forEach((chart) => chart.end());
    this.charts = ids.map((id) => new Chart(this, CHARTS.find((spec) => spec.id === id)));
    this.grid.replaceChildren(...this.charts.map((chart) => chart.node));
    this.sight.disconnect();
    this.charts.forEach((chart) => this.sight.observe(chart.node));
  }

  relabel() {
    this.root.setAttribute("aria-label", this.text.board_label);
    this.root.setAttribute("lang", this.language);
    setText(this.heading, this.text.board_label);
    this.charts.forEach((chart) => chart.relabel());
    this.stamp = (this.stamp ?? 0) + 1;
    this.buildRows();
    this.buildKey();
    this.buildLegend();
    this.summary = null;
  }

  // -- what the server tells: the race

  receive(message) {
    this.status = message.status;
    this.compareState();
    if (message.type === "snapshot") this.restart(message);
    message.lanes.forEach((lane, i) => this.merge(this.lanes[i], lane));
    this.seq = message.seq;
    this.refresh();
  }

  restart(message) {
    const same = this.race?.id === message.race.id && this.status.step >= this.step;
    this.race = message.race;
    this.lanes = message.race.lanes.map((lane) => ({ ...lane, points: emptySeries(POINTS), probes: emptySeries(PROBES) }));
    if (!same) this.charts.forEach((chart) => chart.forget());
    if (this.selected >= this.blockCount()) this.selected = null;
    if (this.rowWords.length !== this.lanes.length) this.buildRows();
  }

  merge(lane, news) {
    if (!lane) return;
    const { points, probes, ...latest } = news;
    append(lane.points, points);
    append(lane.probes, probes);
    Object.assign(lane, latest);
  }

  connectionChanged(connection) {
    this.connection = connection;
    this.compareState();
    this.schedule();
  }

  // -- what the reader does

  point(lane, block) {
    this.pointed = lane === null ? null : { lane, block };
    this.schedule();
  }

  select(block) {
    this.selected = block === this.selected ? null : block;
    this.refresh();
  }

  escape() {
    Object.assign(this, { selected: null, pointed: null });
    this.refresh();
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) this.charts.find(({ node }) => node === target).visible = isIntersecting;
    this.schedule();
  }

  released() {
    setTimeout(() => {
      this.charts.forEach((chart) => (chart.held = false));
      this.schedule();
    });
  }

  // -- words

  laneName(i) {
    return this.look(i).name;
  }

  look(i) {
    return this.looks[i] ?? { name: `${i + 1}`, colour: i % SYMBOLS.length, dash: false };
  }

  blockCount() {
    return Math.max(0, ...(this.race?.lanes.map((lane) => lane.blocks.length) ?? [0]));
  }

  count(number) {
    return new Intl.NumberFormat(this.language, { maximumFractionDigits: 0 }).format(number);
  }

  short(number) {
    return new Intl.NumberFormat(this.language, { notation: "compact", maximumSignificantDigits: 3 }).format(number);
  }

  swatch(i, dash = "") {
    const { colour, dash: apart } = i === null ? {} : this.look(i);
    const shape = ["M9 4a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "M13-1l5 5-5 5-5-5z", "M9 0h8v8H9z", "M13-1l5 9H8z"][colour] ?? "";
    const style = i === null ? "" : `--rv-colour: var(--rv-lane-${colour})`;
    const line = svg("path", { class: "rv-swatch-line", d: "M0 4h26", "stroke-dasharray": apart ? "5 3" : dash });
    const mark = svg("path", { class: apart ? "rv-swatch-mark rv-open" : "rv-swatch-mark", d: shape });
    return svg("svg", { class: "rv-swatch", width: 26, height: 10, viewBox: "0 -1 26 10", "aria-hidden": "true", style }, line, mark);
  }

  /** One row per lane: its name and facts, its two accuracies, its chain; or, without chains, a table of them all. */
  buildRows() {
    const count = this.lanes.length || this.looks.length;
    this.key.hidden = !this.data.chains;
    if (!this.data.chains) return this.buildScores(count);
    this.chains = Array.from({ length: count }, (_, i) => this.chains[i] ?? new Chain(this, i));
    this.rowWords = this.chains.map(() => ({
      facts: html("p", { class: "rv-facts" }), training: html("b"), heldOut: html("b"),
    }));
    this.rows.replaceChildren(...this.chains.map((chain, i) => {
      const { facts, training, heldOut } = this.rowWords[i];
      const title = html("h3", {}, this.swatch(i), this.laneName(i));
      const score = (words, value, kind) => html("p", { class: kind }, html("span", {}, words), value);
      const scores = html("div", { class: "rv-scores" }, score(this.text.training_accuracy, training, "rv-big"), score(this.text.held_out_accuracy, heldOut, "rv-small"));
      return html("section", { class: "rv-lane", "data-testid": `lane-${i}` }, html("div", { class: "rv-lane-head" }, html("div", {}, title, facts), scores), chain.scroll);
    }));
  }

  buildScores(count) {
    const columns = ["training_accuracy", "held_out_accuracy", "weight_norm", "ratio", "cosine"];
    this.chains = [];
    this.rowWords = Array.from({ length: count }, () => columns.map(() => html("td")));
    const head = html("tr", {}, html("td"), ...columns.map((name) => html("th", { scope: "col" }, this.text[name])));
    const rows = this.rowWords.map((cells, i) => html("tr", {}, html("th", { scope: "row" }, this.swatch(i), this.laneName(i)), ...cells));
    const table = html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows));
    const label = `${this.text.training_accuracy}, ${this.text.held_out_accuracy}, …`;
    this.rows.replaceChildren(html("div", { class: "rv-table rv-scoreboard", tabindex: 0, role: "group", "aria-label": label }, table));
  }

  buildKey() {
    const powers = Array.from({ length: 6 }, (_, i) => SCALE.low + 2 * i);
    const stops = Array.from({ length: 21 }, (_, i) => scaleColour(i / 20)).join(",");
    const ticks = powers.map((power) => html("span", {}, `10${superscript(power)}`));
    const bar = html("div", { class: "rv-scale-bar", style: `background:linear-gradient(90deg,${stops})` });
    const arc = (kind, width) => svg("svg", { class: "rv-key-arc", width: 30, height: 14, "aria-hidden": "true" },
      svg("path", { class: `rv-shortcut rv-${kind}`, d: "M2 13C2 -1 28 -1 28 13", style: `stroke-width:${width}` }));
    const entry = (words, ...arcs) => html("li", {}, ...arcs, words);
    this.key.replaceChildren(
      html("div", { class: "rv-scale" }, html("p", {}, this.text.scale_title), bar, html("div", { class: "rv-ticks" }, ...ticks)),
      html("ul", {}, entry(this.text.key_share, arc("identity", 1.5), arc("identity", 5)), entry(this.text.key_zero_pad, arc("zero-pad", 2)), entry(this.text.key_projection, arc("projection", 3))),
    );
  }

  buildLegend() {
    const item = (swatch, words) => html("li", {}, swatch, words);
    const styles = [item(this.swatch(null), this.text.training_batch), item(this.swatch(null, "5 3"), this.text.held_out_set)];
    const lanes = this.looks.map(({ name }, i) => item(this.swatch(i), name));
    this.legend.replaceChildren(...lanes, ...(this.looks.some(({ dash }) => dash) ? [] : styles));
  }

  // -- drawing: once per animation frame, the newest state only

  refresh(charts = this.charts) {
    for (const chart of charts) chart.stale = true;
    this.schedule();
  }

  resized() {
    this.stamp += 1;
    this.refresh();
  }

  schedule() {
    if (this.gone || !this.text) return;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.root.isConnected) this.draw(); // else the page has been left, and there is no style to read
    });
  }

  draw() {
    const begin = performance.now();
    this.readTheme();
    this.drawStatus();
    this.drawNotice();
    this.lanes.forEach((lane, i) => (this.data.chains ? this.drawLane(this.chains[i], i) : this.drawScores(lane, i)));
    this.drawDetails();
    this.drawTooltip();
    this.drawCharts(window.Plotly);
    this.speak();
    this.step = this.status.step;
    const drawn = { frames: Number(this.root.dataset.frames) + 1, step: this.status.step, state: this.status.state, seq: this.seq ?? "", connection: this.connection };
    Object.assign(this.root.dataset, drawn, { drawMs: (performance.now() - begin).toFixed(1), selected: this.selected === null ? "" : this.selected + 1 });
    window.__boardFrames?.push(performance.now());
  }

  /** The charts that waited longest first; what the budget leaves over is drawn a moment later. */
  drawCharts(Plotly) {
    this.charts.filter((chart) => !chart.drawable).forEach((chart) => chart.drawNote());
    if (!Plotly) return;
    clearTimeout(this.leftOver);
    const begin = performance.now();
    const waiting = this.charts.filter((chart) => chart.drawable).sort((a, b) => a.drawnAt - b.drawnAt);
    const fits = (chart) => performance.now() - begin + chart.cost < CHARTS_MS;
    do waiting.shift()?.draw(Plotly); while (waiting.length && fits(waiting[0]));
    if (waiting.length) this.leftOver = setTimeout(() => this.schedule(), this.status.state === "running" ? 150 : 0);
  }

  readTheme() {
    const style = getComputedStyle(this.root);
    const [r, g, b] = style.color.match(/[\d.]+/g).map(Number);
    this.root.classList.toggle("rv-dark", 0.3 * r + 0.6 * g + 0.1 * b > 128);
    const of = (name) => style.getPropertyValue(name).trim();
    const before = JSON.stringify(this.theme);
    const mixed = (part) => `rgba(${r},${g},${b},${part})`;
    this.theme = {
      text: style.color, muted: mixed(0.76), grid: mixed(0.1), line: mixed(0.3), background: of("--st-background-color") || "#fff",
      font: of("--st-font") || style.fontFamily, lanes: SYMBOLS.map((_, i) => of(`--rv-lane-${i}`)),
    };
    if (JSON.stringify(this.theme) !== before) this.charts.forEach((chart) => (chart.stale = true));
  }

  drawStatus() {
    const { state, step, speed } = this.status;
    const limit = this.status.limit ?? this.race?.limit;
    setText(this.words.state, this.text[`state_${state}`] ?? "");
    setText(this.words.step, limit ? fill(this.text.step_of, { step: this.count(step), limit: this.count(limit) }) : "");
    setText(this.words.speed, state === "running" && isNumber(speed) ? fill(this.text.speed, { speed: this.count(speed) }) : "");
    setText(this.words.connection, this.connection === "lost" ? this.text.connection_lost : "");
    setAttribute(this.bar, "style", `width:${limit ? (100 * Math.min(1, step / limit)).toFixed(2) : 0}%`);
  }

  drawNotice() {
    const { state, lane, step, reason } = this.status;
    const words = { refused: this.text.refused, gone: this.text.gone }[this.connection]
      ?? { diverged: this.text.diverged, failed: this.text[`failed_${reason}`] ?? this.text.failed }[state];
    this.notice.hidden = !words;
    if (words) setText(this.notice, fill(words, { lane: this.laneName(lane ?? 0), step: this.count(this.status.diverged_at ?? step), reason: reason ?? "" }));
  }

  drawLane(chain, i) {
    const lane = this.lanes[i];
    chain.build(lane);
    if (chain.svg) chain.draw(lane, { pointed: this.pointed?.block ?? null, selected: this.selected });
    const { facts, training, heldOut } = this.rowWords[i];
    const { text } = this;
    const known = [
      fill(text.layers, { count: lane.depth }),
      fill(text.parameters, { count: this.short(lane.parameters) }),
      fill(text.multiply_adds, { count: this.short(lane.multiply_adds) }),
      ...(lane.speed ? [fill(text.speed, { speed: this.count(lane.speed) })] : []),
    ];
    setText(facts, known.join(" · "));
    setText(training, lane.diverged ? text.state_diverged : percent(this.recent(lane.points.accuracy)));
    setText(heldOut, percent(last(lane.probes.accuracy)));
  }

  drawScores({ points, probes, diverged }, i) {
    const { text, rowWords } = this;
    const known = [
      diverged ? text.state_diverged : percent(this.recent(points.accuracy)), percent(last(probes.accuracy)),
      scientific(last(probes.weight_norm)), scientific(last(probes.ratio)), fixed(last(probes.cosine), 3),
    ];
    known.forEach((words, column) => setText(rowWords[i][column], words));
  }

  /** The mean of the last few batches: one batch alone jumps too much to be read. */
  recent(values) {
    return averageBins(values.slice(-5), 5)[0] ?? null;
  }

  blockFacts(lane, k) {
    const block = lane.blocks[k];
    if (!block) return null;
    return {
      shape: block.in === block.out ? block.out : `${block.in} → ${block.out}`,
      gradient_norm: scientific(lane.gradient?.[2 * k + 2]),
      ratio: scientific(lane.ratio?.[k]),
      share: percent(lane.share?.[k]),
      cosine: fixed(lane.cosine?.[k], 3),
    };
  }

  blockTitle(k) {
    return [fill(this.text.block, { number: k + 1 }), fill(this.text.block_layers, { first: 2 * k + 2, second: 2 * k + 3 })];
  }

  drawTooltip() {
    const { pointed } = this;
    const facts = pointed && this.lanes[pointed.lane] ? this.blockFacts(this.lanes[pointed.lane], pointed.block) : null;
    this.tooltip.hidden = !facts;
    if (!facts) return;
    const [title, layers] = this.blockTitle(pointed.block);
    const rows = Object.entries(facts).flatMap(([name, value]) => [html("dt", {}, this.text[name]), html("dd", {}, value)]);
    this.tooltip.replaceChildren(html("p", {}, html("b", {}, title), ` ${this.laneName(pointed.lane)}`), html("p", {}, layers), html("dl", {}, ...rows));
    const { node, face } = this.chains[pointed.lane].blocks[pointed.block];
    const [box, frame] = [face.getBoundingClientRect(), this.root.getBoundingClientRect()];
    const left = box.left + box.width / 2 - frame.left - this.tooltip.offsetWidth / 2;
    this.tooltip.style.left = `${Math.max(0, Math.min(left, frame.width - this.tooltip.offsetWidth))}px`;
    this.tooltip.style.top = `${box.bottom - frame.top + 28}px`;
    setAttribute(node, "aria-label", `${title}. ${layers}. ${Object.entries(facts).map(([name, value]) => `${this.text[name]}: ${value}`).join(". ")}`);
  }

  drawDetails() {
    const k = this.selected;
    this.details.hidden = k === null;
    if (k === null) return;
    const facts = this.lanes.map((lane) => this.blockFacts(lane, k));
    const key = JSON.stringify([k, facts, this.spokenIn]);
    if (key === this.detailsKey) return;
    this.detailsKey = key;
    if (!this.detailsTable) this.buildDetails();
    setText(this.detailsTitle, this.blockTitle(k).join(" · "));
    setText(this.detailsClose, this.text.close);
    this.detailsTable.parentElement.setAttribute("aria-label", this.detailsTitle.textContent);
    const columns = ["shape", "gradient_norm", "ratio", "share", "cosine"];
    const head = html("tr", {}, html("td"), ...columns.map((name) => html("th", { scope: "col" }, this.text[name])));
    const rows = facts.map((fact, i) => html("tr", {}, html("th", { scope: "row" }, this.swatch(i), this.laneName(i)), ...columns.map((name) => html("td", {}, fact?.[name] ?? "–"))));
    this.detailsTable.replaceChildren(html("thead", {}, head), html("tbody", {}, ...rows));
  }

  buildDetails() {
    this.detailsTitle = html("h3");
    this.detailsClose = html("button", { type: "button" });
    this.detailsClose.addEventListener("click", () => this.escape());
    this.detailsTable = html("table");
    this.details.replaceChildren(html("div", { class: "rv-chart-head" }, this.detailsTitle, this.detailsClose), html("div", { class: "rv-table", tabindex: 0, role: "group" }, this.detailsTable));
  }

  /** The summary in words, for those who listen: at each change of state, else every five seconds. */
  speak() {
    const now = performance.now();
    const { state, step } = this.status;
    if (!this.race || (this.summary?.state === state && (this.summary.step === step || now - this.summary.at < SUMMARY_MS))) return;
    this.summary = { state, step, at: now };
    const lanes = this.lanes.map((lane, i) => fill(this.text.summary_lane, {
      lane: this.laneName(i), accuracy: percent(this.recent(lane.points.accuracy)), gradient: scientific(lane.gradient?.[0]),
    }));
    const notice = this.notice.hidden ? [] : [this.notice.textContent];
    setText(this.spoken, [this.text[`state_${state}`], this.words.step.textContent, ...notice, ...lanes].join(this.text.sentence_end));
  }

  /**
   * The page's buttons were drawn for a state. Where the race has left it by itself, ask for them to be drawn again; where
   * the server no longer has it, for another race, until there is one: Streamlit may find its server later than the feed.
   */
  compareState(wait = SETTLE_MS) {
    this.comparing ??= setTimeout(() => {
      this.comparing = undefined;
      const state = this.connection === "gone" ? "gone" : this.status.state;
      if (state && state !== this.data.state) this.tell?.(state);
      if (state === "gone") this.compareState(AGAIN_MS);
    }, wait);
  }

  dispose() {
    this.gone = true;
    clearTimeout(this.comparing);
    cancelAnimationFrame(this.frame);
    this.feed.dispose();
    this.sizes.disconnect();
    this.sight.disconnect();
    for (const name of ["pointerup", "pointercancel"]) window.removeEventListener(name, this.release);
    this.charts.forEach((chart) => chart.end());
  }
}

// ---- one board per parent element -------------------------------------------------------------

const boards = new WeakMap();

export default function showBoard({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".rv-board");
  let kept = boards.get(parentElement);
  if (!kept || kept.board.root !== root || kept.board.gone) {
    kept?.board.dispose();
    kept = { board: new Board(root), calls: 0 };
    boards.set(parentElement, kept);
  }
  kept.calls += 1;
  kept.board.update(data);
  kept.board.tell = (state) => setTriggerValue("settled", state);
  const call = kept.calls;
  // Streamlit may clean up after a call that a newer one has overtaken: only the newest call may end the board.
  return () => setTimeout(() => call === kept.calls && kept.board.dispose(), 50);
}
