import { invariant } from '../../base/invariant.ts';
import type { Grammar, GrammarCompiler, Tokenizer } from '../ports.ts';
import { keepOnly } from '../structured/token-mask.ts';
import type { PlannedTool, ToolPlan } from './tool-plan.ts';

interface Candidate {
  readonly tool: PlannedTool;
  /** `functions.<name>:<index>` as it is encoded in prompts. */
  readonly ids: readonly number[];
}

type Step =
  /** A call may begin, or the section end. */
  | { readonly type: 'between' }
  /** Candidates begin with the same `written` tokens: those of the call's id so far. */
  | { readonly type: 'id'; readonly candidates: readonly Candidate[]; readonly written: number }
  | { readonly type: 'arguments'; readonly grammar: Grammar }
  | { readonly type: 'ended' };

/**
 * A section of tool calls from behind its first token: at least one call, of tools that may be called, numbered on,
 * with arguments under their schema. Everything else is excluded, so a section that ends is valid.
 */
export class ToolSection {
  readonly #plan: ToolPlan;
  readonly #tokenizer: Tokenizer;
  readonly #grammars: GrammarCompiler;
  #step: Step = { type: 'between' };
  #calls = 0;

  constructor(plan: ToolPlan, tokenizer: Tokenizer, grammars: GrammarCompiler) {
    this.#plan = plan;
    this.#tokenizer = tokenizer;
    this.#grammars = grammars;
  }

  get hasEnded(): boolean {
    return this.#step.type === 'ended';
  }

  /** The only token that can follow, or null where there is a choice. */
  forced(): number | null {
    const step = this.#step;
    if (step.type === 'ended') return null;
    if (step.type === 'arguments') return step.grammar.isComplete() ? this.#plan.markers.callEnd : null;
    const [only, other] = this.#listNext(step);
    return other === undefined && only !== undefined ? only : null;
  }

  /** @throws `input.schema` as `Grammar.mask` does */
  mask(logits: Float32Array): void {
    const step = this.#step;
    if (step.type === 'arguments') step.grammar.mask(logits);
    else keepOnly(logits, step.type === 'ended' ? [] : this.#listNext(step));
  }

  /** Throws `bug.invariant` for a token that the mask excludes. */
  accept(id: number): void {
    const step = this.#step;
    invariant(step.type !== 'ended', `token ${id} was chosen behind the end of the section`);
    if (step.type === 'arguments') {
      step.grammar.accept(id);
      if (id !== this.#plan.markers.callEnd) return;
      this.#calls++;
      this.#step = { type: 'between' };
      return;
    }
    invariant(this.#listNext(step).includes(id), `token ${id} was chosen although the section excludes it`);
    this.#step = step.type === 'between' ? this.#begin(id) : this.#goOn(step, id);
  }

  #listNext(step: Extract<Step, { type: 'between' | 'id' }>): readonly number[] {
    const { markers, isParallel } = this.#plan;
    if (step.type === 'between') {
      if (this.#calls === 0) return [markers.callStart];
      return isParallel ? [markers.callStart, markers.sectionEnd] : [markers.sectionEnd];
    }
    return [...new Set(step.candidates.map(({ ids }) => ids[step.written] ?? markers.argumentStart))];
  }

  #begin(id: number): Step {
    const { markers, tools, firstIndex } = this.#plan;
    if (id === markers.sectionEnd) return { type: 'ended' };
    const index = firstIndex + this.#calls;
    const candidates = tools.map((tool) => ({
      tool,
      ids: this.#tokenizer.encodePlain(`functions.${tool.name}:${index}`),
    }));
    return { type: 'id', candidates, written: 0 };
  }

  #goOn({ candidates, written }: Extract<Step, { type: 'id' }>, id: number): Step {
    const { markers } = this.#plan;
    if (id !== markers.argumentStart) {
      return { type: 'id', candidates: candidates.filter(({ ids }) => ids[written] === id), written: written + 1 };
    }
    const chosen = candidates.find(({ ids }) => ids.length === written);
    invariant(chosen !== undefined, 'the arguments of a tool call begin before its id ends');
    const { schema } = chosen.tool;
    return { type: 'arguments', grammar: this.#grammars.compile({ type: 'json-schema', schema }, [markers.callEnd]) };
  }
}
