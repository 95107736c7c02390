import { type Command, InvalidArgumentError } from 'commander';

/** Options that several commands share, worded once. */
export const withApi = (command: Command): Command =>
  withDataDir(
    command.option(
      '--api <url>',
      'address of the server (QUIRE_API_URL, else that of the data folder, else port 8080)',
    ),
  );

export const withJson = (command: Command, what: string): Command => command.option('--json', what);

export const withDataDir = (command: Command): Command =>
  command.option('--data-dir <dir>', 'data folder (QUIRE_DATA_DIR, else .quire)');

export const withExamples = (command: Command, examples: readonly string[]): Command =>
  command.addHelpText(
    'after',
    `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map((line) => `  ${line}`.trimEnd()).join('\n')}`,
  );

/** For an option that may be given again and again. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Builds the parser of a whole number within the bounds. */
export const integerOption =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
  };

export function temperatureOption(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 2) return value;
  throw new InvalidArgumentError('It must be a number from 0 to 2.');
}
