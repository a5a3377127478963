/* The lanes, one below the other: a lane's name and facts, its two accuracies, its chain; or, without chains, a table. */

import { Chain } from "./chain.js";
import { laneTable, swatch } from "./legend.js";
import { numberBlocks } from "./marks.js";
import { scoresOf } from "./series.js";
import { fill, fixed, html, isNumber, part, percent, scientific, setText } from "./tools.js";

const SCORES = {
  training_accuracy: percent, held_out_accuracy: percent, weight_norm: scientific, ratio: scientific,
  cosine: (value) => fixed(value, 3),
};

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
      facts: html("p", { class: "rv-facts" }),
      training_accuracy: { now: html("b"), before: html("i") }, held_out_accuracy: { now: html("b"), before: html("i") },
    }));
    this.node.replaceChildren(...this.chains.map((chain, i) => {
      const { facts, ...numbers } = this.words[i];
      const title = html("h3", {}, swatch(board, i), board.laneName(i));
      const score = (name, kind) => html("p", { class: kind, title: text[`${name}_help`] }, html("span", {}, text[name]), numbers[name].now, numbers[name].before);
      const scores = html("div", { class: "rv-scores" }, score("training_accuracy", "rv-big"), score("held_out_accuracy", "rv-small"));
      return html("section", { class: "rv-lane", "data-testid": `lane-${i}` }, html("div", { class: "rv-lane-head" }, html("div", {}, title, facts), scores), chain.scroll);
    }));
  }

  buildScores(count) {
    const { text } = this.board;
    this.chains = [];
    const names = Object.keys(SCORES);
    this.words = Array.from({ length: count }, () => names.map(() => html("td")));
    const table = html("table", {}, ...laneTable(this.board, names, this.words));
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
    const { facts, ...numbers } = this.words[i];
    const known = [
      fill(text.layers, { count: lane.depth }),
      fill(text.parameters, { count: board.short(lane.parameters) }),
      fill(text.multiply_adds, { count: board.short(lane.multiply_adds) }),
    ];
    if (lane.cuts?.length) known.push(fill(text.cut_blocks, { blocks: numberBlocks(lane.cuts) }));
    setText(facts, known.join(" · "));
    const [now, before] = [scoresOf(lane), lane.scores_before];
    for (const [name, nodes] of Object.entries(numbers)) {
      setText(nodes.now, percent(now[name]));
      setText(nodes.before, before ? fill(text.before, { value: percent(before[name]) }) : "");
    }
    const old = isNumber(lane.probed) && lane.probed !== lane.step && board.status.state !== "running"; // in a recording
    if (old) setText(numbers.held_out_accuracy.before, fill(text.measured_at, { step: board.count(lane.probed) }));
  }

  drawScores(lane, i) {
    const [now, before] = [scoresOf(lane), lane.scores_before];
    Object.entries(SCORES).forEach(([name, write], column) => {
      const was = before ? ` (${fill(this.board.text.before, { value: write(before[name]) })})` : "";
      setText(this.words[i][column], write(now[name]) + was);
    });
  }
}
