/** Parts of the page that are loaded when they are first shown. */

import { type ComponentProps, type ComponentType, lazy, useState } from "react";

import { Mishap, NewerPage } from "./Mishap";

const TRY_AGAIN_MS = 1_000;

/** A part and how to begin with it before it is shown. */
export type Lazily<Props, Module> = ComponentType<Props> & { load: () => Promise<Module> };

/** Like `lazy`; while the server is away it is tried again, and the place of the part stays kept. A part that cannot
 * come any more, because the server has another page by now, says so in its place. One that is there by then is shown
 * at once: what takes the place of something else React holds back for 300 ms. */
export function lazily<T extends ComponentType<any>, Module extends { default: T }>(ask: () => Promise<Module>): Lazily<ComponentProps<T>, Module> {
  let coming: Promise<Module> | undefined;
  let there: ComponentType<any> | undefined;
  const load = () =>
    (coming ??= untilThere(ask, isReplaced).then((module) => {
      there = module.default;
      return module;
    }));
  const Late = lazy<T>(load);
  const Shown = (props: ComponentProps<T>) => {
    const [Part] = useState<ComponentType<any>>(() => there ?? Late);
    return (
      <Mishap>
        <Part {...props} />
      </Mishap>
    );
  };
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
