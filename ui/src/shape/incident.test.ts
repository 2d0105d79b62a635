import { expect, it } from "vitest";

import { known } from "./incident";

const CHART = { caption: "calls in 5 minutes, the last 3 hours; at most 24", values: [1, 0, 24], since: 2, usual: [null, [0, 1.5], [1, 2]] };
const NOTHING = { shown: [], usdPerHour: null, contributors: [], action: null, chart: null };

it("hands on what was seen, what it costs, who is behind it, what to do, and the hours before", () => {
  const facts = { shown: [["Seen", "24 calls"]], usd_per_hour: "12.50", contributors: ["user ada: 90% of the change, $3"], action: "Set a price", chart: CHART };
  expect(known(facts)).toEqual({ shown: [["Seen", "24 calls"]], usdPerHour: "12.50", contributors: ["user ada: 90% of the change, $3"], action: "Set a price", chart: CHART });
});

it("draws nothing as usual where the server said nothing of it, as in incidents of before", () => {
  const { usual: _, ...before } = CHART;
  expect(known({ chart: before }).chart).toEqual({ ...before, usual: [] });
});

it.each([[{}], [{ shown: null, usd_per_hour: null, contributors: null, action: "", chart: null }], [{ chart: { ...CHART, values: [0, 0, 0] } }], [{ chart: "calls" }]])(
  "has nothing to show where nothing is known: %j",
  (facts) => expect(known(facts)).toEqual(NOTHING),
);
