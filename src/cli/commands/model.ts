import { Command } from 'commander';
import { describeModel } from '../../engine/index.ts';
import { withExamples } from '../options.ts';
import { renderTable } from '../output.ts';

export function modelCommand(): Command {
  const model = new Command('model').description('look at a model folder (Hugging Face layout)');
  const verify = model
    .command('verify')
    .argument('<dir>', 'folder with config.json, safetensors and expected*.json')
    .option('--threads <n>', 'threads of one run', '1')
    .option('--json', 'one JSON object on stdout')
    .description('compare the engine with the reference logits in the folder; exit code 1 when they differ')
    .action(async (dir: string, options: { threads: string; json?: boolean }) => {
      // the native runtime is loaded only for the command that needs it
      const { verifyModel } = await import('../../engine/host.ts');
      const result = await verifyModel(dir, { threads: Number(options.threads) });
      console.log(options.json ? JSON.stringify(result) : result.line);
      process.exit(result.ok ? 0 : 1);
    });
  const info = model
    .command('info')
    .argument('<dir>', 'model folder')
    .option('--json', 'one JSON object on stdout')
    .description('what the folder holds: sizes, experts, window, weights')
    .action(async (dir: string, options: { json?: boolean }) => {
      const card = await describeModel(dir);
      if (options.json) console.log(JSON.stringify(card));
      else
        console.log(
          renderTable(
            ['property', 'value'],
            Object.entries(card).map(([key, value]) => [key, String(value)]),
            96,
          ),
        );
    });
  withExamples(verify, [
    '$ quire model verify test/fixtures/k2-tiny-int4',
    '$ quire model verify ./checkpoint --threads 3 --json',
  ]);
  withExamples(info, ['$ quire model info model/quire-nano', '$ quire model info ./checkpoint --json']);
  return withExamples(model, [
    '$ quire model info model/quire-nano',
    '$ quire model verify test/fixtures/k2-tiny-int4',
  ]);
}
