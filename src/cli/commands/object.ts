import { Command } from 'commander';
import { AppError } from '../../base/errors.ts';
import { loadConfig } from '../../config/index.ts';
import { openLocalBucket } from '../../local/index.ts';
import { openS3ObjectStore } from '../../storage/index.ts';

export function objectCommand(): Command {
  const object = new Command('object').description('read the bucket of a data folder, running or not');
  object
    .command('get')
    .argument('<key>', 'object key, as results and summaries name it')
    .option('--data-dir <dir>', 'data folder (QUIRE_DATA_DIR, else .quire)')
    .description('write the bytes of one object to stdout')
    .action(async (key: string, options: { dataDir?: string }) => {
      const bucket = await openLocalBucket(options.dataDir ?? loadConfig().dataDir);
      try {
        const found = await openS3ObjectStore(bucket.s3).get(key);
        if (found === undefined) throw new AppError('input.not-found', `no object with key ${JSON.stringify(key)}`);
        await new Promise<void>((resolve, reject) =>
          process.stdout.write(found.body, (error) => (error ? reject(error) : resolve())),
        );
      } finally {
        await bucket.close();
      }
    });
  return object;
}
