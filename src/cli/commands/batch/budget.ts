import { Command } from 'commander';
import { openApiOf } from '../../api-address.ts';
import { type CliIo, printJson, printLine } from '../../io.ts';
import { integerOption, withApi, withExamples, withJson } from '../../options.ts';

interface BudgetOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

const parseTokens = integerOption(1, Number.MAX_SAFE_INTEGER);

const parseBudget = (text: string): number | null => (text === 'none' ? null : parseTokens(text));

export function budgetCommand(io: CliIo): Command {
  const command = new Command('budget')
    .description('change how many tokens a batch may use; a batch that paused goes on when the new budget is larger')
    .argument('<id>', 'batch')
    .argument('<tokens>', 'prompt and completion tokens of all its lines; none: no limit', parseBudget);
  withJson(withApi(command), 'the batch as one JSON object on stdout');
  return withExamples(command, ['$ quire batch budget batch_… 500000', '$ quire batch budget batch_… none']).action(
    async (id: string, budget: number | null, options: BudgetOptions) => {
      const api = await openApiOf(options, io);
      const batch = await api.setTokenBudget(id, budget);
      if (options.json) printJson(io.stdout, batch);
      else printLine(io.stdout, `${batch.id} ${batch.status}; ${batch.ext.wait_reason ?? 'it goes on'}`);
    },
  );
}
