import type { GeneratedToolCall, ToolCallDelta } from '../messages.ts';
import type { TokenDecoder, Tokenizer } from '../ports.ts';
import { argumentStartName, callEndName, callStartName, findIds, sectionEndNames } from './tool-markers.ts';

interface OpenCall {
  /** Tokens of the id, until the arguments begin. */
  readonly idTokens: number[];
  /** Null while it is not known whether this is a call. */
  delta: { readonly index: number; readonly id: string; readonly name: string } | null;
  decoder: TokenDecoder | null;
  arguments: string;
  /** White space that belongs to the arguments only when more follows. */
  heldSpace: string;
}

/**
 * The calls of a section of tool calls, while its tokens come. A call begins to count with its arguments: one without
 * them or without an id is no call, one that is cut off inside them is kept as it stands. White space around ids and
 * arguments is left out. Markers of the section itself may be among the tokens.
 */
export class ToolCallParser {
  readonly #tokenizer: Tokenizer;
  readonly #callStart: number | undefined;
  readonly #argumentStart: number | undefined;
  readonly #ends: readonly number[];
  readonly #calls: { readonly id: string; readonly name: string; arguments: string }[] = [];
  #open: OpenCall | null = null;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    [this.#callStart] = findIds(tokenizer, [callStartName]);
    [this.#argumentStart] = findIds(tokenizer, [argumentStartName]);
    this.#ends = findIds(tokenizer, [callEndName, ...sectionEndNames]);
  }

  get calls(): readonly GeneratedToolCall[] {
    return this.#calls.map((call) => ({ ...call }));
  }

  /** What a call gained with this token; null when none did. */
  push(id: number): ToolCallDelta | null {
    if (id === this.#callStart) {
      const rest = this.flush();
      this.#open = { idTokens: [], delta: null, decoder: null, arguments: '', heldSpace: '' };
      return rest;
    }
    if (this.#ends.includes(id)) return this.flush();
    const open = this.#open;
    if (open === null) return null;
    if (id === this.#argumentStart && open.decoder === null) return this.#beginArguments(open);
    if (open.decoder !== null) return this.#extend(open, open.decoder.push(id));
    open.idTokens.push(id);
    return null;
  }

  /** Ends the call that is open: what a broken character left behind, as U+FFFD. */
  flush(): ToolCallDelta | null {
    const open = this.#open;
    this.#open = null;
    return open === null || open.decoder === null ? null : this.#extend(open, open.decoder.flush());
  }

  #beginArguments(open: OpenCall): ToolCallDelta | null {
    open.decoder = this.#tokenizer.openDecoder();
    const id = this.#tokenizer.decode(open.idTokens).trim();
    if (id === '') return null;
    open.delta = { index: this.#calls.length, id, name: nameOf(id) };
    this.#calls.push({ id, name: open.delta.name, arguments: '' });
    return { ...open.delta, arguments: '' };
  }

  #extend(open: OpenCall, text: string): ToolCallDelta | null {
    const { delta } = open;
    if (delta === null) return null;
    const all = open.heldSpace + text;
    const begun = open.arguments === '' ? all.trimStart() : all;
    const added = begun.trimEnd();
    open.heldSpace = begun.slice(added.length);
    if (added === '') return null;
    open.arguments += added;
    const call = this.#calls[delta.index];
    if (call !== undefined) call.arguments = open.arguments;
    return { index: delta.index, id: null, name: null, arguments: added };
  }
}

/** `functions.<name>:<idx>`, the prefix and the number both optional. */
function nameOf(id: string): string {
  return id.replace(/^functions\./, '').replace(/:\d+$/, '');
}
