/* What Streamlit's markup lacks. What is wider than its column, a table, a formula, code, is scrolled where it stands, also
 * by keyboard: it can be focused, and says what it is; what fits is left alone. And the list of pages, as the sidebar has it
 * on a phone, has sections among its items, which no list may have: so it claims to be none, and its links are links.
 */

const KINDS = {
  code: "[data-testid=stMain] [data-testid=stCode] pre",
  formula: "[data-testid=stMain] .katex-display",
  table: "[data-testid=stMain] [data-testid=stMarkdownContainer]:has(> table)",
};
const LIST = "[data-testid=stSidebarNavItems], [data-testid=stSidebarNavItems] li";
let text;
let watched;
let pending;

function mend() {
  pending = undefined;
  for (const part of document.querySelectorAll(LIST)) part.setAttribute("role", "presentation");
  for (const [kind, place] of Object.entries(KINDS)) {
    for (const area of document.querySelectorAll(place)) {
      if (area.scrollWidth > area.clientWidth + 1) {
        area.tabIndex = 0;
        area.setAttribute("role", "group");
        area.setAttribute("aria-label", text[kind]);
      } else if (area.getAttribute("role") === "group") {
        for (const name of ["tabindex", "role", "aria-label"]) area.removeAttribute(name);
      }
    }
  }
}

/** Once a frame at most, however much is drawn. */
function mendSoon() {
  pending ??= requestAnimationFrame(mend);
}

export default function mendMarkup({ data }) {
  text = data.text;
  mend();
  if (watched) return;
  watched = new MutationObserver(mendSoon);
  watched.observe(document.body, { childList: true, subtree: true });
  addEventListener("resize", mendSoon);
  document.addEventListener("toggle", mendSoon, true); // what an expander shows had no width before
}
