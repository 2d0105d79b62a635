/** A cell with an amount, exact in its title; or why there is none. */

import { Table } from "@mantine/core";

import { exactMoney, money } from "../format";

interface Props {
  amount: string | null | undefined;
  reason?: string | null;
}

export function Amount({ amount, reason }: Props) {
  return (
    <Table.Td ta="right" className="number" title={exactMoney(amount)}>
      {amount == null && reason ? <span className="warn">{reason.replaceAll("_", " ")}</span> : money(amount)}
    </Table.Td>
  );
}
