import { dimensions as d, specialTokens, textTokens, vocabularySize } from './nano-config.ts';

export interface TrainingText {
  /** Path from the root of the repository. */
  readonly name: string;
  readonly bodyBytes: number;
  readonly sha256: string;
}

/** README.md of model/quire-nano. */
export function renderModelCard(texts: readonly TrainingText[], weightSeed: number): string {
  return `# quire-nano

**The weights are random.** This model has not been trained: what it writes is noise. It is here so that quire runs from
end to end on any machine, with every file, tensor and code path of a Kimi-K2-Thinking checkpoint, in ten megabytes.
Answers that must be JSON are JSON all the same, because decoding is constrained; what they say means nothing.

| | |
|---|---|
| family | DeepSeek-V3 / Kimi-K2 (\`model_type\` kimi_k2): latent attention, sigmoid router with selection bias, shared expert |
| layers | ${d.layers}, the first ${d.denseLayers} dense (width ${d.dense}) |
| hidden width | ${d.hidden}, ${d.heads} heads of ${d.nope} + ${d.rope} / ${d.value} |
| latent | ${d.latent} + ${d.rope} rotary = ${d.latent + d.rope} values a token and layer; queries through ${d.queryLora} |
| experts | ${d.experts} a layer, ${d.expertsPerToken} used, ${d.sharedExperts} shared, width ${d.expert} |
| window | 32,768 tokens (YaRN, factor 8 over 4,096) |
| precision | routed experts INT4 (compressed-tensors, group 32), selection bias F32, the rest BF16 |
| vocabulary | ${vocabularySize}: ${textTokens} byte-level BPE tokens, digits by themselves, and ${specialTokens.length} special tokens at the top |

Made by \`npm run model:nano\` from seed ${weightSeed}; the same texts give the same bytes. Use and limits: see \`model/README.md\`.

## Texts the tokenizer was trained on

| file | bytes | sha256 |
|---|---|---|
${texts.map(({ name, bodyBytes, sha256 }) => `| ${name} | ${bodyBytes} | ${sha256} |`).join('\n')}
`;
}
