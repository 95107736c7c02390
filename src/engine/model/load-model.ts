import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { AppError, isAppError } from '../../base/errors.ts';
import type { ModelCard } from '../messages.ts';
import { ConfigReader, isJsonRecord } from './config-reader.ts';
import { type ModelConfig, parseModelConfig } from './model-config.ts';
import { decodeHeaderLength, decodeSafetensorsHeader, lengthBytes } from './safetensors.ts';
import { countParameters, planTensors } from './tensor-plan.ts';
import { FileWeights, type LocatedTensor, type WeightSource } from './weights.ts';

const singleFile = 'model.safetensors';
const indexFile = 'model.safetensors.index.json';
/** What `quire.json` may say; the folder's own name and weights that were trained otherwise. */
const labelFile = 'quire.json';

export interface LoadedModel {
  readonly folder: string;
  readonly config: ModelConfig;
  readonly weights: WeightSource;
  readonly card: ModelCard;
}

/**
 * Reads config and tensor headers of a checkpoint folder and checks that every tensor the graph needs is there with
 * its shape. Weights are read later, through `weights`; close it when done.
 * Throws `input.model-folder` and `corrupt.safetensors`.
 */
export async function loadModelFolder(folder: string): Promise<LoadedModel> {
  const digest = createHash('sha256');
  const configBytes = await readModelFile(folder, 'config.json');
  addToDigest(digest, 'config.json', configBytes);
  const config = await addGenerationConfig(folder, parseModelConfig(parseJsonFile('config.json', configBytes)));
  for (const [name, bytes] of await findTokenizerFiles(folder)) addToDigest(digest, name, bytes);
  const tensors = await loadHeaders(folder, digest);
  const weights = new FileWeights(tensors, config.quantization);
  try {
    checkTensors(config, weights);
    const card = buildCard(config, await loadLabel(folder), digest.digest('hex'));
    return { folder, config, weights, card };
  } catch (error) {
    weights.close();
    throw error;
  }
}

/**
 * What a model folder is, from its headers; no weights are read and no native code is loaded.
 * Throws `input.model-folder` and `corrupt.safetensors`.
 */
export async function describeModel(folder: string): Promise<ModelCard> {
  const { card, weights } = await loadModelFolder(folder);
  weights.close();
  return card;
}

/** Published folders of the family name the token that ends a turn only there. */
async function addGenerationConfig(folder: string, config: ModelConfig): Promise<ModelConfig> {
  const name = 'generation_config.json';
  const bytes = await findModelFile(folder, name);
  if (bytes === undefined) return config;
  const value = parseJsonFile(name, bytes);
  if (!isJsonRecord(value)) throw new AppError('input.model-folder', `${name} is not a JSON object`);
  const more = new ConfigReader(value, '', name).ids('eos_token_id', config.vocabularySize);
  return Object.freeze({ ...config, stopIds: Object.freeze([...new Set([...config.stopIds, ...more])]) });
}

/** Those the tokenizer is read from: a tiktoken file has the names of its special tokens elsewhere. */
async function findTokenizerFiles(folder: string): Promise<readonly (readonly [name: string, bytes: Buffer])[]> {
  const files: [string, Buffer][] = [];
  const add = async (name: string): Promise<boolean> => {
    const bytes = await findModelFile(folder, name);
    if (bytes !== undefined) files.push([name, bytes]);
    return bytes !== undefined;
  };
  const hasJson = await add('tokenizer.json');
  if (!hasJson && (await add('tiktoken.model'))) await add('tokenizer_config.json');
  return files;
}

type Digest = ReturnType<typeof createHash>;

function addToDigest(digest: Digest, name: string, bytes: Uint8Array): void {
  digest.update(`${name}\n${bytes.byteLength}\n`).update(bytes);
}

function isMissing(error: unknown): boolean {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

async function findModelFile(folder: string, name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(folder, name));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new AppError('input.model-folder', `${join(folder, name)} cannot be read`, { cause: error });
  }
}

async function readModelFile(folder: string, name: string): Promise<Buffer> {
  const bytes = await findModelFile(folder, name);
  if (bytes === undefined) throw new AppError('input.model-folder', `model folder ${folder} has no ${name}`);
  return bytes;
}

function parseJsonFile(name: string, bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError('input.model-folder', `${name} is not JSON: ${reason}`, { cause: error });
  }
}

/** Headers of the single file or of all shards; the index must name the shard that holds a tensor. */
async function loadHeaders(folder: string, digest: Digest): Promise<ReadonlyMap<string, LocatedTensor>> {
  const indexBytes = await findModelFile(folder, indexFile);
  if (indexBytes === undefined) return loadHeader(folder, singleFile, digest, `${singleFile} or ${indexFile}`);
  const shardOf = parseIndex(parseJsonFile(indexFile, indexBytes));
  const tensors = new Map<string, LocatedTensor>();
  for (const shard of [...new Set(shardOf.values())].sort()) {
    const found = await loadHeader(folder, shard, digest, `${shard}, which ${indexFile} names`);
    for (const [name, entry] of found) if (shardOf.get(name) === shard) tensors.set(name, entry);
  }
  for (const [name, shard] of shardOf) {
    if (!tensors.has(name)) {
      const what = `tensor ${name} is not in ${shard}, where ${indexFile} puts it`;
      throw new AppError('input.model-folder', what, { details: { tensor: name, file: shard } });
    }
  }
  return tensors;
}

