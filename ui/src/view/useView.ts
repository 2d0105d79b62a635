import { useMemo } from "react";
import { useLocation, useSearch } from "wouter";

import { browserTimezone, decodeView, encodeView, type View } from "./state";

export function useView(): [View, (change: Partial<View>) => void] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const zone = useMemo(browserTimezone, []);
  const view = useMemo(() => decodeView(search, zone), [search, zone]);
  return [view, (change) => navigate(path + encodeView({ ...view, ...change }, zone))];
}
