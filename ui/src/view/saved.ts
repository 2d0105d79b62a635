/** Views by name, kept in this browser: a view is its address, and whoever shares one sends the link. */

const KEY = "taximeter.views";
export const MOST_VIEWS = 50;

/** Addresses (what follows the path) by name. */
export type SavedViews = Record<string, string>;

type Kept = Pick<Storage, "getItem" | "setItem">;

/** What cannot be read is as if nothing were kept. */
export function savedViews(kept: Kept): SavedViews {
  try {
    const found: unknown = JSON.parse(kept.getItem(KEY) ?? "{}");
    return Object.fromEntries(Object.entries(found ?? {}).filter(([, address]) => typeof address === "string")) as SavedViews;
  } catch {
    return {};
  }
}

/** Whether it was kept: a full or forbidden storage keeps nothing. */
export function keepViews(kept: Kept, views: SavedViews): boolean {
  try {
    kept.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(views).slice(-MOST_VIEWS))));
    return true;
  } catch {
    return false;
  }
}
