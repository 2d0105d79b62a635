/** What draws, by itself: it is loaded and run before the rest of the script (see `vite.config.ts`). */

export { createRoot } from "react-dom/client";
