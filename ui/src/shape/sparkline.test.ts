import { expect, it } from "vitest";

import { sparkPath, sparks } from "./sparkline";

it.each([
  [[0, 2, 1], "M1.5 16.5 L36 1.5 L70.5 9"],
  [[0, 0], "M1.5 16.5 L70.5 16.5"],
  [[3], "M1.5 1.5 H70.5"],
])("draws %j", (amounts, path) => expect(sparkPath(amounts, 72, 18)).toBe(path));

it("has every bucket for each group, and what has no price as nothing", () => {
  const at = (seconds: number) => new Date(seconds * 1000).toISOString();
  const rows = [
    { team: "core", time: at(0), cost_usd: "1.5" },
    { team: "core", time: at(7200), cost_usd: "2" },
    { team: "web", time: at(3600), cost_usd: null },
    { team: "web", time: at(9999), cost_usd: "7" },
    { team: null, time: at(3600), cost_usd: "3" },
  ];
  const found = sparks(rows, "team", [0, 3600, 7200]);
  expect([...found.values()]).toEqual([
    [1.5, 0, 2],
    [0, 0, 0],
    [0, 3, 0],
  ]);
});
