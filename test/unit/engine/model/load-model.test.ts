import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAppError } from '../../../../src/base/errors.ts';
import { describeModel, loadModelFolder } from '../../../../src/engine/model/load-model.ts';
import { encodeSafetensors, type TinyOptions, writeTinyCheckpoint } from '../../../support/tiny-checkpoint.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures');
const shard1 = 'model-00001-of-00002.safetensors';
let root = '';
let folderTotal = 0;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-load-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function tiny(options: TinyOptions = {}): string {
  folderTotal += 1;
  const folder = join(root, `tiny-${folderTotal}`);
  writeTinyCheckpoint(folder, options);
  return folder;
}

async function failure(folder: string): Promise<readonly [code: string, message: string]> {
  try {
    await describeModel(folder);
  } catch (error) {
    if (isAppError(error)) return [error.code, error.message];
    throw error;
  }
  return ['none', 'accepted'];
}

/** Replaces the header's JSON by one of equal or other length. */
function editHeader(folder: string, edit: (header: Record<string, { shape: number[] }>) => void): void {
  const file = join(folder, 'model.safetensors');
  const bytes = readFileSync(file);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString()) as Record<string, { shape: number[] }>;
  edit(header);
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(file, Buffer.concat([length, json, bytes.subarray(8 + headerBytes)]));
}

/** Where a tensor's bytes stand in a file. */
function locate(bytes: Buffer, name: string): { readonly start: number } {
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString()) as Record<
    string,
    { data_offsets: number[] }
  >;
  return { start: 8 + headerBytes + (header[name]?.data_offsets[0] ?? 0) };
}

