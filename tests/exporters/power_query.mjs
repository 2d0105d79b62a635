// The trees of queries in M, by Microsoft's own parser of the language: their texts are the arguments.
// Prints a list of {"tree": ...} or {"error": ...}.
import { createRequire } from "node:module";

const { DefaultSettings, TaskUtils } = createRequire(process.cwd() + "/")("@microsoft/powerquery-parser");
const left_out = new Set(["tokenRange", "id", "isLeaf", "attributeIndex"]);

const told = [];
for (const query of process.argv.slice(2)) {
  const parsed = await TaskUtils.tryLexParse(DefaultSettings, query);
  told.push(TaskUtils.isParseStageOk(parsed) ? { tree: parsed.ast } : { error: parsed.error.message });
}
console.log(JSON.stringify(told, (name, value) => (left_out.has(name) ? undefined : value)));
