/** Work that can wait, one piece at a time, when the browser has nothing better to do. */

/** The browser may be busy for long; then a piece is done between two other things. */
const PATIENCE_MS = 1_000;

const waiting: (() => void)[] = [];

/** Each piece has an idle moment of its own, in the order they came. Returns how to take it back. */
export function whenIdle(act: () => void): () => void {
  waiting.push(act);
  if (waiting.length === 1) onIdle(next);
  return () => {
    const at = waiting.indexOf(act);
    if (at >= 0) waiting[at] = () => undefined;
  };
}

function next(): void {
  try {
    waiting[0]?.();
  } finally {
    waiting.shift();
    if (waiting.length) onIdle(next);
  }
}

/** Safari does not tell when it is idle. */
function onIdle(act: () => void): void {
  if ("requestIdleCallback" in globalThis) requestIdleCallback(act, { timeout: PATIENCE_MS });
  else setTimeout(act);
}
