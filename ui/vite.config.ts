import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The built page lands inside the Python package, which serves it.
export default defineConfig({
  plugins: [react()],
  build: { chunkSizeWarningLimit: 700, outDir: "../src/taximeter/server/page", emptyOutDir: true, assetsInlineLimit: 0 },
  server: { proxy: { "/api": "http://127.0.0.1:8787", "/signin": "http://127.0.0.1:8787" } },
});
