/* Where shortcuts were cut and mended on the way: as lines in the curves over steps, and in words. */

import { fill } from "./tools.js";

const APART = 13; // pixels between two lines that both have words beside them
const SIDES = 64; // pixels of a chart's width beside its plot

export const numberBlocks = (blocks) => blocks.map((k) => k + 1).join(", ");

/** What was cut and mended in all lanes, up to where the race stands. */
export function marksOf({ lanes, status }) {
  return lanes.flatMap(({ marks = [] }, lane) =>
    marks.filter(([step]) => step <= status.step).map(([step, cut, mended]) => ({ lane, step, cut, mended })));
}

function tell(board, { lane, step, cut, mended }, sentences) {
  const values = { lane: board.laneName(lane), step: board.count(step) };
  const told = [cut, mended].flatMap((blocks, i) => (blocks.length ? [fill(sentences[i], { ...values, blocks: numberBlocks(blocks) })] : []));
  return told.join("; ");
}

/** Beside its line: which lane, its colour says. */
const label = (board, mark) => tell(board, mark, [board.text.mark_cut, board.text.mark_mended]);

/** For those who listen. */
export const say = (board, mark) => tell(board, mark, [board.text.said_cut, board.text.said_mended]);

/** A figure over steps with a line at each mark; of lines too close to each other the newer ones keep their words. */
export function withMarks(board, width, figure) {
  const marks = marksOf(board).sort((a, b) => b.step - a.step);
  if (!marks.length) return figure;
  const { theme } = board;
  const [low, high] = figure.x.range;
  const place = (step) => ((step - low) / (high - low)) * (width - SIDES);
  const shapes = marks.map(({ lane, step }) => ({
    type: "line", x0: step, x1: step, yref: "paper", y0: 0, y1: 1, line: { color: theme.lanes[board.look(lane).colour], width: 1.5, dash: "dot" },
  }));
  const told = [];
  for (const mark of marks) if (told.every(({ step }) => Math.abs(place(step) - place(mark.step)) >= APART)) told.push(mark);
  const annotations = told.map((mark) => ({
    x: mark.step, y: 1, yref: "paper", yanchor: "top", xshift: place(mark.step) < APART ? 8 : -8, textangle: -90, showarrow: false,
    text: label(board, mark), font: { size: 11, color: theme.text }, bgcolor: theme.background, opacity: 0.85, borderpad: 0,
  }));
  return { ...figure, shapes: [...(figure.shapes ?? []), ...shapes], annotations: [...(figure.annotations ?? []), ...annotations] };
}

/** What a picture with these lines is called, for those who do not see them. */
export const listMarks = (board) => marksOf(board).map((mark) => say(board, mark));
