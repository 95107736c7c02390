import type { TinyCheckpoint } from './tiny-checkpoint.ts';

/**
 * The forward pass in plain float64 loops, in the expanded form with keys and values for every head, whole sequence at
 * once: no cache, no absorption, no chunks. Reads config.json as written, not as the product parses it.
 */

type Row = Float64Array;

class Model {
  readonly #checkpoint: TinyCheckpoint;

  constructor(checkpoint: TinyCheckpoint) {
    this.#checkpoint = checkpoint;
  }

  number(field: string): number {
    const value = this.#checkpoint.config[field];
    if (typeof value !== 'number') throw new Error(`config ${field}`);
    return value;
  }

  find(field: string): unknown {
    return this.#checkpoint.config[field];
  }

  tensor(name: string): Float32Array {
    const tensor = this.#checkpoint.tensors.get(name);
    if (tensor === undefined) throw new Error(`no tensor ${name}`);
    return tensor.values;
  }

  has(name: string): boolean {
    return this.#checkpoint.tensors.has(name);
  }

  /** W x for W [out, in]. */
  linear(name: string, x: Row): Row {
    const weight = this.tensor(`${name}.weight`);
    const out = weight.length / x.length;
    const y = new Float64Array(out);
    for (let row = 0; row < out; row++) {
      let sum = 0;
      for (let column = 0; column < x.length; column++) sum += at(weight, row * x.length + column) * at(x, column);
      y[row] = sum;
    }
    return y;
  }

  norm(name: string, x: Row, epsilon: number): Row {
    const gain = this.tensor(`${name}.weight`);
    const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, index) => (value / Math.sqrt(meanSquare + epsilon)) * at(gain, index));
  }
}

function at(values: ArrayLike<number>, index: number): number {
  const value = values[index];
  if (value === undefined) throw new Error(`index ${index} of ${values.length}`);
  return value;
}

const add = (left: Row, right: Row): Row => left.map((value, index) => value + at(right, index));
const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** Logits of every position: [tokens][vocabulary]. */
export function referenceForward(checkpoint: TinyCheckpoint, tokenIds: readonly number[]): Row[] {
  const model = new Model(checkpoint);
  const hiddenWidth = model.number('hidden_size');
  const epsilon = model.number('rms_norm_eps');
  const embedding = model.tensor('model.embed_tokens.weight');
  let hidden: Row[] = tokenIds.map((id) =>
    Float64Array.from(embedding.subarray(id * hiddenWidth, (id + 1) * hiddenWidth)),
  );
  for (let layer = 0; layer < model.number('num_hidden_layers'); layer++) {
    const name = `model.layers.${layer}`;
    const normed = hidden.map((row) => model.norm(`${name}.input_layernorm`, row, epsilon));
    const attended = attention(model, `${name}.self_attn`, normed);
    hidden = hidden.map((row, token) => add(row, attended[token] ?? row));
    hidden = hidden.map((row) => {
      const input = model.norm(`${name}.post_attention_layernorm`, row, epsilon);
      return add(
        row,
        model.has(`${name}.mlp.gate.weight`) ? experts(model, name, input) : mlp(model, `${name}.mlp`, input),
      );
    });
  }
  const head = model.find('tie_word_embeddings') === true ? 'model.embed_tokens' : 'lm_head';
  return hidden.map((row) => model.linear(head, model.norm('model.norm', row, epsilon)));
}

interface Yarn {
  readonly factor: number;
  readonly original_max_position_embeddings: number;
  readonly beta_fast: number;
  readonly beta_slow: number;
  readonly mscale: number;
  readonly mscale_all_dim: number;
}

const magnitude = (factor: number, mscale: number): number => 0.1 * mscale * Math.log(factor) + 1;

function frequencies(model: Model, yarn: Yarn | null): number[] {
  const width = model.number('qk_rope_head_dim');
  const theta = model.number('rope_theta');
  const plain = Array.from({ length: width / 2 }, (_, pair) => 1 / theta ** ((2 * pair) / width));
  if (yarn === null) return plain;
  const border = (turns: number): number =>
    (width * Math.log(yarn.original_max_position_embeddings / (2 * Math.PI * turns))) / (2 * Math.log(theta));
  const low = Math.max(Math.floor(border(yarn.beta_fast)), 0);
  let high = Math.min(Math.ceil(border(yarn.beta_slow)), width - 1);
  if (high === low) high += 0.001;
  return plain.map((frequency, pair) => {
    const slow = Math.min(Math.max((pair - low) / (high - low), 0), 1);
    return frequency * (1 - slow) + (frequency / yarn.factor) * slow;
  });
}

function rotate(values: Row, position: number, frequency: readonly number[], multiplier: number): Row {
  const turned = new Float64Array(values.length);
  frequency.forEach((speed, pair) => {
    const cos = Math.cos(position * speed) * multiplier;
    const sin = Math.sin(position * speed) * multiplier;
    const [a, b] = [at(values, 2 * pair), at(values, 2 * pair + 1)];
    turned[2 * pair] = a * cos - b * sin;
    turned[2 * pair + 1] = a * sin + b * cos;
  });
  return turned;
}

