// What a query in M says, told by Microsoft's own parser of the language: the text of the query is the argument.
// Prints {"error": ...}, or {"address", "path", "query": {name: text}, "types": [[column, type]]}.
import { createRequire } from "node:module";

const { DefaultSettings, TaskUtils } = createRequire(process.cwd() + "/")("@microsoft/powerquery-parser");
const query = process.argv[2];
const told = { query: {}, types: [] };

const written = ({ tokenRange: { positionStart, positionEnd } }) => query.slice(positionStart.codeUnit, positionEnd.codeUnit);
const isText = (node) => node?.literalKind === "Text";
const text = (node) => node.literal.slice(1, -1).replaceAll('""', '"');

const fields = (record) => record.content.elements.map((element) => element.node);

function look(node) {
  if (node === null || typeof node !== "object") return;
  if (node.key?.literal === "RelativePath") told.path = text(node.value);
  if (node.key?.literal === "Query") for (const { key, value } of fields(node.value)) told.query[key.literal] = text(value);
  if (isText(node) && text(node).startsWith("http")) told.address = text(node);
  if (node.kind === "ListExpression") {
    const [column, type, ...more] = fields(node);
    if (isText(column) && type && more.length === 0) told.types.push([text(column), written(type)]);
  }
  Object.values(node).forEach(look);
}

const parsed = await TaskUtils.tryLexParse(DefaultSettings, query);
if (TaskUtils.isParseStageOk(parsed)) look(parsed.ast);
console.log(JSON.stringify(TaskUtils.isParseStageOk(parsed) ? told : { error: parsed.error.message }));
