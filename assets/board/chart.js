/* One chart: title, modes and tools around a Plotly plot. Once mounted it stays, its zoom with it. */

import { listMarks, withMarks } from "./marks.js";
import { fill, html, scalable, setAttribute, setText, svg } from "./tools.js";

const ICONS = {
  reset: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5v3h3",
  download: "M8 2v8M4.8 7 8 10.2 11.2 7M3 13.5h10",
  numbers: "M2.5 3h11v10h-11zM2.5 6.5h11M2.5 9.7h11M6.5 3v10",
};

export class Chart {
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
    this.modes = html("div", { class: "rv-segments", role: "group" }, ...this.buttons);
    const tools = html("div", { class: "rv-tools" }, this.reset, this.download, this.numbers);
    const head = html("div", { class: "rv-chart-head" }, this.title, tools, ...(spec.modes.length ? [this.modes] : []));
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
    const bare = this.spec.figure(this.board, this.mode, this);
    const figure = this.overSteps ? withMarks(this.board, this.plot.clientWidth, bare) : bare;
    const { status, text } = this.board;
    const most = Math.max(0, ...figure.traces.map(({ y }) => y.length));
    this.hint.hidden = most > (status.state === "ready" ? 1 : 0); // one point is the start, which Play leads away from
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

  get overSteps() {
    return this.spec.x === "axis_step";
  }

  spokenTitle() {
    const { text } = this.board;
    const title = `${text[`${this.spec.id}_title`]}${this.spec.modes.length ? ` · ${text[`mode_${this.mode}`]}` : ""} · ${text[this.spec.x]}`;
    return [title, ...(this.overSteps ? listMarks(this.board) : [])].join(text.sentence_end);
  }

  drawNote() {
    const lines = this.spec.note?.(this.board, this.mode) ?? [];
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

  /** For paper, or again for the screen: drawn whether in sight or not, and as wide as its place turns out to be. */
  print(Plotly, onPaper) {
    if (onPaper && Plotly && this.plot.clientWidth > 0) this.draw(Plotly);
    this.plot.querySelectorAll(".main-svg").forEach((node) => scalable(node, onPaper));
  }

  end() {
    if (this.mounted) window.Plotly?.purge(this.plot);
  }

  clicked(x) {
    const block = { layers: Math.floor(x / 2) - 1, blocks: x - 1 }[this.spec.id];
    if (block >= 0 && block < this.board.blockCount()) this.board.select(block);
  }
}
