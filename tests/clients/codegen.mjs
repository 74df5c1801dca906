// The typed documents that GraphQL Code Generator made, run by urql.
import { open as openUrql } from "./urql.mjs";

export async function open() {
  const { enqueue, enqueueAny, page, watch } = await import("./generated/js/codegen/journey.js");
  return { ...(await openUrql({ enqueue, enqueueAny, page, watch })), takesAnyDocument: false };
}
