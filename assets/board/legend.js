/* How a lane is known again: its swatch, the rows of tables that begin with it, the legend, and the key to the chains. */

import { SCALE, scaleColour } from "./colour.js";
import { html, superscript, svg } from "./tools.js";

/** A line and a mark as the charts draw them; of no lane, where `i` is null, the line alone. */
export function swatch(board, i, dash = "") {
  const { colour, dash: apart } = i === null ? {} : board.look(i);
  const shape = ["M9 4a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "M13-1l5 5-5 5-5-5z", "M9 0h8v8H9z", "M13-1l5 9H8z"][colour] ?? "";
  const style = i === null ? "" : `--rv-colour: var(--rv-lane-${colour})`;
  const line = svg("path", { class: "rv-swatch-line", d: "M0 4h26", "stroke-dasharray": apart ? "5 3" : dash });
  const mark = svg("path", { class: apart ? "rv-swatch-mark rv-open" : "rv-swatch-mark", d: shape });
  return svg("svg", { class: "rv-swatch", width: 26, height: 10, viewBox: "0 -1 26 10", "aria-hidden": "true", style }, line, mark);
}

/** Head and body of a table: a row a lane, whose `cells` are nodes; `columns` are the names of words. */
export function laneTable(board, columns, cells) {
  const head = html("tr", {}, html("td"), ...columns.map((name) => html("th", { scope: "col" }, board.text[name])));
  const rows = cells.map((row, i) => html("tr", {}, html("th", { scope: "row" }, swatch(board, i), board.laneName(i)), ...row));
  return [html("thead", {}, head), html("tbody", {}, ...rows)];
}

/** What colour and thickness of a chain's parts mean. */
export function buildKey({ text, data }) {
  const powers = Array.from({ length: 6 }, (_, i) => SCALE.low + 2 * i);
  const stops = Array.from({ length: 21 }, (_, i) => scaleColour(i / 20)).join(",");
  const ticks = powers.map((power) => html("span", {}, `10${superscript(power)}`));
  const bar = html("div", { class: "rv-scale-bar", style: `background:linear-gradient(90deg,${stops})` });
  const arc = (kind, width) => svg("svg", { class: "rv-key-arc", width: 30, height: 14, "aria-hidden": "true" },
    svg("path", { class: `rv-shortcut rv-${kind}`, d: "M2 13C2 -1 28 -1 28 13", style: `stroke-width:${width}` }));
  const entry = (words, ...arcs) => html("li", {}, ...arcs, words);
  return [
    html("div", { class: "rv-scale" }, html("p", {}, text.scale_title), bar, html("div", { class: "rv-ticks" }, ...ticks)),
    html("ul", {}, entry(text.key_share, arc("identity", 1.5), arc("identity", 5)), entry(text.key_zero_pad, arc("zero-pad", 2)), entry(text.key_projection, arc("projection", 3)), html("li", { class: "rv-press" }, data.cutting ? text.key_cut : text.key_click)),
  ];
}

/** The lanes of the charts; and, where no lane is dashed itself, what a dashed line is. */
export function buildLegend(board) {
  const { text, looks } = board;
  const item = (mark, words) => html("li", {}, mark, words);
  const styles = [item(swatch(board, null), text.training_batch), item(swatch(board, null, "5 3"), text.held_out_set)];
  const lanes = looks.map(({ name }, i) => item(swatch(board, i), name));
  return [...lanes, ...(looks.some(({ dash }) => dash) ? [] : styles)];
}
