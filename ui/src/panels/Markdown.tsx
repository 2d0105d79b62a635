/** The Markdown that runbooks are written in: headings, lists, paragraphs, `code` and *emphasis*. Nothing else. */

import { Fragment, type ReactNode } from "react";

type Kind = "heading" | "ol" | "ul" | "text";
interface Block {
  kind: Kind;
  lines: string[];
}

const STARTS: [RegExp, Kind][] = [
  [/^#+ /, "heading"],
  [/^\d+\. /, "ol"],
  [/^- /, "ul"],
];

export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let open = null as Block | null;
  for (const line of text.split("\n")) {
    const start = STARTS.find(([pattern]) => pattern.test(line));
    if (start) {
      const [pattern, kind] = start;
      const content = line.replace(pattern, "");
      if (open?.kind === kind && kind !== "heading") open.lines.push(content);
      else blocks.push((open = { kind, lines: [content] }));
    } else if (!line.trim()) {
      open = null;
    } else if (open && open.kind !== "heading") {
      open.lines.push(`${open.lines.pop()} ${line.trim()}`);
    } else {
      blocks.push((open = { kind: "text", lines: [line] }));
    }
  }
  return blocks;
}

export function Markdown({ text }: { text: string }) {
  return (
    <div className="markdown">
      {blocksOf(text).map((block, index) => (
        <Drawn key={index} block={block} />
      ))}
    </div>
  );
}

function Drawn({ block }: { block: Block }) {
  if (block.kind === "heading") return <h3>{inline(block.lines[0]!)}</h3>;
  if (block.kind === "text") return <p>{inline(block.lines.join(" "))}</p>;
  const List = block.kind;
  return (
    <List>
      {block.lines.map((line, index) => (
        <li key={index}>{inline(line)}</li>
      ))}
    </List>
  );
}

function inline(text: string): ReactNode[] {
  return text.split(/(`[^`]+`|\*[^*]+\*)/).map((part, index) => {
    if (part.startsWith("`") && part.length > 2) return <code key={index}>{part.slice(1, -1)}</code>;
    if (part.startsWith("*") && part.length > 2) return <em key={index}>{part.slice(1, -1)}</em>;
    return <Fragment key={index}>{part}</Fragment>;
  });
}
