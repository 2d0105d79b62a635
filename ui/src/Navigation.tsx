/** The pages. Each link keeps the view: range, zone and filters go along. */

import { useQuery } from "@tanstack/react-query";

import { incidents } from "./api/client";
import { type ChangeView, type PageName, PAGES, type View } from "./view/state";
import { encodeView } from "./view/state";
import { browserTimezone } from "./view/zone";

const LOOK_FOR_ALERTS_MS = 10_000;

export function Navigation({ view, change }: { view: View; change: ChangeView }) {
  const open = useQuery({ queryKey: ["incidents", "open"], queryFn: () => incidents("open"), refetchInterval: LOOK_FOR_ALERTS_MS });
  return (
    <nav className="pages" aria-label="Pages">
      {(Object.keys(PAGES) as PageName[]).map((page) => {
        const target = { ...view, page, call: null, incident: null };
        return (
          <a
            key={page}
            href={`/${encodeView(target, browserTimezone())}`}
            aria-current={page === view.page ? "page" : undefined}
            onClick={(event) => {
              if (event.metaKey || event.ctrlKey || event.shiftKey) return;
              event.preventDefault();
              change(target);
            }}
          >
            {PAGES[page]}
            {page === "alerts" && !!open.data?.length && (
              <span className="alarm" aria-label={`${open.data.length} open`}>
                {open.data.length}
              </span>
            )}
          </a>
        );
      })}
    </nav>
  );
}
