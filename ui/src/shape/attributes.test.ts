import { expect, test } from "vitest";

import { attributesOf } from "./attributes";

test.each([
  ["", {}],
  [" team=core , environment = prod", { team: "core", environment: "prod" }],
  ["team=a=b,", { team: "a=b" }],
  ["team", null],
  ["=core", null],
  ["team=", null],
])("%j are %j", (text, attributes) => expect(attributesOf(text)).toEqual(attributes));
