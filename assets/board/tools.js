/* Small tools that know nothing of nets: nodes, words with values in them, numbers as they are written. */

const SVG = "http://www.w3.org/2000/svg";

function make(namespace, tag, attributes, children) {
  const node = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
export const html = (tag, attributes = {}, ...children) => make(null, tag, attributes, children);
export const svg = (tag, attributes = {}, ...children) => make(SVG, tag, attributes, children);

/** A part of the board, by whose name the style sheet and the tests know it. */
export const part = (name, tag = "div", attributes = {}) => html(tag, { class: `rv-${name}`, "data-testid": name, ...attributes });

/** Let a picture be drawn at any width, or at its own again. */
export function scalable(picture, yes) {
  if (yes) picture.setAttribute("viewBox", `0 0 ${picture.getAttribute("width")} ${picture.getAttribute("height")}`);
  else picture.removeAttribute("viewBox");
}

export function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** The sentence with its values; between Chinese words that meet, such as “37.3万 个参数”, there is no space (see text.py). */
export const fill = (sentence, values) => sentence
  .replace(/\{(\w+)\}/g, (_, name) => `\0${values[name] ?? ""}\0`)
  .replace(/([\u3001-\u303f\u4e00-\u9fff\uff01-\uff65])(?: \0|\0 )(?=[\u4e00-\u9fff])|\0/g, "$1");

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
export const last = (values) => values?.[values.length - 1] ?? null;
export const superscript = (n) => String(n).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);

/** 0.0421, 3.1, or 1.2×10⁻⁷ when the number is very small or very large. */
export function scientific(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 0.01 && size < 1000) return size < 100 ? value.toPrecision(2) : value.toFixed(0);
  const [mantissa, exponent] = value.toExponential(1).split("e");
  return `${mantissa}×10${superscript(Number(exponent))}`;
}
export const fixed = (value, digits) => (isNumber(value) ? value.toFixed(digits) : "–");

/** The sign behind a number, as the page's language sets it: 9 % in English, 9% in Chinese (see text.py). */
export const percentSign = () => (document.documentElement.lang.startsWith("zh") ? "%" : " %");
export const percent = (share) => (isNumber(share) ? `${(100 * share).toFixed(1)}${percentSign()}` : "–");

/** The smallest "round" number that is not below `value`. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value * 0.9999);
}
