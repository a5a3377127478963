/* What Streamlit's file uploaders say, in the page's language, why they refuse a file (page.css has it seen), and the role
 * that their boxes should have: as they come, they claim to be mere decoration and have a label all the same. They come and go, so all are looked at after each change.
 */

const BOX = "[data-testid=stFileUploaderDropzone]";
let text;
let observer;

function write(node, words) {
  if (node && node.nodeType === Node.TEXT_NODE && node.data !== words) node.data = words;
}

function mend() {
  for (const box of document.querySelectorAll(BOX)) {
    if (box.getAttribute("role") !== "group") box.setAttribute("role", "group");
    write(box.querySelector("button p")?.firstChild, text.choose);
    const limit = box.querySelector("[data-testid=stFileUploaderDropzoneInstructions] span")?.firstChild;
    const found = limit?.data?.match(/^(\d+)MB per file/);
    if (found) write(limit, text.limit.replace("{high}", found[1]));
  }
  for (const said of document.querySelectorAll("[data-testid=stFileChip] [role=alert]")) {
    const words = explain(said.textContent, said.parentElement.getAttribute("aria-label"));
    if (!words) continue;
    write(said.lastChild, words);
    if (said.firstChild !== said.lastChild) write(said.firstChild, ""); // "Error: ", a text of its own
  }
}

/** Why Streamlit refuses a file, in the page's words; nothing where it says something else, or these words already. */
function explain(said, file) {
  const large = said.match(/File must be ([\d.]+)MB or smaller\.$/);
  if (large) return text.large.replace("{high}", Number(large[1]));
  if (!said.endsWith("files are not allowed.")) return undefined;
  return /\.hei[cf],/i.test(file) ? text.heic : text.refused;
}

export default function mendUploads({ data }) {
  text = data.text;
  mend();
  observer?.disconnect();
  observer = new MutationObserver(mend);
  observer.observe(document.body, { childList: true, subtree: true });
  return () => observer.disconnect();
}
