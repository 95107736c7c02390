/** Of a tenant; more would be read by each of its requests for less and less. */
const mostTokens = 2_048;
const mostTenants = 64;

/**
 * What a tenant was answered last. Its next answers are likely to say again what documents do not: names of fields, the
 * way a thought goes. Another tenant's are never looked at, so that no answer's speed tells of them.
 */
export class RecentAnswers {
  /** Tokens of each tenant, the latest last; who was answered longest ago comes first. */
  readonly #tokens = new Map<string, readonly number[]>();

  of(tenant: string): readonly number[] {
    return this.#tokens.get(tenant) ?? [];
  }

  add(tenant: string, answer: readonly number[]): void {
    const tokens = [...this.of(tenant), ...answer.slice(-mostTokens)].slice(-mostTokens);
    this.#tokens.delete(tenant);
    this.#tokens.set(tenant, tokens);
    const [first] = this.#tokens.keys();
    if (this.#tokens.size > mostTenants && first !== undefined) this.#tokens.delete(first);
  }
}
