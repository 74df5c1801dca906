import { defineConfig } from "vite";

export default defineConfig({
  // The API serves index.html at /graphql, and everything beside it under this prefix.
  base: "/dashboard/",
  build: {
    target: "es2023",
    // Files of their own, so that the Content-Security-Policy allows data: for as little as possible.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 3000,
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
  worker: { format: "es" },
  server: {
    proxy: { "/graphql": { target: "http://127.0.0.1:8000", ws: true }, "/signin": "http://127.0.0.1:8000" },
  },
});
