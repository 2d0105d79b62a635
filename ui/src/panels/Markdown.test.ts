import { expect, test } from "vitest";

import { blocksOf } from "./Markdown";

test("headings, lists with lines that go on, and paragraphs", () => {
  const text = "A b\nc.\n\n## Steps\n1. one\n   goes on\n2. two\n\n- x\n";
  expect(blocksOf(text)).toEqual([
    { kind: "text", lines: ["A b c."] },
    { kind: "heading", lines: ["Steps"] },
    { kind: "ol", lines: ["one goes on", "two"] },
    { kind: "ul", lines: ["x"] },
  ]);
});
