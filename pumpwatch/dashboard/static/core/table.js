/** A table that is changed in place: sorted by its heads, walked through by keys, hundreds of rows without flicker. */

import { el, keyed } from "./dom.js";

export class Table {
  /**
   * `columns`: each `{ id, label, title, class, order, make(td), show(td, row) }`: `make` is called once for a cell, `show` whenever
   * the row has changed; `order` is what `onOrder` is given when its head is chosen (none: it cannot be sorted by).
   * `key(row)` names a row, `href(row)` is where it leads (or null), `caption` says what the table is, for those who do not see it.
   */
  constructor({ columns, key, href = () => null, caption, order = null, onOrder = () => {}, empty = "Nothing yet." }) {
    this.columns = columns;
    this.key = key;
    this.href = href;
    this.shown = new WeakMap();
    this.heads = new Map();
    this.body = el("tbody");
    this.empty = el("p", { class: "empty", hidden: true }, empty);
    const heads = columns.map((column) => this.head(column, onOrder));
    const table = el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, heads)), this.body);
    this.element = el("div", { class: "scroll", tabIndex: -1 }, table, this.empty);
    this.body.addEventListener("keydown", (event) => this.walk(event));
    this.body.addEventListener("click", (event) => this.open(event));
    this.setOrder(order);
  }

  head(column, onOrder) {
    const inner = column.order
      ? el("button", { type: "button", title: column.title ?? "", on: { click: () => onOrder(column.order) } }, column.label)
      : el("span", { title: column.title ?? "" }, column.label);
    const head = el("th", { scope: "col", class: column.class }, inner);
    if (column.order) this.heads.set(column.order, head);
    return head;
  }

  /** Mark by what it is sorted now, and which way. */
  setOrder(order, isDescending = true) {
    for (const [name, head] of this.heads) {
      if (name === order) head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  setEmpty(text) {
    this.empty.textContent = text;
  }

  /** Show these rows, in this order. A row that is the same object as before is not touched. */
  render(rows) {
    keyed(this.body, rows, this.key, (row) => this.make(row), (tr, row) => this.update(tr, row));
    this.empty.hidden = rows.length > 0;
  }

  make(row) {
    const cells = this.columns.map((column) => {
      const cell = el("td", { class: column.class, "data-label": column.label });
      column.make?.(cell, row);
      return cell;
    });
    return el("tr", { tabIndex: this.href(row) ? 0 : -1 }, cells);
  }

  update(tr, row) {
    if (this.shown.get(tr) === row) return;
    this.shown.set(tr, row);
    this.columns.forEach((column, place) => column.show(tr.cells[place], row));
  }

  /** Show again what depends on the time, such as ages: `ids` of columns. */
  refresh(ids) {
    const places = this.columns.map((column, place) => [column, place]).filter(([column]) => ids.includes(column.id));
    for (const tr of this.body.rows) {
      const row = this.shown.get(tr);
      if (row) for (const [column, place] of places) column.show(tr.cells[place], row);
    }
  }

  walk(event) {
    const tr = event.target.closest("tr");
    if (!tr || event.altKey || event.ctrlKey || event.metaKey || event.target !== tr) return;
    const next = { ArrowDown: tr.nextElementSibling, j: tr.nextElementSibling, ArrowUp: tr.previousElementSibling, k: tr.previousElementSibling };
    const ends = { Home: this.body.firstElementChild, End: this.body.lastElementChild };
    if (event.key === "Enter") this.follow(tr, event.shiftKey);
    else if (event.key in next || event.key in ends) (next[event.key] ?? ends[event.key])?.focus();
    else return;
    event.preventDefault();
  }

  open(event) {
    const tr = event.target.closest("tr");
    if (!tr || event.target.closest("a, button, input") || getSelection()?.toString()) return;
    this.follow(tr, event.ctrlKey || event.metaKey);
  }

  follow(tr, isNewTab) {
    const row = this.shown.get(tr);
    const href = row && this.href(row);
    if (!href) return;
    if (isNewTab) window.open(href, "_blank", "noopener");
    else location.assign(href);
  }
}
