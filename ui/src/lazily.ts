/** Parts of the page that are loaded when they are first shown. */

import { type ComponentType, lazy } from "react";

const TRY_AGAIN_MS = 1_000;

/** Like `lazy`; while the server is away it is tried again, and the place of the part stays kept. */
export function lazily<T extends ComponentType<any>>(load: () => Promise<{ default: T }>) {
  return lazy(() => untilThere(load));
}

export async function untilThere<T>(load: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await load();
    } catch {
      await new Promise((resume) => setTimeout(resume, TRY_AGAIN_MS));
    }
  }
}