describe('describeModel', () => {
  it('describes a fixture from its headers', async () => {
    const card = await describeModel(join(fixtures, 'k2-tiny-int4'));
    expect(card).toMatchObject({
      id: 'k2-tiny-int4',
      architecture: 'DeepseekV3ForCausalLM',
      contextTokens: 4096,
      vocabularySize: 512,
      layers: 3,
      experts: 8,
      expertsPerToken: 2,
      weights: 'trained',
      notice: null,
      wholeDocumentTokens: null,
      outlineLines: null,
      questionFirst: false,
    });
    expect(card.digest).toMatch(/^[0-9a-f]{64}$/);
    // INT4 experts count as the weights they stand for.
    expect(card.parameters).toBe((await describeModel(join(fixtures, 'k2-tiny-bf16'))).parameters);
    expect(card.activeParameters).toBe(card.parameters - 2 * 6 * 3 * 64 * 128);
  });

  it('reads quire.json', async () => {
    const folder = tiny();
    writeFileSync(join(folder, 'quire.json'), '{"version":1,"id":"quire-nano","weights":"random","notice":"noise"}');
    expect(await describeModel(folder)).toMatchObject({ id: 'quire-nano', weights: 'random', notice: 'noise' });
  });

  it.each([
    ['{"version":2}', 'quire.json: version is 2, allowed: 1'],
    ['{"version":1,"weights":"good"}', 'quire.json: weights is "good", allowed: trained, random'],
    ['{"version":1,"id":""}', 'quire.json: id is "", allowed: a name'],
    ['{"version":1,"whole_document_tokens":-1}', 'quire.json: whole_document_tokens is -1, allowed: a count, null'],
    ['{"version":1,"outline_lines":"9"}', 'quire.json: outline_lines is "9", allowed: a count, null'],
    ['{"version":1,"question_first":1}', 'quire.json: question_first is 1, allowed: true, false'],
    ['{', 'quire.json is not JSON'],
  ])('rejects quire.json %s', async (text, message) => {
    const folder = tiny();
    writeFileSync(join(folder, 'quire.json'), text);
    const [code, met] = await failure(folder);
    expect(code).toBe('input.model-folder');
    expect(met).toContain(message);
  });

  it('gives a digest that follows config, tokenizer and headers and nothing else', async () => {
    const folder = tiny();
    const { digest } = await describeModel(folder);
    const copy = join(root, 'copy');
    cpSync(folder, copy, { recursive: true });
    expect((await describeModel(copy)).digest).toBe(digest);
    writeFileSync(join(copy, 'tokenizer.json'), '{}');
    const withTokenizer = (await describeModel(copy)).digest;
    expect(withTokenizer).not.toBe(digest);
    writeFileSync(join(copy, 'config.json'), `${readFileSync(join(copy, 'config.json'), 'utf8')} `);
    expect((await describeModel(copy)).digest).not.toBe(withTokenizer);
  });

  it('counts the names of special tokens only where a tiktoken file needs them', async () => {
    const folder = tiny();
    const digests: string[] = [];
    for (const name of ['tokenizer_config.json', 'tiktoken.model', 'tokenizer.json']) {
      writeFileSync(join(folder, name), `of ${name}`);
      const before = (await describeModel(folder)).digest;
      writeFileSync(join(folder, 'tokenizer_config.json'), `other, beside ${name}`);
      digests.push(before, (await describeModel(folder)).digest);
    }
    const [plain, plainOther, tiktoken, tiktokenOther, json, jsonOther] = digests;
    expect(plainOther).toBe(plain);
    expect(tiktokenOther).not.toBe(tiktoken);
    expect(jsonOther).toBe(json);
    expect(new Set(digests).size).toBe(4);
  });

  it('joins the stop tokens of config.json and generation_config.json', async () => {
    const folder = tiny();
    writeFileSync(join(folder, 'generation_config.json'), '{"eos_token_id":[7,2]}');
    const model = await loadModelFolder(folder);
    model.weights.close();
    expect(model.config.stopIds).toEqual([2, 7]);
  });

  it('reads a text model that carries a prefix', async () => {
    const text = { architectures: undefined, hidden_size: 32 };
    const source = tiny({ config: text });
    const config = JSON.parse(readFileSync(join(source, 'config.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(source, 'config.json'), JSON.stringify({ architectures: ['Outer'], text_config: config }));
    expect(await failure(source)).toEqual([
      'input.model-folder',
      'tensor language_model.model.embed_tokens.weight is missing',
    ]);
  });
});

describe('loadModelFolder on bad folders', () => {
  it('names a folder without config.json', async () => {
    const [code, message] = await failure(join(root, 'nowhere'));
    expect(code).toBe('input.model-folder');
    expect(message).toContain('nowhere has no config.json');
  });

  it('names a config.json that is not JSON', async () => {
    const folder = tiny();
    writeFileSync(join(folder, 'config.json'), '{"model_type": ');
    const [code, message] = await failure(folder);
    expect(code).toBe('input.model-folder');
    expect(message).toContain('config.json is not JSON');
  });

  it('names an unsupported architecture and those supported', async () => {
    const folder = tiny();
    writeFileSync(join(folder, 'config.json'), '{"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe"}');
    expect(await failure(folder)).toEqual([
      'input.model-folder',
      'config.json: architectures is ["Qwen3MoeForCausalLM"], allowed: DeepseekV3ForCausalLM',
    ]);
  });

  it('names the weights that are missing', async () => {
    const folder = tiny();
    rmSync(join(folder, 'model.safetensors'));
    const [code, message] = await failure(folder);
    expect(code).toBe('input.model-folder');
    expect(message).toContain('has no model.safetensors or model.safetensors.index.json');
  });

  it('names what is no readable file', async () => {
    const folder = tiny();
    rmSync(join(folder, 'model.safetensors'));
    mkdirSync(join(folder, 'model.safetensors'));
    const [code, message] = await failure(folder);
    expect(code).toBe('input.model-folder');
    expect(message).toMatch(/model\.safetensors cannot be read$/);
  });

  it('names a missing tensor', async () => {
    const folder = tiny();
    editHeader(folder, (header) => {
      const name = 'model.layers.1.self_attn.kv_b_proj.weight';
      header['other'] = header[name] ?? { shape: [] };
      delete header[name];
    });
    expect(await failure(folder)).toEqual([
      'input.model-folder',
      'tensor model.layers.1.self_attn.kv_b_proj.weight is missing',
    ]);
  });

  it('names a tensor of another shape', async () => {
    const folder = tiny();
    editHeader(folder, (header) => {
      header['model.layers.1.self_attn.kv_b_proj.weight']?.shape.reverse();
    });
    expect(await failure(folder)).toEqual([
      'input.model-folder',
      'tensor model.layers.1.self_attn.kv_b_proj.weight has shape [32,80], wanted [80,32]',
    ]);
  });

  it('names a tensor of a type that cannot be read', async () => {
    const folder = tiny();
    editHeader(folder, (header) => {
      Object.assign(header['model.norm.weight'] ?? {}, { dtype: 'I16' });
    });
    expect((await failure(folder))[1]).toBe('tensor model.norm.weight has dtype I16, allowed: BF16, F16, F32');
  });

  it('names a truncated file', async () => {
    const folder = tiny();
    const file = join(folder, 'model.safetensors');
    truncateSync(file, readFileSync(file).length - 100);
    const [code, message] = await failure(folder);
    expect(code).toBe('corrupt.safetensors');
    expect(message).toMatch(/tensor lm_head.weight: truncated: the data ends at \d+, the file holds \d+ data bytes/);
    truncateSync(file, 50);
    expect((await failure(folder))[1]).toMatch(/truncated: the header ends at byte \d+, the file has 50/);
    truncateSync(file, 0);
    expect((await failure(folder))[1]).toMatch(/truncated: 0 bytes/);
  });

  it('names a shard that is missing, and a tensor that is not in its shard', async () => {
    const folder = tiny({ shards: 2 });
    expect((await describeModel(folder)).layers).toBe(3);
    const bytes = readFileSync(join(folder, shard1));
    rmSync(join(folder, shard1));
    expect((await failure(folder))[1]).toContain(`has no ${shard1}, which model.safetensors.index.json names`);
    writeFileSync(join(folder, shard1), encodeSafetensors(new Map()));
    expect((await failure(folder))[1]).toContain(`is not in ${shard1}, where model.safetensors.index.json puts it`);
    writeFileSync(join(folder, shard1), bytes.subarray(0, bytes.length - 4));
    expect((await failure(folder))[0]).toBe('corrupt.safetensors');
  });

  it.each([
    ['{}', 'model.safetensors.index.json has no weight_map'],
    ['{"weight_map":{"a":"../../b"}}', 'tensor a is in "../../b", allowed: a file name'],
    ['{"weight_map":{"a":3}}', 'tensor a is in 3, allowed: a file name'],
  ])('rejects the index %s', async (text, message) => {
    const folder = tiny({ shards: 2 });
    writeFileSync(join(folder, 'model.safetensors.index.json'), text);
    const [code, met] = await failure(folder);
    expect(code).toBe('input.model-folder');
    expect(met).toContain(message);
  });

  it('rejects INT4 tensors that config.json says nothing about, or whose groups differ', async () => {
    const folder = tiny({ int4GroupColumns: 32 });
    const file = join(folder, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...config, quantization_config: null }));
    expect((await failure(folder))[1]).toContain('gate_proj.weight_packed: config.json has no quantization_config');
    const text = JSON.stringify(config);
    writeFileSync(file, text.replace('"group_size":32', '"group_size":16'));
    expect((await failure(folder))[1]).toContain('gate_proj.weight_scale has shape [32,2], wanted [32,4]');
    writeFileSync(file, text.replace('"group_size":32', '"group_size":48'));
    expect((await failure(folder))[1]).toContain('64 columns are no multiple of group_size 48');
  });

  it('gives a digest of the weights that follows their bytes and not the order of reading', async () => {
    const folder = tiny({ int4GroupColumns: 32 });
    const matrices = ['model.layers.2.mlp.experts.3.up_proj', 'model.layers.0.self_attn.o_proj'] as const;
    const digestOf = async (names: readonly string[]): Promise<string> => {
      const { weights, config } = await loadModelFolder(folder);
      for (const name of names) {
        const isExpert = name.includes('experts');
        const [rows, columns] = isExpert
          ? [config.expertWidth, config.hiddenWidth]
          : [config.hiddenWidth, config.heads * config.valueWidth];
        weights.matrix(name, rows, columns);
      }
      weights.close();
      return weights.contentDigest();
    };
    const [expert, output] = matrices;
    const digest = await digestOf([expert, output]);
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(await digestOf([output, expert, output])).toBe(digest);
    expect(await digestOf([output])).not.toBe(digest);
    const { digest: headers } = await describeModel(folder);
    const file = join(folder, 'model.safetensors');
    const bytes = readFileSync(file);
    const { start } = locate(bytes, `${output}.weight`);
    bytes[start] = (bytes[start] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    expect(await digestOf([expert, output])).not.toBe(digest);
    expect((await describeModel(folder)).digest).toBe(headers);
  });

  it('has no digest of weights that nobody read', async () => {
    const { weights } = await loadModelFolder(tiny());
    weights.close();
    expect(() => weights.contentDigest()).toThrow(/weights are read before their digest/);
  });

  it('reads weights back as they were written', async () => {
    for (const options of [{ dtype: 'F16' }, { int4GroupColumns: 16 }, { shards: 3 }] as const) {
      const folder = join(root, `read-${basename(JSON.stringify(options))}`);
      const { tensors } = writeTinyCheckpoint(folder, options);
      const { weights } = await loadModelFolder(folder);
      for (const name of ['model.layers.2.mlp.experts.3.up_proj', 'model.layers.0.self_attn.o_proj']) {
        const wanted = tensors.get(`${name}.weight`);
        const [rows = 0, columns = 0] = wanted?.shape ?? [];
        expect(weights.matrix(name, rows, columns)).toEqual(wanted?.values);
      }
      weights.close();
    }
  });
});
