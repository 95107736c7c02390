import type { GenerateDelta } from '../../src/engine/index.ts';
import { type OpenDeltas, presentTokenLogprob } from '../../src/pipeline/index.ts';
import type { EventBus, LineDelta, TextPiece } from '../../src/queue/index.ts';

/** What the choices of one line gain → the bus. Each try of a choice counts its places from the beginning. */
export function buildDeltaPublisher(bus: EventBus, batchId: string): OpenDeltas {
  return (choice) => {
    const places = new DeltaPlaces(choice);
    return (delta) => void bus.publish({ type: 'line-delta', batchId, delta: places.put(delta) });
  };
}

/** Gives each piece its place in the answer. */
class DeltaPlaces {
  readonly #choice: number;
  readonly #reasoning = new Place();
  readonly #content = new Place();
  readonly #arguments = new Map<number, Place>();
  #logprobTotal = 0;

  constructor(choice: number) {
    this.#choice = choice;
  }

  put({ reasoning, content, toolCalls, logprobs, completionTokens }: GenerateDelta): LineDelta {
    return {
      choice: this.#choice,
      completionTokens,
      reasoning: this.#reasoning.put(reasoning),
      content: this.#content.put(content),
      toolCalls: toolCalls.map(({ index, id, name, arguments: text }) => ({
        index,
        id,
        name,
        arguments: this.#argumentsOf(index).put(text),
      })),
      logprobs: logprobs === null ? null : this.#putLogprobs(logprobs),
    };
  }

  #argumentsOf(index: number): Place {
    const place = this.#arguments.get(index) ?? new Place();
    this.#arguments.set(index, place);
    return place;
  }

  #putLogprobs(logprobs: NonNullable<GenerateDelta['logprobs']>): LineDelta['logprobs'] {
    const at = this.#logprobTotal;
    this.#logprobTotal += logprobs.length;
    return { at, tokens: logprobs.map(presentTokenLogprob) };
  }
}

/** Where the next piece of one text begins. */
class Place {
  #at = 0;

  put(text: string): TextPiece {
    const at = this.#at;
    this.#at += text.length;
    return { at, text };
  }
}
