// Submits a fetch of a page to the API with a key, waits for its end, and prints what it fetched.
const [api, key, url] = process.argv.slice(2);

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${key}`, ...options.headers };
  const answer = await fetch(api + path, { ...options, headers });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  return answer;
}

const submitted = await ask("/v1/jobs", {
  method: "POST",
  headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
  body: JSON.stringify({ kind: "web.fetch", payload: { url } }),
});
const job = await (await ask(submitted.headers.get("Location"), { headers: { Prefer: "wait=20" } })).json();
if (job.state !== "succeeded") throw new Error(job.state);
process.stdout.write(await (await ask(job.artifacts[0].links.self)).text());
