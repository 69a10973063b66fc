/** Work that may be asked for at any time, and is done at most so often. */

const BREATHS = 5; // what takes long is done more seldom: a page must not keep its server busy

/**
 * A function that has `work` done: at once if it was not for `ms`, else when they are over, once for all calls until then. One at a
 * time; while the page is hidden not at all, but when it is looked at again. `work` handles its own errors.
 */
export function pace(ms, work) {
  let isWanted = false;
  let isBusy = false;
  let timer = 0;
  let next = 0;

  async function turn() {
    timer = 0;
    if (!isWanted || isBusy || document.hidden) return;
    isWanted = false;
    isBusy = true;
    const began = performance.now();
    try {
      await work();
    } finally {
      isBusy = false;
      next = began + Math.max(ms, (performance.now() - began) * BREATHS);
      if (isWanted) ask();
    }
  }

  function ask() {
    isWanted = true;
    if (timer === 0 && !isBusy) timer = setTimeout(turn, Math.max(0, next - performance.now()));
  }

  document.addEventListener("visibilitychange", () => {
    if (isWanted && !document.hidden) ask();
  });
  return ask;
}
