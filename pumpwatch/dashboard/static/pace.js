/** Work that may be asked for at any time, and is done at most so often. */

/**
 * A function that has `work` done: at once if it was not for `ms`, else when they are over, once for all calls until then. One at a
 * time; while the page is hidden not at all, but when it is looked at again. `work` handles its own errors.
 */
export function pace(ms, work) {
  let isWanted = false;
  let isBusy = false;
  let timer = 0;
  let last = -Infinity;

  async function turn() {
    timer = 0;
    if (!isWanted || isBusy || document.hidden) return;
    isWanted = false;
    isBusy = true;
    last = performance.now();
    try {
      await work();
    } finally {
      isBusy = false;
      if (isWanted) ask();
    }
  }

  function ask() {
    isWanted = true;
    if (timer === 0 && !isBusy) timer = setTimeout(turn, Math.max(0, last + ms - performance.now()));
  }

  document.addEventListener("visibilitychange", () => {
    if (isWanted && !document.hidden) ask();
  });
  return ask;
}
