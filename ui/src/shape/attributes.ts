/** `team=core, environment=prod` as an object; null when it cannot be read. */
export function attributesOf(text: string): Record<string, string> | null {
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  const pairs = parts.map((part) => /^([^=\s]+)\s*=\s*(.+)$/.exec(part));
  return pairs.some((pair) => pair === null) ? null : Object.fromEntries(pairs.map((pair) => [pair![1]!, pair![2]!]));
}
