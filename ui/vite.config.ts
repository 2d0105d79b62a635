import { readFileSync } from "node:fs";

import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

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

// The built page lands inside the Python package, which serves it.
export default defineConfig({
  plugins: [react(), fontLicence()],
  build: { chunkSizeWarningLimit: 700, outDir: "../src/taximeter/server/page", emptyOutDir: true, assetsInlineLimit: 0 },
  server: { proxy: { "/api": "http://127.0.0.1:8787", "/signin": "http://127.0.0.1:8787" } },
});
