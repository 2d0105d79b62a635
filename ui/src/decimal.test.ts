import { describe, expect, it, test } from "vitest";

import { add, difference, multiply, perMillion, roundDecimal, sumKnown } from "./decimal";

test.each([
  ["0.1", "0.2", "0.3"],
  ["1", "2", "3"],
  ["0.000000000001", "999999999.999999999999", "1000000000"],
  ["-0.5", "0.25", "-0.25"],
  ["-0.5", "0.5", "0"],
  ["12.50", "0", "12.5"],
])("%s + %s = %s", (a, b, sum) => expect(add(a, b)).toBe(sum));

describe("a sum of amounts that may be unknown", () => {
  it("is the sum of the known ones", () => expect(sumKnown(["0.1", null, "0.2", undefined])).toBe("0.3"));
  it("is unknown when none is known, which is not zero", () => expect(sumKnown([null, undefined])).toBeNull());
});

test("an hourly rate is an exact multiple", () => expect(multiply("0.100000000001", 12)).toBe("1.200000000012"));

test.each([
  ["0.005", 1000, "5"],
  ["0.000015", 500, "0.03"],
  ["0.000001", 3, "0.333333"],
  ["0.000002", 3, "0.666667"],
])("%s for %i tokens is %s a million", (amount, tokens, rate) => expect(perMillion(amount, tokens)).toBe(rate));

test.each([
  ["2.345", 2, "2.35"],
  ["2.344999", 2, "2.34"],
  ["0.999", 2, "1.00"],
  ["9007199254740993.11", 1, "9007199254740993.1"],
  ["7", 0, "7"],
  ["-0.001", 2, "0.00"],
])("%s to %i digits is %s", (amount, digits, rounded) => expect(roundDecimal(amount, digits)).toBe(rounded));

test.each([
  ["2000", "1250", "750"],
  ["0.1", "0.30", "-0.2"],
  ["1", null, null],
  [undefined, "1", null],
])("%j less %j is %j", (a, b, less) => expect(difference(a, b)).toBe(less));
