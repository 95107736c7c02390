/** A prefix that requests have brought, as a chain of pages. */
export interface PageChainState {
  readonly names: readonly string[];
  /** The first page of it that is asked for, until it turns out not to be there; null: none was, or it was not there. */
  opening: Promise<boolean> | null;
}

export interface ExpectedPage {
  readonly name: string;
  readonly tenant: string;
  /** The newest chain it is part of, and its place there. */
  chain: PageChainState;
  index: number;
  /** Requests that brought it. */
  uses: number;
  /** In the store, as far as is known. */
  state: 'unknown' | 'there' | 'absent';
  absentSinceMs: number;
  isOffered: boolean;
  isDamaged: boolean;
  fetching: Promise<boolean> | null;
}

/** Four million tokens of prefixes. */
const rememberedPages = 16_384;
/** Another worker may have uploaded it meanwhile. */
const absentLivesMs = 30_000;

/** What this process knows of pages that are, or might be, in the object store. Those expected longest ago are forgotten. */
export class ExpectedPages {
  readonly #pages = new Map<string, ExpectedPage>();
  readonly #nowMs: () => number;
  #thereTotal = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Of the pages remembered, those seen in the store. */
  get thereTotal(): number {
    return this.#thereTotal;
  }

  /** Counts a use of each page. */
  expect(tenant: string, names: readonly string[]): readonly ExpectedPage[] {
    const known = this.#pages.get(names.at(-1) ?? '')?.chain;
    const chain = known?.names.length === names.length ? known : { names, opening: null };
    const pages = names.map((name, index) => {
      const page = this.#pages.get(name) ?? newPage(name, tenant, chain, index);
      page.uses++;
      page.chain = chain;
      page.index = index;
      this.#pages.delete(name);
      this.#pages.set(name, page);
      return page;
    });
    this.#forget();
    return pages;
  }

  find(name: string): ExpectedPage | undefined {
    return this.#pages.get(name);
  }

  /** Is it worth asking the store? */
  isAskable(page: ExpectedPage): boolean {
    if (page.isDamaged) return false;
    return page.state !== 'absent' || this.#nowMs() - page.absentSinceMs >= absentLivesMs;
  }

  /** Pages behind this one in its chain, at most so many. */
  following({ chain, index }: ExpectedPage, most: number): readonly ExpectedPage[] {
    const names = chain.names.slice(index + 1, index + 1 + most);
    return names.flatMap((name) => this.#pages.get(name) ?? []);
  }

  markThere(page: ExpectedPage): void {
    this.#move(page, 'there');
  }

  /** Pages are uploaded and end in order, so those behind it are likely to be absent as well. */
  markAbsent(page: ExpectedPage): void {
    const behind = this.following(page, page.chain.names.length).filter(({ state }) => state !== 'there');
    for (const absent of [page, ...behind]) {
      this.#move(absent, 'absent');
      absent.absentSinceMs = this.#nowMs();
    }
  }

  markDamaged(page: ExpectedPage): void {
    page.isDamaged = true;
    page.isOffered = false;
  }

  markOffered(page: ExpectedPage): void {
    page.isOffered = true;
    page.isDamaged = false;
  }

  #move(page: ExpectedPage, state: ExpectedPage['state']): void {
    this.#thereTotal += Number(state === 'there') - Number(page.state === 'there');
    page.state = state;
  }

  #forget(): void {
    for (const page of this.#pages.values()) {
      if (this.#pages.size <= rememberedPages) return;
      this.#move(page, 'unknown');
      this.#pages.delete(page.name);
    }
  }
}

function newPage(name: string, tenant: string, chain: PageChainState, index: number): ExpectedPage {
  return {
    name,
    tenant,
    chain,
    index,
    uses: 0,
    state: 'unknown',
    absentSinceMs: 0,
    isOffered: false,
    isDamaged: false,
    fetching: null,
  };
}
