import { sha256Hex } from '../base/hash.ts';
import { invariant } from '../base/invariant.ts';
import { type Logger, silentLogger } from '../base/log.ts';
import { Engine } from './engine.ts';
import { BlockBudget } from './kv/block-budget.ts';
import { type DiskTier, openDiskTier } from './kv/disk-tier.ts';
import { NoPrefixCache } from './kv/no-prefix-cache.ts';
import { RadixPrefixCache } from './kv/radix-prefix-cache.ts';
import { RemotePages } from './kv/remote-pages.ts';
import { TierChain } from './kv/tiered-pages.ts';
import type { ModelCard } from './messages.ts';
import type { Precision } from './model/layer-weights.ts';
import { loadModelFolder } from './model/load-model.ts';
import type { Provider } from './model/operators/provider-operators.ts';
import type { ModelRunner } from './ports.ts';
import { openOrtRunner } from './runtime/ort-runner.ts';
import { readSpecialTokens } from './special-tokens.ts';
import { openGrammarCompiler } from './structured/grammar.ts';
import { rememberTexts } from './tokenizer/remembering-tokenizer.ts';
import { openTokenizer } from './tokenizer/tokenizer.ts';

export { logRequests } from './request-log.ts';
export { serveEngine } from './serve.ts';
export { verifyModel } from './verify.ts';

export interface EngineHostOptions {
  readonly modelDir: string;
  /** Threads of one run; up to 3 the bits of results do not depend on it. */
  readonly threads: number;
  /** Equal bits whatever runs beside a request, whatever is cached and wherever it is interrupted. */
  readonly reproducible: boolean;
  /** Who computes; another than the CPU needs `reproducible` false. @defaultValue `cpu` */
  readonly provider?: Provider;
  readonly precision: Precision;
  /** Where models are kept as the runtime uses them; null: nowhere. @defaultValue null */
  readonly preparedFolder?: string | null;
  /** Of latents in memory: cached pages, windows and own rows together. */
  readonly pageMemoryBytes: number;
  readonly pageDisk: { readonly folder: string; readonly budgetBytes: number } | null;
  /** Most requests that are read or answered at a time. */
  readonly maxSequences: number;
  /** Token budget of a round of the scheduler. */
  readonly prefillTokens: number;
  /** Most tokens of an answer that are guessed, from its prompt or from the tenant's last answers, and verified in one run; 0: none. */
  readonly draftTokens: number;
  /** Keep pages for later requests; false is the plain engine that others are measured against. @defaultValue true */
  readonly prefixCache?: boolean;
  /** Pages of shared prefixes go to the object store and come from it, by messages to the parent; needs `pageDisk`. @defaultValue false */
  readonly pageStore?: boolean;
  readonly log?: Logger;
}

export interface EngineHost {
  readonly engine: Engine;
  /** Null without a page store. */
  readonly remotePages: RemotePages | null;
  readonly runner: ModelRunner;
  readonly card: ModelCard;
  close(): Promise<void>;
}

/**
 * Loads a model folder and makes an engine of it. The only door to the native runtime.
 * @throws `input.model-folder`, `corrupt.safetensors`, `capacity.model-too-large`, `input.config`
 */
export async function openEngineHost(options: EngineHostOptions): Promise<EngineHost> {
  const { threads, reproducible, precision, provider = 'cpu', preparedFolder = null, log = silentLogger } = options;
  const model = await loadModelFolder(options.modelDir);
  const tokenizer = rememberTexts(await openTokenizer(options.modelDir, model.config.vocabularySize));
  const runner = await openOrtRunner(model, { precision, threads, reproducible, provider, preparedFolder, log });
  const special = readSpecialTokens(tokenizer, runner.vocabularySize, model.config.stopIds);
  const budget = BlockBudget.ofBytes(options.pageMemoryBytes, runner);
  const { disk, remote } = await openTiers(runner, options);
  const tiers = [disk, remote].filter((one) => one !== null);
  const tier = tiers.length === 0 ? null : new TierChain(tiers);
  const engine = new Engine(
    {
      runner,
      tokenizer,
      grammars: openGrammarCompiler(tokenizer, special.stopIds),
      special,
      budget,
      cache: (options.prefixCache ?? true) ? new RadixPrefixCache(budget) : new NoPrefixCache(budget),
      tier,
      tierStats: () => ({ disk: disk?.stats() ?? null, remote: remote?.stats() ?? null }),
      remotePages: remote,
      nowMs: () => Date.now(),
    },
    options,
  );
  const card = { ...model.card, digest: sha256Hex(`${model.card.digest} ${runner.weightsDigest}`) };
  return {
    engine,
    remotePages: remote,
    runner,
    card,
    close: async () => {
      await tier?.close();
      await runner.close();
    },
  };
}

interface Tiers {
  readonly disk: DiskTier | null;
  readonly remote: RemotePages | null;
}

async function openTiers(
  runner: ModelRunner,
  { pageDisk, pageStore = false, log = silentLogger }: EngineHostOptions,
): Promise<Tiers> {
  if (pageDisk === null) {
    invariant(
      !pageStore,
      'pages go to the object store and come from it through files, but there is no disk for pages',
    );
    return { disk: null, remote: null };
  }
  const { layers, latentWidth, digest } = runner;
  let remote: RemotePages | null = null;
  const onStored = (name: string): void => remote?.stored(name);
  const disk = await openDiskTier({ ...pageDisk, layers, latentWidth, digest, onStored, log });
  if (pageStore) remote = new RemotePages({ digest, disk, folder: pageDisk.folder, nowMs: () => performance.now() });
  return { disk, remote };
}
