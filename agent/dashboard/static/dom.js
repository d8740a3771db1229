// Makes elements. What comes from the group is always text: nothing here, or anywhere on the page, parses markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [kind, listener] of Object.entries(value)) element.addEventListener(kind, listener);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// An HTML element: el("p", {class: "quiet"}, "text", another). Strings become text.
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// The same in a drawing.
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// A name, whose direction of writing does not turn round what stands beside it.
export function name(text) {
  return el("bdi", { class: "name" }, String(text));
}

// The same where there can be no element: between characters that set its direction apart, and without such of its own.
export function alone(text) {
  return `\u2068${String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}\u2069`;
}

const LONG = 220; // characters that are shown of a text before it is folded
const MOST = 20000; // characters that are shown at all

// A sentence of any length: a long one is folded.
export function sentence(text, key) {
  const whole = String(text).slice(0, MOST);
  if (whole.length <= LONG) return el("span", { class: "sentence", dir: "auto" }, whole);
  return el(
    "details",
    { class: "long", "data-key": key },
    el("summary", {}, el("span", { dir: "auto" }, `${whole.slice(0, LONG - 60)} …`)),
    el("p", { dir: "auto" }, whole),
  );
}

// Gives `section` new children if what they are made of has changed. What was open stays open, and who had the focus
// has it again.
export function render(section, content, make) {
  const made = JSON.stringify(content);
  if (section.dataset.made === made) return;
  section.dataset.made = made;
  const opened = new Set([...section.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key));
  const focused = section.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  section.replaceChildren(...[make()].flat());
  section.hidden = false;
  for (const one of section.querySelectorAll("details[data-key]")) one.open = opened.has(one.dataset.key);
  if (focused !== undefined) section.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}
