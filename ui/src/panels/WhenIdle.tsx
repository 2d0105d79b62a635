/** Parts of the page that are drawn when the browser has nothing better to do, or when they come into sight. */

import { type ReactElement, type ReactNode, startTransition, Suspense, useEffect, useRef, useState } from "react";

import { whenIdle } from "../idle";

/** Of what is seen: so far below it, somebody may be on the way. */
const NEAR = "25%";

interface Props {
  /** What is kept free for it until then. */
  place: ReactElement;
  children: ReactNode;
}

/** For what is seen at once. */
export function WhenIdle({ place, children }: Props) {
  const [isDrawn, setDrawn] = useState(false);
  useEffect(() => whenIdle(() => startTransition(() => setDrawn(true))), []);
  return isDrawn ? <Suspense fallback={place}>{children}</Suspense> : place;
}

/** For a panel below what is seen at once; `height` is what it comes to. */
export function BelowTheFold({ height, children }: { height: number; children: ReactNode }) {
  const place = useRef<HTMLElement>(null);
  const [isDrawn, setDrawn] = useState(false);
  useEffect(() => {
    const draw = () => startTransition(() => setDrawn(true));
    const watcher = new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && draw(), { rootMargin: NEAR });
    watcher.observe(place.current!);
    const forget = whenIdle(draw);
    return () => {
      watcher.disconnect();
      forget();
    };
  }, []);
  const kept = <section ref={place} className="panel" style={{ minHeight: height }} aria-hidden aria-busy />;
  return isDrawn ? <Suspense fallback={kept}>{children}</Suspense> : kept;
}
