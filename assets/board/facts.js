/* What is known of one block: beside it, where a reader points at it; and of all lanes in a table, where it is selected. */

import { laneTable } from "./legend.js";
import { fill, fixed, html, part, percent, scientific, setAttribute, setText } from "./tools.js";

const FACTS = ["shape", "gradient_norm", "ratio", "share", "cosine"];

function blockFacts(lane, k) {
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

function blockTitle({ text }, k) {
  return [fill(text.block, { number: k + 1 }), fill(text.block_layers, { first: 2 * k + 2, second: 2 * k + 3 })];
}

export class Tooltip {
  constructor(board) {
    Object.assign(this, { board, node: part("tooltip", "div", { "aria-hidden": "true" }) });
    this.node.hidden = true;
  }

  draw() {
    const { board, node: tooltip } = this;
    const { pointed, text } = board;
    const facts = pointed && board.lanes[pointed.lane] ? blockFacts(board.lanes[pointed.lane], pointed.block) : null;
    tooltip.hidden = !facts;
    if (!facts) return;
    const [title, layers] = blockTitle(board, pointed.block);
    const rows = Object.entries(facts).flatMap(([name, value]) => [html("dt", {}, text[name]), html("dd", {}, value)]);
    const cut = board.lanes[pointed.lane].cuts?.includes(pointed.block) ? [text.is_cut] : [];
    const lines = [layers, ...cut].map((words) => html("p", {}, words));
    tooltip.replaceChildren(html("p", {}, html("b", {}, title), ` ${board.laneName(pointed.lane)}`), ...lines, html("dl", {}, ...rows));
    const { node, face } = board.rows.chains[pointed.lane].blocks[pointed.block];
    const [box, frame] = [face.getBoundingClientRect(), board.root.getBoundingClientRect()];
    const left = box.left + box.width / 2 - frame.left - tooltip.offsetWidth / 2;
    tooltip.style.left = `${Math.max(0, Math.min(left, frame.width - tooltip.offsetWidth))}px`;
    tooltip.style.top = `${box.bottom - frame.top + 28}px`;
    const known = Object.entries(facts).map(([name, value]) => `${text[name]} ${value}`);
    setAttribute(node, "aria-label", [title, layers, ...cut, ...known].join(text.sentence_end));
  }
}

export class Details {
  constructor(board) {
    Object.assign(this, { board, node: part("details", "section"), title: html("h3"), table: html("table") });
    this.close = html("button", { type: "button" });
    this.close.addEventListener("click", () => board.escape());
    this.frame = html("div", { class: "rv-table", tabindex: 0, role: "group" }, this.table);
    this.head = html("div", { class: "rv-chart-head" }, this.title, this.close);
    this.node.hidden = true;
  }

  draw() {
    const { board } = this;
    const k = board.selected;
    this.node.hidden = k === null;
    if (k === null) return;
    const facts = board.lanes.map((lane) => blockFacts(lane, k));
    const drawn = JSON.stringify([k, facts, board.spokenIn]);
    if (drawn === this.drawn) return;
    if (!this.drawn) this.node.append(this.head, this.frame);
    this.drawn = drawn;
    setText(this.title, blockTitle(board, k).join(" · "));
    setText(this.close, board.text.close);
    this.frame.setAttribute("aria-label", this.title.textContent);
    const cells = facts.map((fact) => FACTS.map((name) => html("td", {}, fact?.[name] ?? "–")));
    this.table.replaceChildren(...laneTable(board, FACTS, cells));
  }
}
