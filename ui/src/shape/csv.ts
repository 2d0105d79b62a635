/** Tables as RFC 4180 wants them, without rounding; what is not known is empty. Pure. */

export function csvOf(table: unknown[][]): string {
  return table.map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value: unknown): string {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
