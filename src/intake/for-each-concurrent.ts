/** Runs all, at most `concurrency` at a time; throws the first failure after the running ones ended. */
export async function forEachConcurrent<Item>(
  items: Iterable<Item>,
  concurrency: number,
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  let failure: { readonly error: unknown } | null = null;
  const worker = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true && failure === null; next = queue.next()) {
      try {
        await run(next.value);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
}
