/** The sample history: invented calls to look around in. Everything that a page asks carries the same mark as its address. */

const MARK = "sample";

export function isOfSample(search: string): boolean {
  return new URLSearchParams(search).get(MARK) === "1";
}

export function markSample(out: URLSearchParams): void {
  out.set(MARK, "1");
}

/** An address of the API, about what the page is about. */
export function addressed(path: string, search: string = window.location.search): string {
  return isOfSample(search) ? `${path}${path.includes("?") ? "&" : "?"}${MARK}=1` : path;
}

/** Where looking around begins. The document is loaded anew there and back, so that no answer of one stands in for the other's. */
export const SAMPLE_ADDRESS = `/?range=30d&${MARK}=1`;
export const OWN_ADDRESS = "/";
