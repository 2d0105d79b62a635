import { useCallback, useMemo } from "react";
import { useLocation, useSearch } from "wouter";

import { type ChangeView, decodeView, encodeView, type View } from "./state";
import { browserTimezone } from "./zone";

export function useView(): [View, ChangeView] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const zone = useMemo(browserTimezone, []);
  const view = useMemo(() => decodeView(search, zone), [search, zone]);
  const change = useCallback<ChangeView>(
    (changes) => navigate(path + encodeView({ ...view, ...changes }, zone)),
    [navigate, path, view, zone],
  );
  return [view, change];
}
