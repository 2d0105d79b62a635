/** A table that is scrolled sideways where it is wider than the screen, also by keyboard. */

import { Table } from "@mantine/core";
import type { ReactNode } from "react";

export function WideTable({ minWidth, children }: { minWidth: number; children: ReactNode }) {
  return (
    <Table.ScrollContainer className="wide" minWidth={minWidth} scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}>
      {children}
    </Table.ScrollContainer>
  );
}
