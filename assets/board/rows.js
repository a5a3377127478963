/* The lanes, one below the other: a lane's name and facts, its two accuracies, its chain; or, without chains, a table. */

import { Chain } from "./chain.js";
import { laneTable, swatch } from "./legend.js";
import { recent } from "./series.js";
import { fill, fixed, html, last, part, percent, scientific, setText } from "./tools.js";

const SCORES = ["training_accuracy", "held_out_accuracy", "weight_norm", "ratio", "cosine"];

export class Rows {
  constructor(board) {
    Object.assign(this, { board, node: part("lanes"), chains: [], words: [] });
  }

  build() {
    const { data, lanes, looks } = this.board;
    const count = lanes.length || looks.length;
    if (data.chains) this.buildLanes(count);
    else this.buildScores(count);
  }

  buildLanes(count) {
    const { board } = this;
    const { text } = board;
    this.chains = Array.from({ length: count }, (_, i) => this.chains[i] ?? new Chain(board, i));
    this.words = this.chains.map(() => ({
      facts: html("p", { class: "rv-facts" }), training: html("b"), heldOut: html("b"),
    }));
    this.node.replaceChildren(...this.chains.map((chain, i) => {
      const { facts, training, heldOut } = this.words[i];
      const title = html("h3", {}, swatch(board, i), board.laneName(i));
      const score = (words, value, kind) => html("p", { class: kind }, html("span", {}, words), value);
      const scores = html("div", { class: "rv-scores" }, score(text.training_accuracy, training, "rv-big"), score(text.held_out_accuracy, heldOut, "rv-small"));
      return html("section", { class: "rv-lane", "data-testid": `lane-${i}` }, html("div", { class: "rv-lane-head" }, html("div", {}, title, facts), scores), chain.scroll);
    }));
  }

  buildScores(count) {
    const { text } = this.board;
    this.chains = [];
    this.words = Array.from({ length: count }, () => SCORES.map(() => html("td")));
    const table = html("table", {}, ...laneTable(this.board, SCORES, this.words));
    const label = `${text.training_accuracy}, ${text.held_out_accuracy}, …`;
    this.node.replaceChildren(html("div", { class: "rv-table rv-scoreboard", tabindex: 0, role: "group", "aria-label": label }, table));
  }

  draw() {
    const { data, lanes } = this.board;
    lanes.forEach((lane, i) => (data.chains ? this.drawLane(lane, i) : this.drawScores(lane, i)));
  }

  drawLane(lane, i) {
    const { board, chains } = this;
    const { text } = board;
    chains[i].build(lane);
    if (chains[i].svg) chains[i].draw(lane, { pointed: board.pointed?.block ?? null, selected: board.selected });
    const { facts, training, heldOut } = this.words[i];
    const known = [
      fill(text.layers, { count: lane.depth }),
      fill(text.parameters, { count: board.short(lane.parameters) }),
      fill(text.multiply_adds, { count: board.short(lane.multiply_adds) }),
    ];
    setText(facts, known.join(" · "));
    setText(training, percent(recent(lane.points.accuracy)));
    setText(heldOut, percent(last(lane.probes.accuracy)));
  }

  drawScores({ points, probes }, i) {
    const known = [
      percent(recent(points.accuracy)), percent(last(probes.accuracy)),
      scientific(last(probes.weight_norm)), scientific(last(probes.ratio)), fixed(last(probes.cosine), 3),
    ];
    known.forEach((words, column) => setText(this.words[i][column], words));
  }
}
