import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnswerState, SavedAnswer } from '../../../src/engine/answer-state.ts';
import type { GenerateDelta, GenerateRequest } from '../../../src/engine/messages.ts';
import { validateJson } from '../../../src/engine/structured/json-schema.ts';
import {
  encodeParts,
  joinDeltas,
  messageWithCalls,
  openTestAnswer,
  toolDeclaration,
} from '../../support/answer-script.ts';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { neutralSampling } from '../../support/neutral-sampling.ts';
import { chatMessage } from '../../support/test-engine.ts';

const look = {
  type: 'object',
  properties: { at: { type: 'string', maxLength: 6 }, n: { enum: [1, 22] } },
  required: ['n'],
};
const lookUp = { type: 'object', properties: { q: { type: 'boolean' } }, required: ['q'] };
const tools = [toolDeclaration('look', look), toolDeclaration('look_up', lookUp)];
const schema = {
  type: 'object',
  properties: { s: { type: 'string', maxLength: 8 }, b: { type: 'boolean' } },
  required: ['s'],
};

type AskedRequest = Pick<
  GenerateRequest,
  | 'thinkingBudget'
  | 'format'
  | 'tools'
  | 'toolChoice'
  | 'parallelToolCalls'
  | 'messages'
  | 'logprobs'
  | 'stop'
  | 'sampling'
>;

const anyRequest: fc.Arbitrary<AskedRequest> = fc.record({
  thinkingBudget: fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }),
  format: fc.constantFrom<GenerateRequest['format']>(
    { type: 'text' },
    { type: 'json' },
    { type: 'json-schema', schema },
  ),
  tools: fc.constantFrom(null, tools),
  toolChoice: fc.constantFrom<GenerateRequest['toolChoice']>(
    { type: 'auto' },
    { type: 'required' },
    { type: 'function', name: 'look_up' },
  ),
  parallelToolCalls: fc.boolean(),
  messages: fc.constantFrom([chatMessage('user', 'x')], [chatMessage('user', 'x'), messageWithCalls(10)]),
  logprobs: fc.constantFrom(null, 0, 3),
  stop: fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'é', '{', '"'), minLength: 1, maxLength: 3 }), {
    maxLength: 2,
  }),
  sampling: fc.record({
    temperature: fc.constantFrom(0, 0.7, 1.5),
    topP: fc.constantFrom(1, 0.8),
    topK: fc.constantFrom(0, 20),
    minP: fc.constantFrom(0, 0.02),
    presencePenalty: fc.constantFrom(0, 1.1),
    frequencyPenalty: fc.constantFrom(0, -0.3),
    repetitionPenalty: fc.constantFrom(1, 1.2),
    logitBias: fc.constantFrom(null, [[98, 2] as const]),
    seed: fc.nat(),
  }),
});

/** A request that may be asked, and how long its answer may be. */
const anyCase = fc.record({
  request: anyRequest.map((request) =>
    request.tools === null ? { ...request, toolChoice: { type: 'auto' } as const } : request,
  ),
  maxTokens: fc.integer({ min: 1, max: 120 }),
  noise: fc.nat(),
});

const markers = encodeParts('<|im_end|>', '</think>', '<|tool_calls_section_begin|>', '<|tool_calls_section_end|>');
const letters = [...Buffer.from('abé漢{}":,12 ')];

/** Logits of a place depend on the place alone. */
function logitsAt(place: number, noise: number): Float32Array {
  let state = (noise * 2654435761 + place * 40503 + 1) >>> 0;
  const next = (): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
  const logits = Float32Array.from({ length: byteVocabulary }, () => next() * 3);
  for (const id of letters) logits[id] = (logits[id] ?? 0) + 2;
  for (const id of markers) logits[id] = (logits[id] ?? 0) + 1;
  return logits;
}

/** One step of the engine's loop: what it takes between two runs. */
function step(answer: AnswerState, noise: number): GenerateDelta | null {
  answer.takeForced();
  if (!answer.ended) answer.next(logitsAt(answer.completionTokens, noise));
  return answer.takeDelta();
}

function runToEnd(answer: AnswerState, noise: number): readonly GenerateDelta[] {
  const deltas: GenerateDelta[] = [];
  // a step takes a token, so that there are never more of them
  for (let steps = 0; !answer.ended && steps < 500; steps++) {
    const delta = step(answer, noise);
    if (delta !== null) deltas.push(delta);
  }
  expect(answer.ended).toBe(true);
  return deltas;
}

const throughJson = (saved: SavedAnswer): SavedAnswer => JSON.parse(JSON.stringify(saved)) as SavedAnswer;

