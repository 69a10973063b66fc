/** How far the record of a token is to be trusted, as one small sign with a word: never by colour alone. */

import { el, write } from "./dom.js";

const KINDS = {
  complete: ["✓", "Complete", "Every trade since the token's creation is in the record, and the chain's arithmetic proves it."],
  since: ["✓", "Since", "Every trade since it was first watched is in the record, and the chain's arithmetic proves it."],
  spell: ["✓", "Spell", "Every trade of the stretches in which it was watched is in the record."],
  holes: ["!", "Holes", "Trades are missing: the chain's arithmetic shows where. They are being fetched."],
  unproven: ["?", "Unproven", "It cannot be shown yet whether a trade is missing."],
};

/** A badge; see `showBadge`. */
export function badge(token = null) {
  const element = el("span", { class: "badge" }, el("b", { "aria-hidden": "true" }), el("span"));
  if (token) showBadge(element, token);
  return element;
}

/** Show `completeness`, `holes` and `reason` of a token, or of anything that has them. */
export function showBadge(element, token) {
  const [sign, name, meaning] = KINDS[token.completeness] ?? KINDS.unproven;
  const word = token.completeness === "holes" && token.holes ? `${token.holes} hole${token.holes === 1 ? "" : "s"}` : name;
  if (element.dataset.kind !== token.completeness) element.dataset.kind = token.completeness;
  write(element.firstChild, sign);
  write(element.lastChild, word);
  const title = token.reason ? `${meaning} (${token.reason})` : meaning;
  if (element.title !== title) element.title = title;
}
