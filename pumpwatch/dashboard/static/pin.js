/** The one thing that can be done from here: have a token watched, or no more. */

import { post } from "./core/api.js";
import { el, write } from "./core/dom.js";

/** A button with a line beside it that says what became of it; `show(watched)` tells why the token is watched now (null: it is not). */
export function pinButton(mint) {
  const button = el("button", { type: "button", class: "pin", disabled: true });
  const said = el("span", { class: "said soft", role: "status" });
  let isPinned = false;
  let isBusy = false;

  button.addEventListener("click", async () => {
    isBusy = button.disabled = true;
    write(said, "asking the worker");
    try {
      const answer = await post("/api/watch", { mint, action: isPinned ? "unpin" : "pin" });
      write(said, answer.text);
    } catch (error) {
      write(said, error.message);
    } finally {
      isBusy = button.disabled = false;
    }
  });

  return {
    element: el("span", { class: "pinning" }, button, said),
    show(watched) {
      isPinned = watched === "asked" || watched === "pinned";
      write(button, isPinned ? "Unpin" : "Pin");
      button.title = isPinned ? "Let it go when its time has come" : "Watch it until it is unpinned";
      button.setAttribute("aria-pressed", String(isPinned));
      button.disabled = isBusy;
    },
  };
}