function parseIndex(value: unknown): ReadonlyMap<string, string> {
  const weightMap = isJsonRecord(value) ? value['weight_map'] : undefined;
  if (!isJsonRecord(weightMap)) throw new AppError('input.model-folder', `${indexFile} has no weight_map`);
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || shard === '' || basename(shard) !== shard || shard.startsWith('.')) {
      const what = `${indexFile}: tensor ${name} is in ${JSON.stringify(shard)}, allowed: a file name`;
      throw new AppError('input.model-folder', what);
    }
    shardOf.set(name, shard);
  }
  return shardOf;
}

async function loadHeader(
  folder: string,
  name: string,
  digest: Digest,
  wanted: string,
): Promise<ReadonlyMap<string, LocatedTensor>> {
  const file = join(folder, name);
  const handle = await open(file, 'r').catch((error: unknown) => {
    const what = isMissing(error) ? `model folder ${folder} has no ${wanted}` : `${file} cannot be read`;
    throw new AppError('input.model-folder', what, { cause: error });
  });
  try {
    const fileBytes = (await handle.stat()).size;
    const head = new Uint8Array(lengthBytes);
    const { bytesRead } = await handle.read(head, 0, lengthBytes, 0);
    const json = new Uint8Array(decodeHeaderLength(head.subarray(0, bytesRead), fileBytes, file));
    await handle.read(json, 0, json.byteLength, lengthBytes);
    const { tensors } = decodeSafetensorsHeader(json, fileBytes, file);
    addToDigest(digest, name, json);
    return new Map([...tensors].map(([tensor, entry]) => [tensor, { ...entry, file }]));
  } catch (error) {
    if (isAppError(error)) throw error;
    throw new AppError('input.model-folder', `${file} cannot be read`, { cause: error });
  } finally {
    await handle.close();
  }
}

function checkTensors(config: ModelConfig, weights: WeightSource): void {
  for (const tensor of planTensors(config)) {
    if (tensor.type === 'vector') weights.checkVector(tensor.name, tensor.length);
    else weights.checkMatrix(tensor.name, tensor.rows, tensor.columns);
  }
}

interface Label {
  readonly id: string;
  readonly weights: 'trained' | 'random';
  readonly notice: string | null;
  readonly wholeDocumentTokens: number | null;
  readonly outlineLines: number | null;
  readonly questionFirst: boolean;
}

async function loadLabel(folder: string): Promise<Label> {
  const bytes = await findModelFile(folder, labelFile);
  const folderName = basename(resolve(folder));
  if (bytes === undefined) {
    return parseLabel({ version: 1 }, folderName);
  }
  return parseLabel(parseJsonFile(labelFile, bytes), folderName);
}

function parseLabel(value: unknown, folderName: string): Label {
  const fail = (field: string, met: unknown, allowed: string): AppError =>
    new AppError(
      'input.model-folder',
      `${labelFile}: ${field} is ${JSON.stringify(met) ?? 'missing'}, allowed: ${allowed}`,
    );
  if (!isJsonRecord(value)) throw fail('the file', value, 'a JSON object');
  const { version, id = folderName, weights = 'trained', notice = null, question_first: first = false } = value;
  const count = (field: string): number | null => {
    const met = value[field] ?? null;
    if (met !== null && !(Number.isSafeInteger(met) && (met as number) >= 0)) throw fail(field, met, 'a count, null');
    return met as number | null;
  };
  if (version !== 1) throw fail('version', version, '1');
  if (typeof id !== 'string' || id === '') throw fail('id', id, 'a name');
  if (weights !== 'trained' && weights !== 'random') throw fail('weights', weights, 'trained, random');
  if (notice !== null && typeof notice !== 'string') throw fail('notice', notice, 'a text, null');
  if (typeof first !== 'boolean') throw fail('question_first', first, 'true, false');
  return {
    id,
    weights,
    notice,
    wholeDocumentTokens: count('whole_document_tokens'),
    outlineLines: count('outline_lines'),
    questionFirst: first,
  };
}

function buildCard(config: ModelConfig, label: Label, digest: string): ModelCard {
  return Object.freeze({
    id: label.id,
    architecture: config.architecture,
    contextTokens: config.contextTokens,
    vocabularySize: config.vocabularySize,
    layers: config.layers,
    experts: config.experts,
    expertsPerToken: config.expertsPerToken,
    hiddenWidth: config.hiddenWidth,
    ...countParameters(config),
    weights: label.weights,
    notice: label.notice,
    wholeDocumentTokens: label.wholeDocumentTokens,
    outlineLines: label.outlineLines,
    questionFirst: label.questionFirst,
    digest,
  });
}
