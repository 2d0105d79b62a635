/** The pages. Each link keeps the view: range, zone and filters go along. */

import { incidents } from "./api/client";
import { useAnswer } from "./api/useAnswer";
import { PageLink } from "./panels/PageLink";
import { type ChangeView, type PageName, PAGES, type View } from "./view/state";

const LOOK_FOR_ALERTS_MS = 10_000;

export function Navigation({ view, change }: { view: View; change: ChangeView }) {
  const open = useAnswer({ queryKey: ["incidents", "open"], queryFn: () => incidents("open"), refetchInterval: LOOK_FOR_ALERTS_MS });
  return (
    <nav className="pages" aria-label="Pages">
      {(Object.keys(PAGES) as PageName[]).map((page) => (
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
