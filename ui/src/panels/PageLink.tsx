/** A link to another page that keeps the view, and can be opened in a tab of its own. */

import type { MouseEvent, ReactNode } from "react";

import { type ChangeView, encodeView, type View } from "../view/state";
import { browserTimezone } from "../view/zone";

interface Props {
  view: View;
  change: ChangeView;
  /** What is different there. */
  to: Partial<View>;
  className?: string;
  current?: boolean;
  children: ReactNode;
}

export function PageLink({ view, change, to, className, current, children }: Props) {
  const onClick = (event: MouseEvent) => {
    event.stopPropagation();
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    change(to);
  };
  return (
    <a
      className={className}
      href={`/${encodeView({ ...view, ...to }, browserTimezone())}`}
      aria-current={current ? "page" : undefined}
      onClick={onClick}
    >
      {children}
    </a>
  );
}