describe('AnswerState', () => {
  it('goes on from any place of its log as if it had never stopped', () => {
    fc.assert(
      fc.property(anyCase, fc.double({ min: 0, max: 1, noNaN: true }), ({ request, maxTokens, noise }, share) => {
        const whole = openTestAnswer(request, maxTokens);
        const expected = runToEnd(whole, noise);
        const cut = Math.floor(share * whole.completionTokens);

        // stopped at a step, as the engine does it
        const stopped = openTestAnswer(request, maxTokens);
        const before: GenerateDelta[] = [];
        while (!stopped.ended && stopped.completionTokens < cut) {
          const delta = step(stopped, noise);
          if (delta !== null) before.push(delta);
        }
        const resumed = openTestAnswer(request, maxTokens);
        resumed.restore(throughJson(stopped.save()));
        expect(resumed.tokenIds).toEqual(stopped.tokenIds);
        const caughtUp = resumed.takeDelta();
        expect(joinDeltas(caughtUp === null ? [] : [caughtUp])).toEqual(joinDeltas(before));
        expect([...before, ...runToEnd(resumed, noise)]).toEqual(expected);
        expect(resumed.save()).toEqual(whole.save());
        expect(resumed.result()).toEqual(whole.result());
      }),
      { seed: 11, numRuns: 80 },
    );
  }, 30_000);

  it('goes on between two forced tokens, too', () => {
    fc.assert(
      fc.property(anyCase, ({ request, maxTokens, noise }) => {
        const greedy = {
          ...request,
          logprobs: null,
          sampling: { ...request.sampling, temperature: 0 },
        } as typeof request;
        const whole = openTestAnswer(greedy, maxTokens);
        runToEnd(whole, noise);
        for (let cut = 0; cut <= whole.completionTokens; cut++) {
          const resumed = openTestAnswer(greedy, maxTokens);
          resumed.restore({ tokenIds: whole.tokenIds.slice(0, cut), draws: 0, logprobs: null });
          runToEnd(resumed, noise);
          expect(resumed.save()).toEqual(whole.save());
          expect(resumed.result()).toEqual(whole.result());
        }
      }),
      { seed: 12, numRuns: 12 },
    );
  }, 30_000);

  it('shows in its deltas exactly what its result says, and tokens in rising order', () => {
    fc.assert(
      fc.property(anyCase, ({ request, maxTokens, noise }) => {
        const answer = openTestAnswer(request, maxTokens);
        const deltas = runToEnd(answer, noise);
        const { reasoning, content, toolCalls, logprobs } = answer.result();
        expect(joinDeltas(deltas)).toEqual({ reasoning, content, toolCalls, logprobs: logprobs ?? [] });
        const totals = deltas.map(({ completionTokens }) => completionTokens);
        expect(totals).toEqual([...new Set(totals)].sort((a, b) => a - b));
      }),
      { seed: 13, numRuns: 150 },
    );
  });

  it('keeps to limits and stop strings', () => {
    fc.assert(
      fc.property(anyCase, ({ request, maxTokens, noise }) => {
        const answer = openTestAnswer(request, maxTokens);
        runToEnd(answer, noise);
        const { content, completionTokens, reasoningTokens, logprobs, finishReason, schemaError } = answer.result();
        expect(completionTokens).toBeLessThanOrEqual(maxTokens);
        expect(reasoningTokens).toBeLessThanOrEqual(request.thinkingBudget ?? maxTokens);
        for (const stop of request.stop) expect(content).not.toContain(stop);
        expect(logprobs === null).toBe(request.logprobs === null);
        const hasForm = request.toolChoice.type !== 'auto' || request.format.type === 'json-schema';
        if (finishReason !== 'length' || !hasForm) return;
        if (schemaError === null) expect(validateJson(schema, JSON.parse(content))).toBeNull();
        else expect(schemaError).toMatch(/cut off/);
      }),
      { seed: 14, numRuns: 150 },
    );
  });

  it('ends JSON whole whenever its tokens are enough for the shortest', () => {
    const item = {
      type: 'object',
      properties: { s: { type: 'string' }, n: { type: 'integer' } },
      required: ['s', 'n'],
    };
    const nested = {
      type: 'object',
      properties: { s: { type: 'string', maxLength: 40 }, l: { type: 'array', items: item }, b: { type: 'boolean' } },
      required: ['s', 'l', 'b'],
    };
    const opening = 2;
    const least = opening + '{"s":"","l":[],"b":true}'.length;
    let led = 0;
    fc.assert(
      fc.property(anyCase, fc.integer({ min: least, max: least + 60 }), ({ request, noise }, maxTokens) => {
        const asked = { ...request, stop: [], tools: null, toolChoice: { type: 'auto' } as const, thinkingBudget: 0 };
        const answer = openTestAnswer({ ...asked, format: { type: 'json-schema', schema: nested } }, maxTokens);
        runToEnd(answer, noise);
        const { content, finishReason, schemaError } = answer.result();
        expect(schemaError).toBeNull();
        expect(validateJson(nested, JSON.parse(content))).toBeNull();
        if (finishReason === 'length') led++;
      }),
      { seed: 16, numRuns: 200 },
    );
    expect(led).toBeGreaterThan(50);
  });

  it('ends in the form that was asked for: calls with their names and numbers, or JSON', () => {
    const seen = { calls: 0, json: 0 };
    const checkCalls = (request: AskedRequest, answer: AnswerState): void => {
      seen.calls++;
      const { toolCalls } = answer.result();
      expect(toolCalls.length).toBeGreaterThan(0);
      expect(request.parallelToolCalls || toolCalls.length === 1).toBe(true);
      const first = request.messages.length === 2 ? 10 : 0;
      for (const [index, { id, name, arguments: json }] of toolCalls.entries()) {
        expect(id).toBe(`functions.${name}:${first + index}`);
        expect(validateJson(name === 'look' ? look : lookUp, JSON.parse(json))).toBeNull();
      }
    };
    fc.assert(
      fc.property(anyCase, ({ request, maxTokens, noise }) => {
        const whole = { ...request, stop: [] };
        const answer = openTestAnswer(whole, maxTokens);
        runToEnd(answer, noise);
        const { finishReason, schemaError, content } = answer.result();
        if (finishReason === 'length') return;
        expect(schemaError).toBeNull();
        expect(request.toolChoice.type === 'auto' || finishReason === 'tool_calls').toBe(true);
        if (finishReason === 'tool_calls') checkCalls(whole, answer);
        else if (request.format.type !== 'text') {
          seen.json++;
          expect(JSON.parse(content)).toBeTypeOf('object');
        }
      }),
      { seed: 15, numRuns: 200 },
    );
    expect(Math.min(seen.calls, seen.json)).toBeGreaterThan(20);
  });
});

