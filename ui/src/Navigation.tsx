/** The pages. Each link keeps the view: range, zone and filters go along. */

import { useLayoutEffect, useRef } from "react";

import { incidents } from "./api/client";
import { useAnswer } from "./api/useAnswer";
import { PageLink } from "./panels/PageLink";
import { type ChangeView, PAGES, pagesOf, type View } from "./view/state";

const LOOK_FOR_ALERTS_MS = 10_000;

export function Navigation({ view, change }: { view: View; change: ChangeView }) {
  const open = useAnswer({ queryKey: ["incidents", "open"], queryFn: () => incidents("open"), refetchInterval: LOOK_FOR_ALERTS_MS });
  const pages = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(() => showCurrent(pages.current!)); // at first, and when the font or a number comes
    for (const link of pages.current!.children) watcher.observe(link);
    return () => watcher.disconnect();
  }, [view.page]);
  return (
    <nav ref={pages} className="pages" aria-label="Pages">
      {pagesOf(view).map((page) => (
        <PageLink key={page} view={view} change={change} to={{ page, of: null, call: null, incident: null }} current={page === view.page}>
          {PAGES[page]}
          {page === "alerts" && !!open.data?.length && (
            <span className="alarm" aria-label={`${open.data.length} open`}>
              {open.data.length}
            </span>
          )}
        </PageLink>
      ))}
    </nav>
  );
}

/** On a phone not all pages fit beside each other; the one that is looked at stands in the middle. */
function showCurrent(pages: HTMLElement): void {
  const current = pages.querySelector<HTMLElement>("[aria-current]");
  if (current && pages.scrollWidth > pages.clientWidth) {
    pages.scrollLeft = current.offsetLeft - pages.offsetLeft - (pages.clientWidth - current.offsetWidth) / 2;
  }
}
