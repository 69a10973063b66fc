/** Making elements, and changing a list of them in place. Text goes in as text: nothing here takes HTML. */

/**
 * An element.
 *
 * Of `props`, `class`, `for`, `role`, `aria-*` and `data-*` are attributes, `on` holds listeners by event, `style` custom properties
 * by name, and everything else is set as a property. Children that are null or false are left out.
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  else if (name === "style") for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  else if (name === "class" || name === "for" || name === "role" || name === "scope" || /^(aria|data)-/.test(name)) {
    element.setAttribute(name, value === true ? "true" : value);
  } else element[name] = value;
}

function append(element, children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing; all of `attributes` are attributes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  append(element, children);
  return element;
}

/** Set an element's text, if it is another: what does not change must not flicker. Returns whether it was. */
export function write(element, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (element.textContent === wanted) return false;
  element.textContent = wanted;
  return true;
}

/** Put other children into an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const NODES = new WeakMap();

/**
 * Make the children of `parent` those of `items`, in this order, touching only what differs.
 *
 * `key(item)` names an item, `make(item)` is its element, and `update(element, item)` is called for new and old ones alike.
 */
export function keyed(parent, items, key, make, update) {
  const before = NODES.get(parent) ?? new Map();
  const now = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const name = key(item);
    if (now.has(name)) continue;
    const node = before.get(name) ?? make(item);
    update(node, item);
    now.set(name, node);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  for (const [name, node] of before) if (!now.has(name)) node.remove();
  NODES.set(parent, now);
}

/** Show one sentence above the page, or with null take it away. */
export function notice(text) {
  const box = document.getElementById("notice");
  if (!box) return;
  write(box, text);
  box.hidden = !text;
}
