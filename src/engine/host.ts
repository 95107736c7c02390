import { Engine } from './engine.ts';
import { LatentBuffer } from './kv/latent-buffer.ts';
import { PrefixSlot } from './kv/prefix-slot.ts';
import type { ModelCard } from './messages.ts';
import { loadModelFolder } from './model/load-model.ts';
import { openOrtRunner } from './runtime/ort-runner.ts';
import { readSpecialTokens } from './special-tokens.ts';
import { openGrammarCompiler } from './structured/grammar.ts';
import { openTokenizer } from './tokenizer/tokenizer.ts';

export { serveEngine } from './serve.ts';
export { verifyModel } from './verify.ts';

export interface EngineHostOptions {
  readonly modelDir: string;
  /** Threads of one run; up to 3 the bits of results do not depend on it. */
  readonly threads: number;
}

export interface EngineHost {
  readonly engine: Engine;
  readonly card: ModelCard;
  close(): Promise<void>;
}

/**
 * Loads a model folder and makes an engine of it. The only door to the native runtime.
 * @throws `input.model-folder`, `corrupt.safetensors`, `capacity.model-too-large`
 */
export async function openEngineHost(options: EngineHostOptions): Promise<EngineHost> {
  const model = await loadModelFolder(options.modelDir);
  const tokenizer = await openTokenizer(options.modelDir, model.config.vocabularySize);
  const runner = await openOrtRunner(model, { precision: 'full', threads: options.threads });
  const special = readSpecialTokens(tokenizer, runner.vocabularySize, model.config.stopIds);
  const grammars = await openGrammarCompiler(tokenizer, special.stopIds);
  const engine = new Engine({
    runner,
    tokenizer,
    grammars,
    special,
    slot: new PrefixSlot(runner.layers, runner.latentWidth),
    scratch: new LatentBuffer(runner.layers, runner.latentWidth),
    nowMs: () => Date.now(),
  });
  return { engine, card: model.card, close: () => runner.close() };
}
