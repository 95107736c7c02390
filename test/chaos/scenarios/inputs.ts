import { connect } from 'node:net';
import { type DropStatus, outputKeysOf, type Receipt } from '../../../src/intake/index.ts';
import type { ChaosStack } from '../harness/chaos-stack.ts';
import { checkResults, killFigures } from '../harness/check-results.ts';
import { observe } from '../harness/observer.ts';
import { type Outcome, onStack, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';
import { buildLines, type Submitted, uploadLines } from '../harness/workload.ts';

const template = {
  questions: [
    { id: 'notice', question: 'How many days of notice?' },
    { id: 'price', question: 'What is the price?' },
  ],
  max_completion_tokens: 24,
  thinking_budget: 8,
  answer: 'text',
};

async function readJson<Value>(chaos: ChaosStack, key: string): Promise<Value | undefined> {
  const object = await chaos.store.get(key);
  return object === undefined ? undefined : (JSON.parse(Buffer.from(object.body).toString()) as Value);
}

const documentKey = 'inbox/chaos/contract.md';

async function dropDocument(chaos: ChaosStack): Promise<void> {
  await chaos.store.put('inbox/chaos/analysis.json', Buffer.from(JSON.stringify(template)));
  await chaos.store.put(documentKey, Buffer.from('Either party gives 30 days of notice. The price is 12 euros.'));
}

/** Follows the one document to its end: one receipt, one batch, every question once. */
async function checkDrop(chaos: ChaosStack): Promise<Outcome> {
  const receipt = await until(
    'receipt',
    async () => {
      const found = await readJson<Receipt>(chaos, outputKeysOf(documentKey).receipt);
      return found?.batch_id == null ? undefined : found;
    },
    120_000,
  );
  const submitted: Submitted = { id: String(receipt.batch_id), customIds: template.questions.map(({ id }) => id) };
  const timeline = await observe(chaos.apiUrl, submitted.id, { deadlineMs: 120_000 });
  await until('status of the drop', async () => {
    const status = await readJson<DropStatus>(chaos, outputKeysOf(documentKey).status);
    return status?.status === 'completed';
  });
  const outcome = await checkResults(chaos, submitted, timeline);
  const { data } = await chaos.client.batches.list();
  const problems = data.length === 1 ? [] : [`${data.length} batches are listed instead of 1`];
  return { ...outcome, problems: [...outcome.problems, ...problems] };
}

/** What is wrong with a batch that had to be refused with this code for this line. */
async function checkRefused(chaos: ChaosStack, fileId: string, code: string, line: number): Promise<Outcome> {
  const batch = await chaos.client.batches.create({
    input_file_id: fileId,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const { batch: end, illegal } = await observe(chaos.apiUrl, batch.id, { deadlineMs: 60_000 });
  const [error] = (end.errors?.data ?? []) as readonly { code: string; line?: number }[];
  const problems = illegal.map((move) => `illegal move: ${move}`);
  if (end.status !== 'failed') problems.push(`the batch is ${end.status} instead of failed`);
  if (error?.code !== code || error.line !== line) {
    problems.push(`the first error is ${JSON.stringify(error)} instead of ${code} in line ${line}`);
  }
  if (chaos.requestLog.producedTokens() > 0) problems.push('tokens were produced for a batch that was refused');
  return { ...killFigures(chaos), lines: 0, lost: 0, doubled: 0, wastedTokens: 0, problems };
}

/** What comes in double, broken, or unseen. */
export const inputScenarios: readonly Scenario[] = [
  {
    name: 'duplicate_bucket_event',
    about: 'two intakes see a dropped document, and its event comes five times: one batch',
    run: () =>
      onStack({}, async (chaos) => {
        const token = 'chaos-token';
        const { words } = await chaos.startExtra('intake', {
          QUIRE_INTAKE_EVENTS_TOKEN: token,
          QUIRE_INTAKE_EVENTS_PORT: '0',
        });
        await dropDocument(chaos);
        const body = JSON.stringify({ Records: [{ s3: { object: { key: documentKey } } }] });
        const post = (): Promise<Response> =>
          fetch(String(words['events_url']), { method: 'POST', headers: { authorization: `Bearer ${token}` }, body });
        const answers = await Promise.all([post(), post(), post(), post(), post()]);
        const outcome = await checkDrop(chaos);
        const refused = answers.filter(({ status }) => status !== 204);
        return { ...outcome, problems: [...outcome.problems, ...refused.map(({ status }) => `event: ${status}`)] };
      }),
  },
  {
    name: 'missed_bucket_event',
    about: 'a document is dropped into a bucket that sends no events, while no intake runs: it is found by listing',
    run: () =>
      onStack({}, async (chaos) => {
        const dropped = dropDocument(chaos);
        await chaos.killAndAwaitNext('intake');
        await dropped;
        return checkDrop(chaos);
      }),
  },
  {
    name: 'intake_killed_at_every_gap',
    about: 'the intake dies between documents, input and batch of a drop: one batch',
    run: () =>
      onStack({ failpoints: 'drop.before-input=kill,drop.before-batch=kill' }, async (chaos) => {
        await dropDocument(chaos);
        const outcome = await checkDrop(chaos);
        const idle = ['drop.before-input=kill', 'drop.before-batch=kill'].filter((plan) => !chaos.hasActed(plan));
        return { ...outcome, kills: 2, problems: [...outcome.problems, ...idle.map((plan) => `${plan} did not act`)] };
      }),
  },
  {
    name: 'truncated_input',
    about: 'an upload breaks off, and leaves no file; a file whose last line breaks off is refused by its line',
    run: () =>
      onStack({}, async (chaos) => {
        const text = buildLines({ lines: 3 })
          .map((line) => JSON.stringify(line))
          .join('\n');
        await breakOffUpload(chaos.apiUrl, text);
        const { data } = await chaos.client.files.list();
        const { id } = await chaos.client.files.create({
          file: new File([text.slice(0, -20)], 'cut.jsonl'),
          purpose: 'batch',
        });
        const outcome = await checkRefused(chaos, id, 'invalid_json_line', 3);
        const left = data.length === 0 ? [] : [`${data.length} files are left of an upload that broke off`];
        return { ...outcome, problems: [...outcome.problems, ...left] };
      }),
  },
  {
    name: 'duplicate_custom_id',
    about: 'two lines of a batch have one name: refused by the second line, and nothing runs',
    run: () =>
      onStack({}, async (chaos) => {
        const lines = buildLines({ lines: 4 });
        const twice = lines.map((line, index) => (index === 2 ? { ...line, custom_id: 'line-0' } : line));
        return checkRefused(chaos, await uploadLines(chaos.client, twice), 'duplicate_custom_id', 3);
      }),
  },
];

/** Sends half of a multipart upload and closes the connection. */
function breakOffUpload(apiUrl: string, text: string): Promise<void> {
  const { hostname, port } = new URL(apiUrl);
  const boundary = 'chaos';
  const body = [
    `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n`,
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="half.jsonl"\r\n\r\n${text}`,
  ].join('');
  const head = [
    'POST /v1/files HTTP/1.1',
    `Host: ${hostname}`,
    'Authorization: Bearer test',
    `Content-Type: multipart/form-data; boundary=${boundary}`,
    `Content-Length: ${body.length + 1_000}`,
  ].join('\r\n');
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${head}\r\n\r\n${body}`, () => setTimeout(() => socket.resetAndDestroy(), 300));
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}
