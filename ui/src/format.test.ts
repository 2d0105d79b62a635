import { describe, expect, it, test } from "vitest";

import { ago, bucketWords, bytes, count, dateTime, exactMoney, counted, milliseconds, money, share, shortMoney, changeWords, exactly, measured, shortly } from "./format";

describe("money", () => {
  test.each([
    ["0.0125", "$0.013"],
    ["0.0034", "$0.0034"],
    ["1234.565", "$1,234.57"],
    ["1234567.1", "$1,234,567.10"],
    ["0.1", "$0.10"],
    ["0.000000000001", "$0.000000000001"],
    ["0", "$0"],
    ["-2.5", "-$2.50"],
  ])("%s reads %s", (amount, text) => expect(money(amount)).toBe(text));

  it("shows an unknown amount as a dash, never as zero", () => {
    expect(money(null)).toBe("–");
    expect(money(undefined)).toBe("–");
  });
});

test("counts, times and shares", () => {
  expect(count(1234567)).toBe("1,234,567");
  expect(count(null)).toBe("–");
  expect(milliseconds(321.4)).toBe("321 ms");
  expect(milliseconds(12345)).toBe("12.3 s");
  expect(share(1, 0)).toBe("–");
  expect(share(1, 3)).toBe("33%");
  expect(share(1, 40)).toBe("2.5%");
  expect(share(1, 40_000)).toBe("<0.1%");
  expect(share(0, 40)).toBe("0%");
  expect(counted(1, "call")).toBe("1 call");
  expect(counted(1234, "call")).toBe("1,234 calls");
});

test("an exact amount is shown to its last digit, and an unknown one is never zero", () => {
  expect(exactMoney("0.0000007")).toBe("$0.0000007");
  expect(exactMoney(null)).toBe("not priced");
});

test("moments are those of the zone", () => {
  expect(dateTime("2026-11-20T23:30:05Z", "Europe/Berlin")).toBe("Sat 21 Nov 2026, 00:30:05");
});

test.each([
  ["2026-11-21T11:59:30Z", "just now"],
  ["2026-11-21T11:56:00Z", "4 minutes ago"],
  ["2026-11-21T09:00:00Z", "3 hours ago"],
  ["2026-11-18T11:00:00Z", "3 days ago"],
])("at noon %s was %s", (then, words) => expect(ago(then, new Date("2026-11-21T12:00:00Z"))).toBe(words));

test.each([
  [60, "minute", "00:30 – 00:31"],
  [3600, "hour", "Sat 21 Nov, 00:30 – 01:30"],
  [86400, "day", "Sat 21 Nov"],
] as const)("a bar of %i seconds is that of a %s: %s", (seconds, interval, words) => {
  const start = Date.parse("2026-11-20T23:30:00Z") / 1000;
  expect(bucketWords(start, start + seconds, interval, "Europe/Berlin")).toBe(words);
});

test.each([
  ["0.00000002", "<$0.00001"],
  ["0.00001", "$0.000010"],
  ["0", "$0"],
  ["12.5", "$12.50"],
  [null, "–"],
])("in narrow places %s reads %s", (amount, text) => expect(shortMoney(amount)).toBe(text));

test.each([
  ["money", "0.0034", "$0.0034", "$0.0034", "$0.0034"],
  ["money", null, "–", "–", "not priced"],
  ["count", 12345, "12,345", "12.3K", "12345"],
  ["share", 0.1234, "12%", "12%", "0.1234"],
  ["milliseconds", 1234.5, "1.2 s", "1.2 s", "1234.5"],
  ["number", 1234.56, "1,234.6", "1.2K", "1234.56"],
  ["number", null, "–", "–", "not known"],
] as const)("a %s of %s is %s, shortly %s, exactly %s", (kind, value, words, short, exact) => {
  expect([measured(kind, value), shortly(kind, value), exactly(kind, value)]).toEqual([words, short, exact]);
});

test.each([
  ["2", "3", "+50%"],
  ["3", "2", "−33%"],
  ["0", "2", "new"],
  ["0", "0", "0%"],
  [100, 3.4, "−97%"],
  [1, 1.012, "+1.2%"],
  ["0.001", "9", "+899.9K%"],
  [null, 2, "–"],
])("from %s to %s is %s", (before, after, words) => expect(changeWords(before, after)).toBe(words));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [5_360_051, "5.4 MB"],
  [7e15, "7000.0 TB"],
  [null, "–"],
])("%s bytes are %s", (n, words) => expect(bytes(n)).toBe(words));
