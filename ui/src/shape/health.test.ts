import { expect, test } from "vitest";

import { wrongNow } from "./health";

const WELL = { runs: 3, failures: 1, last_error: null };
const FAILING = { runs: 3, failures: 1, last_error: "Datadog answered 403" };

const CASES: (Parameters<typeof wrongNow>[0] & { wrong: string[] })[] = [
  { problems: [], jobs: { roll_ups: WELL }, wrong: [] },
  { problems: ["the disk is full"], jobs: {}, wrong: ["the disk is full"] },
  { problems: ["the disk is full"], jobs: { export_datadog: FAILING }, wrong: ["the disk is full", "export datadog fails: Datadog answered 403"] },
];

test.each(CASES)("what is wrong: $wrong", ({ problems, jobs, wrong }) => {
  expect(wrongNow({ problems, jobs })).toEqual(wrong);
});
