/** Which tokens belong into the list, and in which order: the same as the server's, for what comes between two of its answers. */

const LAST = -Infinity;

/** By name as /api/tokens knows them: a number for a token, the largest first. */
const NUMBERS = {
  trades: (row) => row.trades,
  volume: (row) => row.volume ?? LAST,
  "volume-1h": (row) => row.hour.volume_usd ?? row.hour.volume,
  "market-cap": (row) => row.market_cap_usd ?? row.market_cap ?? LAST,
  "last-trade": (row) => row.last_trade_at ?? LAST,
  wallets: (row) => row.wallets,
  progress: (row) => row.progress ?? LAST,
  change: (row) => row.hour.price_change ?? LAST,
};

/** What the tabs choose. */
export const TABS = {
  all: { label: "All", query: {}, order: "last-trade" },
  new: { label: "New", query: {}, order: "newest" },
  graduating: { label: "About to graduate", query: { status: "curve" }, order: "progress" },
  graduated: { label: "Graduated", query: { status: "graduated" }, order: "last-trade" },
  watched: { label: "Watched", query: { watched: true }, order: "last-trade" },
};

/** Whether a token belongs into the list of this tab, searched for `text`. */
export function belongs(row, tab, text) {
  const { query } = TABS[tab];
  if (query.status && row.status !== query.status) return false;
  if (query.watched && row.watched === null) return false;
  if (!text) return true;
  const wanted = text.toLowerCase();
  return [row.symbol, row.name].some((name) => name?.toLowerCase().includes(wanted)) || row.mint.startsWith(text);
}

/** The rows in their order; `places` is where the server had them, by mint: new ones, which it did not have, are the newest. */
export function ordered(rows, order, places) {
  const number = NUMBERS[order] ?? (() => 0);
  const place = (row) => places.get(row.mint) ?? -1;
  return rows.toSorted((one, other) => number(other) - number(one) || place(one) - place(other) || (one.mint < other.mint ? -1 : 1));
}
