/* The live board: a race of nets, drawn while it runs.
 *
 * The server pushes a snapshot, then about ten deltas a second, over a WebSocket; this module keeps
 * the newest state and draws it once per animation frame. Streamlit calls the default export again
 * on every rerun, so a board is kept per parent element: words, theme and feed are exchanged in
 * place and a chart, once mounted, stays (its zoom with it). All words come from `data.text`.
 * Its parts are given the board, and know of it what they draw; they do not know each other.
 */

import { readTheme, SYMBOLS } from "./colour.js";
import { Details, Tooltip } from "./facts.js";
import { Feed } from "./feed.js";
import { Grid, loadPlotly } from "./grid.js";
import { buildKey, buildLegend } from "./legend.js";
import { Rows } from "./rows.js";
import { addNews, startLane } from "./series.js";
import { Status } from "./status.js";
import { html, part, scalable, setText } from "./tools.js";

const SETTLE_MS = 300;
const FOLLOW_MS = 1200;
const AGAIN_MS = 3000;
const SELDOM_MS = 12000;
const TURN_MS = 1500; // from Back or Forward until Streamlit says that it draws the page

export class Board {
  /** `makeSource` gives what tells this board of a race: a feed, or a film. */
  constructor(root, makeSource) {
    Object.assign(this, { root, race: null, lanes: [], looks: [], selected: null, pointed: null, connection: "" });
    this.status = { state: "", step: 0 }; // until the feed tells: a race that is paused is not called ready
    Object.assign(root.dataset, { mounts: 0, frames: 0, step: 0, state: "", seq: "", connection: "" });
    this.build();
    this.source = makeSource(this);
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(root);
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.escape());
    this.full = false; // whether the server has refused to take one more live change
    this.paper = matchMedia("print");
    this.turned = () => this.print(this.paper.matches);
    this.paper.addEventListener("change", this.turned);
    this.wentBack = () => { this.quietFrom = performance.now() + TURN_MS; };
    window.addEventListener("popstate", this.wentBack);
  }

  build() {
    this.heading = html("h2", { class: "rv-hidden" });
    this.told = new Status(this);
    this.rows = new Rows(this);
    this.key = part("key");
    this.details = new Details(this);
    this.legend = part("legend", "ul");
    this.grid = new Grid(this);
    this.tooltip = new Tooltip(this);
    this.root.replaceChildren(
      this.heading, this.told.line, this.told.progress, this.told.notice, this.rows.node, this.key, this.details.node,
      this.legend, this.grid.node, this.tooltip.node, this.told.spoken,
    );
  }

  // -- what Streamlit tells: words, names, feed

  update(data) {
    this.data = data;
    const spoken = JSON.stringify([data.text, data.language, data.lanes, data.charts, data.chains]);
    Object.assign(this, { text: data.text, language: data.language.replace("_", "-"), looks: data.lanes });
    this.grid.choose(data.charts);
    if (spoken !== this.spokenIn) this.relabel();
    this.spokenIn = spoken;
    this.source.follow(data.feed);
    loadPlotly(data.plotly).then(() => this.refresh(), () => {}); // without it there are the chains; the next call asks again
    this.refresh();
  }

  relabel() {
    this.root.setAttribute("aria-label", this.text.board_label);
    this.root.setAttribute("lang", this.language);
    setText(this.heading, this.text.board_label);
    this.grid.charts.forEach((chart) => chart.relabel());
    this.stamp = (this.stamp ?? 0) + 1;
    this.rows.build();
    this.key.hidden = !this.data.chains;
    this.key.replaceChildren(...buildKey(this));
    this.legend.replaceChildren(...buildLegend(this));
    this.told.summary = null;
  }

  // -- what the server tells: the race

  receive(message) {
    if (message.type === "full") return this.refuse();
    if (message.status.revision !== this.status.revision) this.full = false;
    this.status = message.status;
    this.compareState();
    if (message.type === "snapshot") this.restart(message.race);
    message.lanes.forEach((news, i) => this.lanes[i] && addNews(this.lanes[i], news));
    this.seq = message.seq;
    this.refresh();
  }

  restart(race) {
    const same = this.race?.id === race.id && this.status.step >= this.step;
    this.race = race;
    this.lanes = race.lanes.map(startLane);
    if (!same) this.grid.charts.forEach((chart) => chart.forget());
    if (this.selected >= this.blockCount()) this.selected = null;
    if (this.rows.words.length !== this.lanes.length) this.rows.build();
  }

  connectionChanged(connection) {
    this.connection = connection;
    this.compareState();
    this.schedule();
  }

  /**
   * The page's widgets were drawn for a state, and for a revision of the race's settings. Where the race has left them, by
   * itself or by another tab, ask for them to be drawn again; where the server no longer has it, for another race. Until it is
   * so, as what is told may be lost: Streamlit may find its server later than the feed. More and more seldom, and not while
   * it draws the page: to ask breaks that off, and sends the widgets as they were before.
   */
  compareState() {
    const { state: told, revision: at } = this.status;
    const settingsOnly = told === this.data?.state && at !== this.data?.revision
      && this.cutAt !== this.data?.revision; // mostly the page's own doing, being drawn; not where this board has cut
    this.comparing ??= setTimeout(() => {
      this.comparing = undefined;
      if (this.isBeingDrawn()) {
        this.compareState();
        return;
      }
      const { state, revision } = this.connection === "gone" ? { state: "gone" } : this.status;
      const followed = !state || (state === this.data.state && revision === this.data.revision);
      this.ask(followed ? null : `${state} ${revision}`);
      if (!followed) this.compareState();
    }, settingsOnly ? FOLLOW_MS : SETTLE_MS);
  }

  /** Whether Streamlit draws the page, or is about to: after Back it says so only when its server has answered. */
  isBeingDrawn() {
    const script = document.querySelector("[data-testid=stApp]")?.dataset.testScriptState ?? "notRunning";
    return script !== "notRunning" || performance.now() < (this.quietFrom ?? 0);
  }

  ask(wanted) {
    const [now, again] = [performance.now(), wanted === this.asked];
    if (wanted && !(again && now < this.patientUntil)) {
      this.patience = again ? Math.min(2 * this.patience, SELDOM_MS) : AGAIN_MS;
      this.patientUntil = now + this.patience;
      this.tell?.(wanted);
    }
    this.asked = wanted;
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

  /** Whether this board may cut a lane's shortcuts, and the lane has any. */
  canCut(lane) {
    return Boolean(this.data.cutting && this.lanes[lane]?.cuts);
  }

  /** Cut the shortcut of one block of a lane, or mend it, from the next step on. */
  cut(lane, block) {
    if (!this.canCut(lane)) return;
    this.cutAt = this.data.revision;
    this.source.send({ type: "cut", lane, block, cut: !this.lanes[lane].cuts.includes(block) });
  }

  refuse() {
    this.full = true;
    this.schedule();
  }

  escape() {
    Object.assign(this, { selected: null, pointed: null });
    this.refresh();
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

  // -- drawing: once per animation frame, the newest state only

  refresh(charts = this.grid.charts) {
    for (const chart of charts) chart.stale = true;
    this.schedule();
  }

  resized() {
    if (this.paper.matches) return; // drawn for the screen's width, and scaled
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
    this.drawTheme();
    this.told.draw();
    this.rows.draw();
    this.details.draw();
    this.tooltip.draw();
    this.grid.draw(window.Plotly);
    this.told.speak();
    this.step = this.status.step;
    const drawn = { frames: Number(this.root.dataset.frames) + 1, step: this.status.step, state: this.status.state, seq: this.seq ?? "", connection: this.connection };
    Object.assign(this.root.dataset, drawn, { drawMs: (performance.now() - begin).toFixed(1), selected: this.selected === null ? "" : this.selected + 1 });
    window.__boardFrames?.push(performance.now());
  }

  /** All that is stale or out of sight is drawn before it is printed, at once: paper does not wait for a frame. */
  print(onPaper) {
    if (onPaper) this.draw();
    this.grid.charts.forEach((chart) => chart.print(window.Plotly, onPaper));
    this.rows.chains.forEach(({ svg: picture }) => picture && scalable(picture, onPaper));
  }

  drawTheme() {
    const theme = readTheme(this.root);
    if (JSON.stringify(theme) !== JSON.stringify(this.theme)) this.grid.charts.forEach((chart) => (chart.stale = true));
    this.theme = theme;
  }

  dispose() {
    this.gone = true;
    clearTimeout(this.comparing);
    cancelAnimationFrame(this.frame);
    this.source.dispose();
    this.sizes.disconnect();
    this.paper.removeEventListener("change", this.turned);
    window.removeEventListener("popstate", this.wentBack);
    this.grid.end();
  }
}

const boards = new WeakMap();
const listen = (board) => new Feed((message) => board.receive(message), (connection) => board.connectionChanged(connection));

/** One board per parent element. Returns what ends it. */
export default function showBoard({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".rv-board");
  let kept = boards.get(parentElement);
  if (!kept || kept.board.root !== root || kept.board.gone) {
    kept?.board.dispose();
    kept = { board: new Board(root, listen), calls: 0 };
    boards.set(parentElement, kept);
  }
  kept.calls += 1;
  kept.board.update(data);
  kept.board.tell = (state) => setTriggerValue("settled", state);
  const call = kept.calls;
  // Streamlit may clean up after a call that a newer one has overtaken: only the newest call may end the board.
  return () => setTimeout(() => call === kept.calls && kept.board.dispose(), 50);
}
