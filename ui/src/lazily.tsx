/** Parts of the page that are loaded when they are first shown. */

import { type ComponentProps, type ComponentType, lazy } from "react";

import { Mishap, NewerPage } from "./Mishap";

const TRY_AGAIN_MS = 1_000;

/** A part and how to begin with it before it is shown. */
export type Lazily<Props, Module> = ComponentType<Props> & { load: () => Promise<Module> };

/** Like `lazy`; while the server is away it is tried again, and the place of the part stays kept. A part that cannot
 * come any more, because the server has another page by now, says so in its place. */
export function lazily<T extends ComponentType<any>, Module extends { default: T }>(ask: () => Promise<Module>): Lazily<ComponentProps<T>, Module> {
  let coming: Promise<Module> | undefined;
  const load = () => (coming ??= untilThere(ask, isReplaced));
  const Part = lazy<T>(load);
  const Shown = (props: ComponentProps<T>) => (
    <Mishap>
      <Part {...props} />
    </Mishap>
  );
  return Object.assign(Shown, { load });
}

/** Raises NewerPage when `isGone` says that it is of no use to ask again. */
export async function untilThere<T>(load: () => Promise<T>, isGone: () => Promise<boolean>): Promise<T> {
  for (;;) {
    try {
      return await load();
    } catch {
      if (await isGone()) throw new NewerPage();
      await new Promise((resume) => setTimeout(resume, TRY_AGAIN_MS));
    }
  }
}

/** Whether the server's page begins with another script than this one did: names of scripts change with what is in them. */
async function isReplaced(): Promise<boolean> {
  const own = document.querySelector("link[rel=modulepreload]")?.getAttribute("href");
  try {
    const answer = await fetch("/", { cache: "no-store" });
    return answer.ok && own != null && !(await answer.text()).includes(own);
  } catch {
    return false; // it is away
  }
}
