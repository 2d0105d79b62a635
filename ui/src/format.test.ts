import { describe, expect, it, test } from "vitest";

import { ago, axisMoney, bucketWords, bytes, cents, chosenTime, count, counted, dateTime, exactMoney, listedMoney, milliseconds, money, share, shortMoney, signedMoney, unitMoney, changeWords, exactly, measured, shortly } from "./format";

describe("money", () => {
  test.each([
    ["0.0125", "$0.013"],
    ["0.0034", "$0.0034"],
    ["1234.565", "$1,234.57"],
    ["1234567.1", "$1,234,567.10"],
    ["0.1", "$0.10"],
    ["0.000000000001", "$0.000000000001"],
    ["0", "$0"],
    ["-2.5", "−$2.50"],
    ["0.0999", "$0.10"],
    ["0.0009996", "$0.0010"],
    ["0.000000001", "$0.0000000010"],
    ["12345678.9", "$12,345,678.90"],
  ])("%s reads %s", (amount, text) => expect(money(amount)).toBe(text));

  it("shows an unknown amount as a dash, never as zero", () => {
    expect(money(null)).toBe("–");
    expect(money(undefined)).toBe("–");
  });
});

test.each([
  ["0.01", "$0.01"],
  ["0.004", "$0.00"],
  ["1234.5", "$1,234.50"],
  [null, "–"],
])("%s to pay reads %s", (amount, text) => expect(cents(amount)).toBe(text));

test.each([
  ["2.5", "$2.50"],
  ["10", "$10.00"],
  ["0.0125", "$0.0125"],
  ["1.375", "$1.375"],
])("a rate of %s is listed as %s", (amount, text) => expect(listedMoney(amount)).toBe(text));

test.each([
  ["0.0125", "$0.0125"],
  ["0.00045", "$0.00045"],
  ["0.0000123456", "$0.00001235"],
  ["12.3456", "$12.35"],
  ["3", "$3.00"],
  ["0", "$0"],
  [null, "–"],
])("one call of %s costs %s", (amount, text) => expect(unitMoney(amount)).toBe(text));

test.each([
  ["9000", "+$9,000.00"],
  ["-21150", "−$21,150.00"],
  ["0", "$0"],
  [null, "–"],
])("a difference of %s reads %s", (amount, text) => expect(signedMoney(amount)).toBe(text));

test.each([
  [[0, 50, 100, 150], "$0 $50 $100 $150"],
  [[0, 0.5, 1, 1.5], "$0 $0.50 $1.00 $1.50"],
  [[0, 0.02, 0.04, 0.1], "$0 $0.02 $0.04 $0.10"],
  [[0, 0.005, 0.01], "$0 $0.005 $0.010"],
  [[0, 2.5, 5], "$0 $2.50 $5.00"],
  [[-1000, 0, 1000], "−$1,000 $0 $1,000"],
  [[0, 5_000_000, 10_000_000], "$0 $5M $10M"],
  [[0], "$0"],
])("an axis of %j is labelled %s", (ticks, labels) => expect(axisMoney(ticks).join(" ")).toBe(labels));

test.each([
  [0.5, "500 ms"],
  [10, "10 s"],
  [90, "90 s"],
  [300, "5 min"],
  [3600, "1 h"],
])("%d seconds that were chosen are %s", (seconds, words) => expect(chosenTime(seconds)).toBe(words));

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
  expect(share(-1, 5)).toBe("−20%");
  expect(share(-1, 40)).toBe("−2.5%");
  expect(share(9.97, 100)).toBe("10%");
  expect(counted(1, "call")).toBe("1 call");
  expect(counted(1234, "call")).toBe("1,234 calls");
});

test("an exact amount is shown to its last digit, and an unknown one is never zero", () => {
  expect(exactMoney("0.0000007")).toBe("$0.0000007");
  expect(exactMoney("-0.5")).toBe("−$0.5");
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
  ["9999.994", "$9,999.99"],
  ["16250.16", "$16,250"],
  ["12345678.9", "$12.3M"],
  ["-12345678.9", "−$12.3M"],
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
