// What every client does: enqueue, be refused, watch, page, and see the fault of a bad document.
// node journey.mjs CLIENT; QUEUEQL_URL and QUEUEQL_TOKEN say where. Prints what it saw as JSON.
import assert from "node:assert/strict";

const JOBS = 3;

// A client is { execute(name, variables) -> data, throwing faults; watch(variables, next) -> Promise of its end; close() }.
async function journey(client) {
  const ids = [];
  for (let number = 0; number < JOBS; number += 1) {
    const args = { steps: 3, stepS: 0.05 };
    const { job, userErrors } = (await client.execute("enqueue", { input: { args } })).demoCountdownEnqueue;
    assert.deepEqual(userErrors, []);
    ids.push(job.id);
  }

  const states = await Promise.all(
    ids.map(async (id) => {
      const seen = [];
      await client.watch({ id }, (data) => seen.push(data.job));
      assert.equal(seen.at(-1).state, "COMPLETED");
      assert.equal(seen.at(-1).result, "Lift-off!");
      return seen.map((job) => job.state);
    }),
  );

  const refused = (await client.execute("enqueueAny", { input: { task: "no_such_task", args: {} } })).jobEnqueue;
  assert.equal(refused.job, null);
  assert.equal(refused.userErrors[0].code, "UNKNOWN_TASK");

  const paged = [];
  let after = null;
  do {
    const { nodes, pageInfo } = (await client.execute("page", { after })).jobs;
    paged.push(...nodes.map((job) => job.id));
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } while (after);
  assert.ok(ids.every((id) => paged.includes(id)), "a job is missing in the pages");
  assert.equal(new Set(paged).size, paged.length, "a job came twice");

  if (client.takesAnyDocument !== false) {
    await assert.rejects(() => client.execute("bad", {}), /noSuchField/);
  }
  return { states, pages: paged.length };
}

const client = await (await import(`./${process.argv[2]}.mjs`)).open();
const seen = await journey(client);
await client.close();
console.log(JSON.stringify(seen));
