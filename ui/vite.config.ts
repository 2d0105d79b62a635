import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin, type Rolldown } from "vite";

/** The font's licence asks to be handed on with it. */
function fontLicence(): Plugin {
  const source = new URL("node_modules/@fontsource-variable/inter/LICENSE", import.meta.url);
  return {
    name: "font-licence",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "assets/Inter-LICENSE.txt", source: readFileSync(source, "utf8") });
    },
  };
}

const ROOT = '<div id="root"></div>';
const SCRIPT = /<script type="module" crossorigin src="([^"]*)"><\/script>/;

/** Begins the script when what stands there without it has been drawn; soon also in a window that draws nothing. First
 * runs what draws, then the rest: two short tasks instead of a long one. */
const begin = (drawing: string, script: string) =>
  `<script>{const begin=()=>import("/${drawing}").then(()=>setTimeout(()=>import("${script}")));requestAnimationFrame(()=>setTimeout(begin));setTimeout(begin,200)}</script>`;

/** The file of a page among `src/pages`, by its name in the URL; of all others it is named like that. */
const ENTITIES = ["users", "teams", "features", "models"];

/** What a page needs that is not there at first: the files of its script, by its name in the URL. */
function lateScripts(bundle: Record<string, Rolldown.OutputChunk | Rolldown.OutputAsset>): Record<string, string[]> {
  const chunks = Object.values(bundle).filter((one) => one.type === "chunk");
  const first = new Set(chunks.filter((one) => one.isEntry).flatMap((one) => [one.fileName, ...one.imports]));
  const pages = chunks.flatMap((one) => {
    const name = /\/src\/pages\/(\w+)\.tsx$/.exec(one.facadeModuleId ?? "")?.[1]?.toLowerCase();
    const files = [one.fileName, ...one.imports].filter((file) => !first.has(file)).map((file) => `/${file}`);
    return (name === "entities" ? ENTITIES : name ? [name] : []).map((page) => [page, files] as const);
  });
  return Object.fromEntries(pages);
}

/** Loads them beside what is loaded first. */
const early = (scripts: Record<string, string[]>) =>
  `for(const href of(${JSON.stringify(scripts)})[new URLSearchParams(location.search).get("page")]??[])document.head.append(Object.assign(document.createElement("link"),{rel:"modulepreload",crossOrigin:"",href}))`;

/** What the document shows by itself needs no script, so the script makes room for it; the font is part of it. Style sheets come after what the document shows by itself, which does not
 * wait for them, and before what the scripts draw, whose own styles have the last word. */
function shell(): Plugin {
  return {
    name: "shell",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(html, { bundle }) {
        const fonts = Object.keys(bundle ?? {}).filter((name) => name.endsWith(".woff2"));
        const asking = Object.keys(bundle ?? {}).find((name) => /\/asking-[^/]*\.js$/.test(name)) ?? "";
        const drawing = Object.keys(bundle ?? {}).find((name) => /\/react-[^/]*\.js$/.test(name)) ?? "";
        const sheets = html.match(/<link rel="stylesheet"[^>]*>/g) ?? [];
        return {
          html: sheets
            .reduce((rest, sheet) => rest.replace(sheet, ""), html)
            .replace(ROOT, `${sheets.join("")}${ROOT}${begin(drawing, SCRIPT.exec(html)?.[1] ?? "")}`)
            .replace(SCRIPT, '<link rel="modulepreload" crossorigin href="$1">')
            .replaceAll('<link rel="modulepreload"', '<link rel="modulepreload" fetchpriority="low"'),
          tags: [
            ...fonts.map((name) => ({ tag: "link", attrs: { rel: "preload", as: "font", type: "font/woff2", crossorigin: true, href: `/${name}` } })),
            // Asks as soon as it is there, while the rest is still loaded.
            { tag: "script", attrs: { type: "module", async: true, crossorigin: true, fetchpriority: "high", src: `/${asking}` }, injectTo: "head" as const },
            { tag: "script", children: early(lateScripts(bundle ?? {})), injectTo: "head" as const },
          ],
        };
      },
    },
  };
}

/** Beside each text that a browser loads, the same compressed as far as it goes; of the files as they were written. */
function compressed(): Plugin {
  return {
    name: "compressed",
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle).filter((file) => /\.(js|css)$/.test(file))) {
        writeFileSync(`${dir}/${name}.br`, brotliCompressSync(readFileSync(`${dir}/${name}`)));
      }
    },
  };
}

/** What the first view loads, in few files: each costs the server and the browser a request. */
const FIRST_VIEW = [
  { name: "asking", test: /src\/asking/, priority: 2 },
  { name: "react", test: /node_modules\/(react|react-dom|scheduler)\/|src\/drawing|rolldown.runtime/, priority: 1 },
  { name: "first", tags: ["$initial" as const] },
  { name: "controls", test: /panels\/Controls/ },
  { name: "charts", test: /panels\/(TimeChart|MonthChart|HeatMap)/ },
];

// The built page lands inside the Python package, which serves it.
export default defineConfig({
  plugins: [react(), fontLicence(), shell(), compressed()],
  build: {
    chunkSizeWarningLimit: 700,
    outDir: "../src/taximeter/server/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    rolldownOptions: { output: { codeSplitting: { groups: FIRST_VIEW } } },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8787", "/signin": "http://127.0.0.1:8787" } },
});