function attention(model: Model, name: string, inputs: readonly Row[]): Row[] {
  const heads = model.number('num_attention_heads');
  const [nope, rope, value, rank] = ['qk_nope_head_dim', 'qk_rope_head_dim', 'v_head_dim', 'kv_lora_rank'].map(
    (field) => model.number(field),
  ) as [number, number, number, number];
  const override = model.find('q_kv_norm_eps');
  const epsilon = typeof override === 'number' ? override : model.number('rms_norm_eps');
  const yarn = (model.find('rope_scaling') ?? null) as Yarn | null;
  const speed = frequencies(model, yarn);
  const multiplier =
    yarn === null ? 1 : magnitude(yarn.factor, yarn.mscale) / magnitude(yarn.factor, yarn.mscale_all_dim);
  const stretch = yarn === null ? 1 : magnitude(yarn.factor, yarn.mscale_all_dim);
  const scale = (stretch * stretch) / Math.sqrt(nope + rope);

  const rows = inputs.map((input, position) => {
    const query = model.has(`${name}.q_proj.weight`)
      ? model.linear(`${name}.q_proj`, input)
      : model.linear(
          `${name}.q_b_proj`,
          model.norm(`${name}.q_a_layernorm`, model.linear(`${name}.q_a_proj`, input), epsilon),
        );
    const compressed = model.linear(`${name}.kv_a_proj_with_mqa`, input);
    const latent = model.norm(`${name}.kv_a_layernorm`, compressed.slice(0, rank), epsilon);
    const rotaryKey = rotate(compressed.slice(rank), position, speed, multiplier);
    const expanded = model.linear(`${name}.kv_b_proj`, latent);
    return Array.from({ length: heads }, (_, head) => {
      const own = query.slice(head * (nope + rope), (head + 1) * (nope + rope));
      const up = expanded.slice(head * (nope + value), (head + 1) * (nope + value));
      return {
        query: [...own.slice(0, nope), ...rotate(own.slice(nope), position, speed, multiplier)],
        key: [...up.slice(0, nope), ...rotaryKey],
        value: up.slice(nope),
      };
    });
  });
  return rows.map((row, position) => {
    const mixed = row.flatMap(({ query }, head) => {
      const scores = rows.slice(0, position + 1).map((other) => scale * dot(query, other[head]?.key ?? []));
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      return Array.from({ length: value }, (_, index) =>
        weights.reduce((total, weight, at_) => total + (weight / sum) * at(rows[at_]?.[head]?.value ?? [], index), 0),
      );
    });
    return model.linear(`${name}.o_proj`, Float64Array.from(mixed));
  });
}

function dot(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < left.length; index++) sum += at(left, index) * at(right, index);
  return sum;
}

function mlp(model: Model, name: string, input: Row): Row {
  const up = model.linear(`${name}.up_proj`, input);
  const gated = model.linear(`${name}.gate_proj`, input).map((value, index) => value * sigmoid(value) * at(up, index));
  return model.linear(`${name}.down_proj`, gated);
}

function experts(model: Model, layer: string, input: Row): Row {
  const scores = model.linear(`${layer}.mlp.gate`, input).map(sigmoid);
  const bias = model.tensor(`${layer}.mlp.gate.e_score_correction_bias`);
  const chosen = chooseExperts(
    model,
    scores.map((score, expert) => score + at(bias, expert)),
  );
  const total = chosen.reduce((sum, expert) => sum + at(scores, expert), 0);
  const divisor = model.find('norm_topk_prob') === false ? 1 : total + 1e-20;
  let output: Row = new Float64Array(input.length);
  for (const expert of chosen) {
    const weight = (at(scores, expert) / divisor) * model.number('routed_scaling_factor');
    output = add(
      output,
      mlp(model, `${layer}.mlp.experts.${expert}`, input).map((value) => value * weight),
    );
  }
  return model.has(`${layer}.mlp.shared_experts.up_proj.weight`)
    ? add(output, mlp(model, `${layer}.mlp.shared_experts`, input))
    : output;
}

function chooseExperts(model: Model, choice: Row): number[] {
  const groups = model.number('n_group');
  const groupSize = choice.length / groups;
  const descending = (values: ArrayLike<number>): number[] =>
    Array.from({ length: values.length }, (_, index) => index).sort(
      (left, right) => at(values, right) - at(values, left),
    );
  const groupScores = Array.from({ length: groups }, (_, group) => {
    const members = [...choice.slice(group * groupSize, (group + 1) * groupSize)].sort((left, right) => right - left);
    return groups === 1 ? 0 : at(members, 0) + at(members, 1);
  });
  const kept = descending(groupScores).slice(0, model.number('topk_group'));
  const allowed = descending(choice).filter((expert) => kept.includes(Math.floor(expert / groupSize)));
  return allowed.slice(0, model.number('num_experts_per_tok'));
}
