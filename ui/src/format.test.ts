import { describe, expect, it, test } from "vitest";

import { count, milliseconds, money, roundDecimal, share } from "./format";

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

test.each([
  ["2.345", 2, "2.35"],
  ["2.344999", 2, "2.34"],
  ["0.999", 2, "1.00"],
  ["9007199254740993.11", 1, "9007199254740993.1"],
  ["7", 0, "7"],
])("%s to %i digits is %s, without floating point", (amount, digits, text) => {
  expect(roundDecimal(amount, digits)).toBe(text);
});

test("counts, times and shares", () => {
  expect(count(1234567)).toBe("1,234,567");
  expect(count(null)).toBe("–");
  expect(milliseconds(321.4)).toBe("321 ms");
  expect(milliseconds(12345)).toBe("12.3 s");
  expect(share(1, 0)).toBe("–");
  expect(share(1, 3)).toBe("33%");
  expect(share(1, 40)).toBe("2.5%");
});
