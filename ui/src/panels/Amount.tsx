/** A cell with an amount, exact in its title; or why there is none. */

import { Table } from "@mantine/core";

import { exactMoney, money, signedMoney, unitMoney } from "../format";

interface Props {
  amount: string | null | undefined;
  reason?: string | null;
  /** Of one call, or a difference. */
  as?: keyof typeof LOOKS;
}

const LOOKS = { sum: money, unit: unitMoney, difference: signedMoney };

export function Amount({ amount, reason, as = "sum" }: Props) {
  return (
    <Table.Td ta="right" className="number" title={exactMoney(amount)}>
      {amount == null && reason ? <span className="warn">{reason.replaceAll("_", " ")}</span> : LOOKS[as](amount)}
    </Table.Td>
  );
}
