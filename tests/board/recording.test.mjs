// The player's scripts without a browser: the recording's format, what stands at a step, the pace of playing.

import assert from "node:assert/strict";
import { test } from "node:test";

import { findNewest, readArray, Recording } from "../../assets/board/recording.js";
import { scoresOf, thinned } from "../../assets/board/series.js";
import { advance, paceAt } from "../../assets/board/transport.js";

const write = (rows) => {
  const flat = rows.flat();
  const data = Buffer.from(new Float32Array(flat).buffer).toString("base64");
  return { shape: Array.isArray(rows[0]) ? [rows.length, rows[0].length] : [rows.length], data };
};

const steps = (count, make) => Array.from({ length: count }, (_, i) => make(i));

/** A lane of `count` rows whose numbers say where they stand: loss 0, 1, 2 … and probes every ten steps. */
function makeLane(count, more = {}) {
  const probes = steps(Math.ceil(count / 10), (i) => 10 * i);
  const perBlock = (shift) => write(probes.map((step) => [step + shift, NaN]));
  return {
    net: { depth: 6, skip: true, blocks: [{}, {}] }, stages: [{ step: 0, skip: true }, { step: 12, skip: false }],
    watched: null, overflow: null, probe_step: probes,
    arrays: {
      loss: write(steps(count, (i) => i)), accuracy: write(steps(count, (i) => i / count)),
      gradient: write(steps(count, (i) => [i, i + 0.5])), test_loss: write(probes), test_accuracy: write(probes.map((step) => step / count)),
      weight_gradient: write(probes.map((step) => [step, step])), ratio: perBlock(1), share: perBlock(2), cosine: perBlock(3), weight_norm: perBlock(4),
    },
    ...more,
  };
}

const record = (...lanes) => new Recording({ race: { lanes: [] }, lanes });

test("an array is read as it was written, and what is not finite is null", () => {
  assert.deepEqual(readArray(write([1, 0.5, NaN, -Infinity])), [1, 0.5, null, null]);
  assert.deepEqual(readArray(write([[1, 2], [3, 4]])), [[1, 2], [3, 4]]);
  assert.equal(readArray(write([0.1]))[0], Math.fround(0.1));
});

test("the newest step that is not after another", () => {
  assert.deepEqual([-1, 0, 9, 10, 99].map((step) => findNewest([0, 10, 20], step)), [-1, 0, 0, 1, 2]);
});

test("at a step stands what was measured there, and nothing that came later", () => {
  const lane = record(makeLane(31)).at(17)[0];
  assert.equal(lane.step, 17);
  assert.equal(lane.points.step.at(-1), 17);
  assert.equal(lane.points.loss.length, 18);
  assert.deepEqual(lane.gradient, [17, 17.5]);
  assert.deepEqual([lane.probed, lane.probes.loss.at(-1)], [10, 10]);
  assert.deepEqual([lane.ratio, lane.cosine], [[11, null], [13, null]]);
  assert.equal(lane.probes.ratio.at(-1), 11); // the mean of the blocks that have one
  assert.deepEqual([lane.skip, record(makeLane(31)).at(11)[0].skip], [false, true]);
  assert.equal(scoresOf(lane).held_out_accuracy, Math.fround(10 / 31));
});

test("scrubbed there and back it is the same", () => {
  const recording = record(makeLane(31), makeLane(31));
  const first = JSON.stringify(recording.at(7));
  recording.at(30);
  recording.at(0);
  assert.equal(JSON.stringify(recording.at(7)), first);
});

test("a block that is watched gives the curves, not the mean", () => {
  const lane = makeLane(11, { watched: 0 });
  assert.equal(record(lane).at(10)[0].probes.ratio.at(-1), 11);
});

test("a lane that had to stop stays there, and says so from there on", () => {
  const recording = record(makeLane(31), makeLane(16, { overflow: "loss" }));
  assert.equal(recording.end, 30);
  assert.equal(recording.at(25)[1].points.step.at(-1), 15);
  assert.equal(recording.stopAt(14), null);
  assert.deepEqual(recording.stopAt(15), { lane: 1, diverged_at: 16, overflow: "loss" });
  assert.deepEqual(recording.stopAt(30), { lane: 1, diverged_at: 16, overflow: "loss" });
});

test("long curves are thinned for drawing, and keep their ends", () => {
  const lane = record(makeLane(9001)).at(9000)[0];
  const { x } = thinned(lane.points, "loss");
  assert.ok(x.length <= 400 && x[0] < 32 && x.at(-1) > 9000 - 32, `${x.length} ${x[0]} ${x.at(-1)}`);
});

test("by itself it plays slowly first and then faster, and a chosen speed is kept", () => {
  assert.deepEqual([0, 20, 100, 400, 2000].map((step) => paceAt("auto", step)), [5, 5, 25, 100, 100]);
  assert.equal(paceAt(30, 0), 30);
  assert.ok(Math.abs(advance(0, 10, 2.5) - 25) < 1e-9);
  const [four, twenty] = [advance(0, "auto", 4), advance(0, "auto", 20)];
  assert.ok(Math.abs(four - 20) < 0.5 && twenty > 300, `${four} ${twenty}`);
});
