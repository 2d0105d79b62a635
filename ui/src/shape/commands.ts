/** What can be done from the keyboard, found by words. */

export interface Command {
  /** What kind of thing it is: `Go to`, `Show`, `View`. */
  kind: string;
  name: string;
  run: () => void;
}

/** Those that have every word in them, in their order. */
export function matching(commands: Command[], words: string): Command[] {
  const sought = words.toLowerCase().split(/\s+/).filter(Boolean);
  return commands.filter(({ kind, name }) => sought.every((word) => `${kind} ${name}`.toLowerCase().includes(word)));
}

/** The next place in a list of so many, around its ends. */
export function stepped(at: number, by: number, count: number): number {
  return count ? (at + by + count) % count : 0;
}
