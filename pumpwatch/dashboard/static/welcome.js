/** For whom there is nothing to see yet: what is missing, and what to do. */

import { get } from "./core/api.js";
import { el, fill, write } from "./core/dom.js";

const LOOK_MS = 2000;

/** Show the steps in place of the page, until there is something to see: then the page begins anew. */
export async function showWelcome(root) {
  document.querySelector("link[href='/static/system.css']") ?? document.head.append(stylesheet("/static/system.css"));
  for (;;) {
    let answer;
    try {
      answer = await get("/api/welcome");
    } catch (error) {
      fill(root, el("p", { class: "notice" }, error.message));
    }
    if (answer?.steps.find((step) => step.id === "database")?.done) {
      location.reload();
      return new Promise(() => {});
    }
    if (answer) show(root, answer.steps);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function stylesheet(href) {
  return el("link", { rel: "stylesheet", href });
}

function show(root, steps) {
  const said = JSON.stringify(steps);
  if (root.dataset.said === said) return;
  root.dataset.said = said;
  fill(
    root,
    el(
      "section",
      { class: "card welcome" },
      el("h2", {}, "Nothing to see yet: this is what is missing"),
      el("ol", { class: "steps" }, steps.filter((step) => step.needed).map(item)),
      el("h3", {}, "Not needed, and good to have"),
      el("ul", { class: "steps" }, steps.filter((step) => !step.needed).map(item)),
      el("p", { class: "soft" }, "This page looks again every two seconds, and becomes the real one as soon as there is a record."),
    ),
  );
}

function item(step) {
  return el(
    "li",
    { "data-done": String(step.done) },
    el("span", { class: "sign", "aria-label": step.done ? "Done" : "Missing" }, step.done ? "✓" : "○"),
    el("div", {}, el("p", {}, step.text), step.what_to_do ? doing(step.what_to_do) : null),
  );
}

/** `Start it: python -m pumpwatch` with what is to be typed in letters that can be copied: it is behind the last colon. */
function doing(text) {
  const place = text.lastIndexOf(": ") + 2;
  const isCommand = place > 1 && text.startsWith("python ", place);
  return el("p", { class: "soft" }, isCommand ? [text.slice(0, place), el("code", {}, text.slice(place))] : text);
}

/** One line above a page that has data, where something needed is undone: nothing new would come, and nobody would know why. */
export async function hintStrip(box) {
  try {
    const { steps } = await get("/api/welcome");
    const missing = document.querySelector(".welcome") ? [] : steps.filter((step) => step.needed && !step.done);
    box.hidden = missing.length === 0;
    write(box, missing.map((step) => `${step.text} ${step.what_to_do}`).join(" "));
  } catch {
    box.hidden = true; // the page itself says that the server is away
  }
}