describe('AnswerState.restore', () => {
  const saved = (): SavedAnswer => {
    const answer = openTestAnswer({ logprobs: 0, tools });
    answer.takeForced();
    for (let count = 0; count < 3; count++) answer.next(logitsAt(count, 1));
    return answer.save();
  };
  const refuse = (more: Partial<GenerateRequest>, change: (saved: SavedAnswer) => SavedAnswer): void => {
    const answer = openTestAnswer({ logprobs: 0, tools, ...more });
    expect(() => answer.restore(change(saved()))).toThrowError(expect.objectContaining({ code: 'corrupt.record' }));
  };
  const [thinkStart = 0, thinkEnd = 0, end = 0, sectionStart = 0] = encodeParts(
    '<think>',
    '</think>',
    '<|im_end|>',
    '<|tool_calls_section_begin|>',
  );
  const ids = (tokenIds: readonly number[]): SavedAnswer => ({ tokenIds, draws: 0, logprobs: null });

  it('takes back what it saved', () => {
    const answer = openTestAnswer({ logprobs: 0, tools });
    answer.restore(saved());
    expect(answer.save()).toEqual(saved());
  });

  it('rejects a log that the request does not allow', () => {
    const none = { logprobs: null };
    const opened = [thinkStart, thinkEnd];
    refuse(none, () => ids([97]));
    refuse(none, () => ids([thinkStart, 97]));
    refuse(none, () => ids([...opened, thinkEnd]));
    refuse(none, () => ids([...opened, 99_999]));
    refuse(none, () => ids([...opened, -1]));
    refuse(none, () => ids([...opened, 97.5]));
    refuse(none, () => ids([...opened, end, 97]));
    refuse({ ...none, tools: null }, () => ids([...opened, sectionStart]));
    refuse({ ...none, format: { type: 'json' } }, () => ids([...opened, 97]));
    refuse({ ...none, format: { type: 'json' } }, () => ids([...opened, 0x7b, sectionStart]));
    refuse({ ...none, format: { type: 'json' } }, () => ids([...opened, 0x7b, end]));
    refuse({ ...none, toolChoice: { type: 'required' } }, () => ids([...opened, 97]));
    refuse(none, () => ids([...opened, sectionStart, ...encodeParts('<|tool_call_begin|>', 'functions.x')]));
  });

  it('rejects draws and log-probabilities that do not belong to the log', () => {
    refuse({}, (good) => ({ ...good, draws: 1 }));
    refuse({ sampling: neutralSampling }, (good) => ({ ...good, draws: 2 }));
    refuse({}, (good) => ({ ...good, logprobs: null }));
    refuse({ logprobs: null }, (good) => good);
    refuse({}, (good) => ({ ...good, logprobs: good.logprobs?.slice(1) ?? null }));
    refuse({}, (good) => ({ ...good, logprobs: [...(good.logprobs ?? []), ...(good.logprobs ?? [])] }));
    refuse({}, (good) => ({
      ...good,
      logprobs: [...(good.logprobs ?? [])].reverse().map((one, at) => ({ ...one, id: one.id + at + 1 })),
    }));
  });

  it('is for an answer that has not begun', () => {
    const answer = openTestAnswer({ logprobs: 0, tools });
    answer.takeForced();
    expect(() => answer.restore(saved())).toThrowError(expect.objectContaining({ code: 'bug.invariant' }));
  });
});
