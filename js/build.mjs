import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "specviz", "static");
const watch = process.argv.includes("--watch");
const LIMIT = 1.6e6;

const shared = { absWorkingDir: here, bundle: true, minify: !watch, logLevel: "info", legalComments: "inline" };
const builds = [
  { ...shared, entryPoints: ["src/index.ts"], outfile: join(out, "widgets.js"), format: "esm", target: "es2022" },
  { ...shared, entryPoints: ["src/widgets.css"], outfile: join(out, "widgets.css"), target: "chrome111" },
  {
    ...shared,
    entryPoints: ["src/launcher.ts"],
    outfile: join(here, "launcher", "static", "launcher.js"),
    format: "iife",
    globalName: '_JUPYTERLAB["specviz-lab"]', // where JupyterLab's loader looks for an extension's container
    loader: { ".svg": "dataurl" },
    target: "es2022",
  },
];

if (watch) {
  for (const build of builds) await (await esbuild.context(build)).watch();
} else {
  await Promise.all(builds.map((build) => esbuild.build(build)));
  const sizes = await Promise.all(builds.map(async (build) => (await readFile(build.outfile)).byteLength));
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total > LIMIT) {
    console.error(`The bundle is ${total} bytes; at most ${LIMIT} are allowed.`);
    process.exit(1);
  }
}
